"""Answers for one session, in a pause, whether its talker is done: by the engine's text and by the sound.

It owns the one question that is open. The segmenter decides what the answer means.
"""

from dataclasses import dataclass, field

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineError, JobDropped
from trio_stt.lanes.job import JobResult, Ticket
from trio_stt.session.context import SessionContext
from trio_stt.speech.endpointing import TurnState, judge
from trio_stt.speech.events import TurnQuestion
from trio_stt.speech.sound_tags import without_sound_tags


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """A question without an answer: the clip that may be the whole utterance, and its speculative final.

    `scope` is cancelled when the answer is of no use any more.
    """

    question: TurnQuestion
    clip: NDArray[np.float32]
    ticket: Ticket | None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class TurnQuestions:
    """Answers the questions of one session, one at a time; a new one replaces an older one."""

    def __init__(self, context: SessionContext) -> None:
        self._host = context.host
        self._live = context.live
        self._open: _Open | None = None
        self._changed = trio.Event()

    def ask(self, question: TurnQuestion, clip: NDArray[np.float32], ticket: Ticket | None) -> None:
        """Open a question.

        Args:
            question: The question.
            clip: Audio of the utterance until now: float32, shape (n,), mono, 16 kHz, -1 to 1.
            ticket: The speculative final of this clip, to wait on and not to cancel; None where the lane makes none.
        """
        self._set(_Open(question, clip, ticket))

    def void(self) -> None:
        """Withdraw the question: the pause is over, or its time is."""
        if self._open is not None:
            self._set(None)

    async def wait_closed(self) -> None:
        """Wait until no question is open."""
        while self._open is not None:
            await self._changed.wait()

    async def next_answer(self) -> tuple[TurnQuestion, TurnState]:
        """Wait for a question, and for its answer; the caller then calls `void`."""
        while True:
            while self._open is None:
                await self._changed.wait()
            now = self._open
            with now.scope:
                turn_state = await self._judge(now)
                if self._open is now:
                    return now.question, turn_state

    async def _judge(self, pending: _Open) -> TurnState:
        sound: list[float | None] = []

        async def listen() -> None:
            sound.append(await self._host.turn_probability(pending.clip, patient=not self._live))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            result = await _result(pending.ticket)
        text = None if result is None else without_sound_tags(result.transcript.text)
        return judge(text, sound[0])

    def _set(self, new: _Open | None) -> None:
        if self._open is not None:
            self._open.scope.cancel()
        self._open = new
        self._changed.set()
        self._changed = trio.Event()


async def _result(ticket: Ticket | None) -> JobResult | None:
    """The result of a speculative final; None if there is none, or it failed."""
    if ticket is None:
        return None
    try:
        return await ticket.wait()
    except (EngineError, JobDropped):
        return None
