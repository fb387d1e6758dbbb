"""What every engine host promises: the same tests on the tests' virtual host and on the product's thread."""

from collections.abc import Callable
from typing import NoReturn

import pytest
import trio

from tests.lanes.fakes import INFO, Batch, FakeEngine, VirtualHost, asked, lengths
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engine_thread import EngineThread
from trio_stt.lanes.engines.base import EngineInfo, Transcript
from trio_stt.lanes.executor import EngineExecutor

MAKERS: dict[str, Callable[[], EngineExecutor]] = {"virtual": VirtualHost, "thread": lambda: EngineThread("main")}


@pytest.fixture(params=MAKERS)
def host(request: pytest.FixtureRequest) -> EngineExecutor:
    return MAKERS[request.param]()


def raiser(error: BaseException) -> Callable[..., NoReturn]:
    def raise_it(*_: object) -> NoReturn:
        raise error

    return raise_it


async def test_info_is_known_once_loaded(host: EngineExecutor) -> None:
    assert host.info is None
    assert await host.start(FakeEngine) == INFO
    assert host.info == INFO
    await host.aclose()


async def test_a_batch_comes_back_in_order(host: EngineExecutor) -> None:
    await host.start(FakeEngine)
    assert [t.text for t in await host.transcribe(asked(3, 1, 2))] == ["3", "1", "2"]
    await host.aclose()


@pytest.mark.parametrize("kind", [TranscriptionFailed, EngineUnavailable])
async def test_the_errors_of_engines_pass_as_they_are(host: EngineExecutor, kind: type[Exception]) -> None:
    error = kind("fake: a clip without samples")
    await host.start(lambda: FakeEngine(raiser(error)))
    with pytest.raises(kind) as caught:
        await host.transcribe(asked(1))
    assert caught.value is error
    await host.aclose()


@pytest.mark.parametrize("error", [ValueError("no\nsuch  token"), SystemExit("no such token")])
async def test_anything_else_that_is_raised_fails_the_call_and_not_the_host(
    host: EngineExecutor, error: BaseException
) -> None:
    def answer(batch: Batch) -> list[Transcript]:
        return raiser(error)() if len(batch[0]) == 1 else lengths(batch)

    await host.start(lambda: FakeEngine(answer))
    with pytest.raises(TranscriptionFailed) as caught:
        await host.transcribe(asked(1))
    assert str(caught.value) == f"fake raised {type(error).__name__}: no such token"
    assert caught.value.__cause__ is error
    assert [t.text for t in await host.transcribe(asked(2))] == ["2"]
    await host.aclose()


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        "words",
        [],
        ["words"],
        [Transcript(text="a"), Transcript(text="b")],
        (Transcript(text="a"),),
        [Transcript(text=None)],  # type: ignore[arg-type] # what an adapter might pass on from a native library
        [Transcript(text="half a pair \ud800")],
        [Transcript(text="on and on " * 2_000)],
    ],
)
async def test_a_wrong_result_fails_the_call(host: EngineExecutor, rubbish: object) -> None:
    await host.start(lambda: FakeEngine(lambda _: rubbish))
    with pytest.raises(TranscriptionFailed, match="fake returned"):
        await host.transcribe(asked(1))
    await host.aclose()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EngineUnavailable("install the fake package"), "install the fake package"),
        (SettingError("fake knows no option colour"), "fake knows no option colour"),
        (OSError("bad magic"), "the engine could not be loaded: OSError: bad magic"),
        (SystemExit(), "the engine could not be loaded: SystemExit"),
    ],
)
async def test_a_load_that_raises_makes_the_engine_unavailable(
    host: EngineExecutor, error: BaseException, message: str
) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        await host.start(raiser(error))
    assert str(caught.value) == message
    assert error in (caught.value, caught.value.__cause__)
    assert host.info is None
    with pytest.raises(EngineUnavailable):
        await host.transcribe(asked(1))
    await host.aclose()


async def test_an_engine_that_cannot_say_what_it_is_is_unavailable(host: EngineExecutor) -> None:
    class Shy(FakeEngine):
        @property
        def info(self) -> EngineInfo:
            raise AttributeError("device")

    with pytest.raises(EngineUnavailable, match="AttributeError: device"):
        await host.start(Shy)
    await host.aclose()


async def test_close_frees_the_engine_once(host: EngineExecutor) -> None:
    engine = FakeEngine()
    await host.start(lambda: engine)
    await host.aclose()
    await host.aclose()
    assert engine.closed == 1
    with pytest.raises(EngineUnavailable):
        await host.transcribe(asked(1))


async def test_close_frees_the_engine_in_a_cancelled_scope(host: EngineExecutor) -> None:
    engine = FakeEngine()
    await host.start(lambda: engine)
    with trio.CancelScope() as scope:
        scope.cancel()
        await host.aclose()
    assert engine.closed == 1


async def test_a_host_that_never_started_closes(host: EngineExecutor) -> None:
    await host.aclose()


async def test_an_engine_that_raises_at_its_close_does_not_disturb(host: EngineExecutor) -> None:
    await host.start(lambda: FakeEngine(on_close=raiser(RuntimeError("already gone"))))
    await host.aclose()


async def test_what_a_cancelled_start_loads_is_closed(host: EngineExecutor) -> None:
    engines: list[FakeEngine] = []

    def load() -> FakeEngine:
        engines.append(FakeEngine())
        return engines[-1]

    with trio.CancelScope() as scope:
        scope.cancel()
        await host.start(load)
    assert scope.cancelled_caught
    with pytest.raises(EngineUnavailable):
        await host.transcribe(asked(1))
    await host.aclose()
    assert [engine.closed for engine in engines] == [1] * len(engines)
