"""The contract of `EngineExecutor`: `EngineThread`, `EngineProcess`, `EngineActor` and the tests' virtual executor.

The other end of `EngineProcess` and `EngineActor` is a thread here, so that a test can script its engine;
test_engine_process.py has real processes, test_ray.py real actors.
"""

import gc
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest
import trio

from tests.lanes.fakes import (
    INFO,
    Batch,
    FakeEngine,
    FakeStreamingEngine,
    VirtualExecutor,
    actor_executor,
    batch_of,
    child_thread_executor,
    clip,
    lengths,
)
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engine_thread import EngineThread
from trio_stt.lanes.engines.base import EngineInfo, Request, StreamKey, Transcript
from trio_stt.lanes.executor import EngineExecutor

NewExecutor = Callable[..., EngineExecutor]

KINDS: dict[str, NewExecutor] = {
    "virtual": VirtualExecutor,
    "thread": partial(EngineThread, "main"),
    "process": child_thread_executor,
    "ray": actor_executor,
}
sharing = pytest.mark.parametrize("new_executor", ["virtual", "thread"], indirect=True)
"""For what concerns executors that can share an engine."""


def is_copy(error: BaseException | None, original: BaseException) -> bool:
    """Whether an error is the original, or has its type and message after a way between processes."""
    return error is original or (type(error), str(error)) == (type(original), str(original))


@pytest.fixture(params=KINDS)
def new_executor(request: pytest.FixtureRequest) -> NewExecutor:
    """A function that makes an executor from a callable that loads its engine."""
    return KINDS[request.param]


def raiser(error: BaseException) -> Callable[..., NoReturn]:
    def raise_it(*_: object) -> NoReturn:
        raise error

    return raise_it


async def test_start_returns_what_was_loaded(new_executor: NewExecutor) -> None:
    executor = new_executor(FakeEngine)
    assert await executor.start() == INFO
    await executor.aclose()


async def test_transcripts_have_the_order_of_the_batch(new_executor: NewExecutor) -> None:
    executor = new_executor(FakeEngine)
    await executor.start()
    assert [t.text for t in await executor.transcribe(batch_of(3, 1, 2))] == ["3", "1", "2"]
    await executor.aclose()


@pytest.mark.parametrize("kind", [TranscriptionFailed, EngineUnavailable])
async def test_engine_errors_pass_unchanged(new_executor: NewExecutor, kind: type[Exception]) -> None:
    error = kind("fake: a clip without samples")
    executor = new_executor(lambda: FakeEngine(raiser(error)))
    await executor.start()
    with pytest.raises(kind) as caught:
        await executor.transcribe(batch_of(1))
    assert is_copy(caught.value, error)
    await executor.aclose()


@pytest.mark.parametrize("error", [ValueError("no\nsuch  token"), SystemExit("no such token")])
async def test_other_errors_fail_the_call_and_not_the_executor(new_executor: NewExecutor, error: BaseException) -> None:
    def answer(batch: Batch) -> list[Transcript]:
        return raiser(error)() if len(batch[0]) == 1 else lengths(batch)

    executor = new_executor(lambda: FakeEngine(answer))
    await executor.start()
    with pytest.raises(TranscriptionFailed) as caught:
        await executor.transcribe(batch_of(1))
    assert str(caught.value) == f"fake raised {type(error).__name__}: no such token"
    assert caught.value.__cause__ is not None
    assert type(error).__name__ in repr(caught.value.__cause__)
    assert [t.text for t in await executor.transcribe(batch_of(2))] == ["2"]
    await executor.aclose()


@pytest.mark.parametrize("wrapped", [False, True])
async def test_engine_without_memory_is_unavailable(new_executor: NewExecutor, *, wrapped: bool) -> None:
    def answer(_: Batch) -> NoReturn:
        if wrapped:
            raise TranscriptionFailed("fake: no memory") from MemoryError()
        raise MemoryError

    executor = new_executor(lambda: FakeEngine(answer))
    await executor.start()
    with pytest.raises(EngineUnavailable, match="fake has no memory left"):
        await executor.transcribe(batch_of(1))
    await executor.aclose()


@pytest.mark.parametrize(
    "result",
    [
        None,
        "words",
        [],
        ["words"],
        [Transcript(text="a"), Transcript(text="b")],
        (Transcript(text="a"),),
        [Transcript(text=None)],  # type: ignore[arg-type] # as an adapter might return it from a native library
        [Transcript(text="half a pair \ud800")],
        [Transcript(text="on and on " * 2_000)],
    ],
)
async def test_invalid_result_fails_the_call(new_executor: NewExecutor, result: object) -> None:
    executor = new_executor(lambda: FakeEngine(lambda _: result))
    await executor.start()
    with pytest.raises(TranscriptionFailed, match="fake returned"):
        await executor.transcribe(batch_of(1))
    await executor.aclose()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EngineUnavailable("install the fake package"), "install the fake package"),
        (SettingError("fake knows no option colour"), "fake knows no option colour"),
        (OSError("bad magic"), "the engine could not be loaded: OSError: bad magic"),
        (SystemExit(), "the engine could not be loaded: SystemExit"),
    ],
)
async def test_failed_load_makes_the_engine_unavailable(
    new_executor: NewExecutor, error: BaseException, message: str
) -> None:
    executor = new_executor(raiser(error))
    with pytest.raises(EngineUnavailable) as caught:
        await executor.start()
    assert str(caught.value) == message
    assert isinstance(error, EngineUnavailable) or caught.value.__cause__ is not None
    assert isinstance(caught.value.__cause__, SettingError) is isinstance(error, SettingError)
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(1))
    await executor.aclose()


async def test_engine_without_info_is_unavailable(new_executor: NewExecutor) -> None:
    class EngineWithoutInfo(FakeEngine):
        @property
        def info(self) -> EngineInfo:
            raise AttributeError("device")

    executor = new_executor(EngineWithoutInfo)
    with pytest.raises(EngineUnavailable, match="AttributeError: device"):
        await executor.start()
    await executor.aclose()


async def test_close_frees_the_engine_once(new_executor: NewExecutor) -> None:
    engine = FakeEngine()
    executor = new_executor(lambda: engine)
    await executor.start()
    await executor.aclose()
    await executor.aclose()
    assert engine.closed == 1
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(1))


async def test_close_frees_the_engine_in_a_cancelled_scope(new_executor: NewExecutor) -> None:
    engine = FakeEngine()
    executor = new_executor(lambda: engine)
    await executor.start()
    with trio.CancelScope() as scope:
        scope.cancel()
        await executor.aclose()
    assert engine.closed == 1


async def test_executor_that_never_started_closes(new_executor: NewExecutor) -> None:
    await new_executor(FakeEngine).aclose()


async def test_engine_that_raises_in_its_close_does_not_raise_from_aclose(new_executor: NewExecutor) -> None:
    executor = new_executor(lambda: FakeEngine(on_close=raiser(RuntimeError("already gone"))))
    await executor.start()
    await executor.aclose()


async def test_engine_of_a_cancelled_start_is_closed(new_executor: NewExecutor) -> None:
    engines: list[FakeEngine] = []

    def load() -> FakeEngine:
        engines.append(FakeEngine())
        return engines[-1]

    executor = new_executor(load)
    with trio.CancelScope() as scope:
        scope.cancel()
        await executor.start()
    assert scope.cancelled_caught
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(1))
    await executor.aclose()
    assert [engine.closed for engine in engines] == [1] * len(engines)


@sharing
@pytest.mark.parametrize("defective", [False, True])
async def test_only_a_defective_engine_is_discarded(new_executor: NewExecutor, *, defective: bool) -> None:
    discarded: list[str] = []
    executor = new_executor(FakeEngine, discard=lambda: discarded.append("at close"))
    await executor.start()
    await executor.aclose(discard=defective)
    assert discarded == ["at close"] * defective


@sharing
async def test_abandoned_engine_is_discarded(new_executor: NewExecutor) -> None:
    discarded: list[str] = []
    executor = new_executor(FakeEngine, discard=lambda: discarded.append("abandoned"))
    await executor.start()
    executor.abandon(lambda: None)
    assert discarded == ["abandoned"]


async def test_abandoned_engine_reports_its_return(new_executor: NewExecutor) -> None:
    returned = trio.Event()
    engine = FakeEngine()
    executor = new_executor(lambda: engine)
    await executor.start()
    executor.abandon(returned.set)
    await returned.wait()
    assert engine.closed == 1
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(1))


async def test_growing_utterance_is_fed_to_a_stream_once(new_executor: NewExecutor) -> None:
    engine, utterance = FakeStreamingEngine(), StreamKey()
    executor = new_executor(lambda: engine)
    await executor.start()
    for length, ends in ((500, False), (900, False), (1_000, True)):
        await executor.transcribe([Request(samples=clip(length), utterance=utterance, ends=ends)])
    assert engine.fed == [500, 400, 100]
    await executor.aclose()


async def test_stream_of_an_utterance_that_is_over_is_freed(new_executor: NewExecutor) -> None:
    engine, utterance = FakeStreamingEngine(), StreamKey()
    executor = new_executor(lambda: engine)
    await executor.start()
    await executor.transcribe([Request(samples=clip(500), utterance=utterance, ends=False)])
    del utterance
    gc.collect()
    await executor.transcribe(batch_of(1))
    gc.collect()
    assert not engine.streams
    await executor.aclose()
