"""Packets processed in the receiver's step, and packets queued for the task: the order is kept either way."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trio_stt.protocol.commands import Command
from trio_stt.session.audio_processor import AudioProcessor
from trio_stt.session.connection import ConnectionStatus
from trio_stt.session.context import SessionState
from trio_stt.session.inbox import Audio, Inbox
from trio_stt.settings import Settings

SHORT, LONG = 512, 2048
"""Samples, at 16 kHz, of a packet that may be processed at once, and of one that is too long for that."""


class Recorder:
    """Stands in for pipeline, utterances and publisher: records what is processed."""

    speaking = False
    waits_for_answer = False

    def __init__(self) -> None:
        self.processed: list[object] = []
        self.immediate = 0

    def push(self, samples: NDArray[np.int16], rate_hz: int) -> list[Any]:  # noqa: ARG002 - as the pipeline's
        if not self.processed or self.processed[-1] != int(samples[0]):  # a long packet comes in pieces
            self.processed.append(int(samples[0]))
        return []

    def stop(self) -> list[Any]:
        self.processed.append(Command.STOP)
        return []

    def handle(self, events: Sequence[Any], **_: bool) -> None: ...

    def status(self, state: object) -> None: ...


def processor(inbox: Inbox, recorder: Any) -> AudioProcessor:
    context: Any = SimpleNamespace(
        settings=Settings(),
        live=True,
        resumes_turns=True,
        pipeline=recorder,
        inbox=inbox,
        connection_status=ConnectionStatus(lambda _: None),
        state=SessionState(),
    )
    return AudioProcessor(context, recorder, recorder)


@pytest.mark.contract("4.1")
@given(st.lists(st.sampled_from(["short", "long", "marker", "turns"]), max_size=30))
def test_short_packets_are_processed_at_once_only_when_nothing_is_queued(steps: list[str]) -> None:
    sent: list[object] = []
    recorder = Recorder()

    async def play() -> None:
        inbox = Inbox(10_000)
        audio_processor = processor(inbox, recorder)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(audio_processor.run)
            for number, step in enumerate(steps):
                if step == "turns":
                    await trio.testing.wait_all_tasks_blocked()
                    continue
                sent.append(Command.STOP if step == "marker" else number)
                if step == "marker":
                    inbox.put_marker(Command.STOP)
                    continue
                nothing_queued = recorder.processed == sent[:-1] and "turns" in steps[:number]
                samples = np.full(SHORT if step == "short" else LONG, number, np.int16)
                assert await audio_processor.accept(Audio(samples, 16_000)) == 0
                assert (recorder.processed == sent) == (step == "short" and nothing_queued)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert recorder.processed == sent
        await audio_processor.accept(Audio(np.full(SHORT, 99, np.int16), 16_000))
        assert inbox.queued_windows == 1, "the task has ended, so nothing is processed any more"

    trio.run(play)
    assert recorder.processed == sent
