"""`EngineProcess` with a child that writes anything: what is no answer, half an answer, or nothing."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import pytest
import trio
import trio.testing

from tests.lanes.fakes import batch_of, final, limits
from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engine_messages import Downloading, Loaded, Transcribed, encode
from trio_stt.lanes.engine_process import EngineProcess
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Transcript
from trio_stt.lanes.lane import Lane


class ScriptedChild:
    """A child process that writes what it is given for each request, whatever it is, and then ends or hangs."""

    def __init__(self, *answers: bytes | Sequence[bytes], ends: bool = False, pause_s: float = 0.0) -> None:
        self._answers = deque(answers)
        self._ends = ends
        self._pause_s = pause_s
        self._writes_in, self._writes = trio.open_memory_channel[bytes](float("inf"))
        self._killed = trio.Event()

    async def send(self, message: bytes) -> None:  # noqa: ARG002 - whatever it is
        """Nothing reads it."""
        answer = self._answers.popleft() if self._answers else ()
        for write in [answer] if isinstance(answer, bytes) else answer:
            self._writes_in.send_nowait(write)
        if self._ends and not self._answers:
            self._writes_in.close()

    async def receive(self) -> bytes:
        await trio.sleep(self._pause_s)
        with suppress(trio.EndOfChannel):
            return await self._writes.receive()
        return b""

    async def end_input(self) -> None:
        self.kill()

    def kill(self) -> None:
        self._writes_in.close()
        self._killed.set()

    async def wait(self) -> str:
        await self._killed.wait()
        return "was ended by SIGKILL"


LOADED = encode(Loaded(EngineInfo(engine="fake", model="fake-model", device="cpu")))
TWO = encode(Transcribed((Transcript(text="1"), Transcript(text="2"))))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"Illegal instruction\n", "wrote no answer, but b'Ille'; the engine's process was killed"),
        (b"\5\0\0\0garbage", "an answer that this version does not know; the engine's process was killed"),
        (b"\1\0\0\0\xc1", "an answer that this version does not know; the engine's process was killed"),
        (b"\0\0\0\0", "an answer that this version does not know; the engine's process was killed"),
        (TWO + b"printed", "wrote 7 bytes more than its answer; the engine's process was killed"),
        (LOADED, "an unexpected answer, Loaded"),
        (TWO, "2 transcripts for 1 clips"),
    ],
)
async def test_what_is_no_answer_makes_the_engine_unavailable(written: bytes, message: str) -> None:
    async def start() -> ScriptedChild:
        return ScriptedChild(LOADED, written)

    executor = EngineProcess("main", EngineConfig(engine="fake"), start)
    await executor.start()
    with pytest.raises(EngineUnavailable) as caught:
        await executor.transcribe(batch_of(1))
    assert str(caught.value).endswith(message)
    await executor.aclose()


async def test_what_is_no_answer_to_a_load_makes_the_engine_unavailable() -> None:
    for written, message in ((b"warning: no GPU\n", "wrote no answer, but b'warn'"), (TWO, "unexpected answer")):

        async def start(written: bytes = written) -> ScriptedChild:
            return ScriptedChild(written)

        executor = EngineProcess("main", EngineConfig(engine="fake"), start)
        with pytest.raises(EngineUnavailable, match=message):
            await executor.start()
        await executor.aclose()


@pytest.mark.parametrize("loaded", [True, False])
async def test_limit_of_a_load_counts_from_the_last_report_of_a_download(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 - pauses take no time
    *,
    loaded: bool,
) -> None:
    downloads = 50

    async def start() -> ScriptedChild:
        return ScriptedChild([encode(Downloading())] * downloads + [LOADED] * loaded, pause_s=9.0)

    executor = EngineProcess("main", EngineConfig(engine="fake"), start, load_limit_s=10.0)
    if loaded:
        assert (await executor.start()).engine == "fake"
    else:
        with pytest.raises(EngineUnavailable, match=r"did not load within 10 s \(engine_load_limit_s\)"):
            await executor.start()
    assert trio.current_time() == 9.0 * downloads + (9.0 if loaded else 10.0)
    await executor.aclose()


ONE = encode(Transcribed((Transcript(text="1"),)))


async def test_broken_answers_and_failed_loads_lose_no_final(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 - pauses and deadlines take no time
    caplog: pytest.LogCaptureFixture,
) -> None:
    children = iter(
        [
            ScriptedChild(LOADED, b"Illegal instruction\n"),
            ScriptedChild(ends=True),
            ScriptedChild(b"warning: no GPU\n"),
            ScriptedChild(LOADED, ONE, ONE[:-1], ends=True),
            ScriptedChild(LOADED, ONE),
            ScriptedChild(LOADED, ONE),
        ]
    )

    async def start() -> ScriptedChild:
        return next(children)

    lane = Lane(
        "main",
        new_executor=lambda: EngineProcess("main", EngineConfig(engine="fake"), start),
        limits=limits(),
        job_deadline_s=lambda: 30.0,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        for _ in range(3):
            assert (await lane.submit(final("a", 7)).wait()).transcript.text == "1"
        nursery.cancel_scope.cancel()
    assert lane.statistics().engines.restarts == 3
    lines = [record.getMessage() for record in caplog.records]
    for cause in ("wrote no answer, but b'Ille'", "ended by SIGKILL", "wrote no answer, but b'warn'", "did not answer"):
        assert any(cause in line for line in lines), cause
