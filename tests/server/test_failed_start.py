"""Engines that cannot be loaded when a server starts."""

import os
import sys
from pathlib import Path

import pytest
import trio

from tests.lanes.fakes import FakeEngine, lengths
from trio_stt.cli.serve import _announce, _load_error
from trio_stt.errors import DownloadInterrupted, EngineUnavailable, ModelMissing, SettingError, TrioSttError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings


def caused(error: EngineUnavailable, cause: BaseException) -> EngineUnavailable:
    error.__cause__ = cause
    return error


async def announced(monkeypatch: pytest.MonkeyPatch, errors: dict[str, Exception]) -> TrioSttError | None:
    """Start the lanes of a server whose models fail as given, by model; returns what `serve` would end with."""

    def load(config: EngineConfig) -> FakeEngine:
        if config.model in errors:
            raise errors[config.model]
        return FakeEngine(lengths)

    monkeypatch.setattr(registry, "load", load)
    given = {"transcription_engine": "faster_whisper", "model": "/finals", "realtime_model": "/partials"}
    server_state = build_server(load_settings({"model_warmup": False, **given}))
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        with trio.fail_after(10):
            error = await _load_error(server_state)
            if error is None:
                await _announce(server_state, ["http://127.0.0.1:8010"], None, speaks=True)
        nursery.cancel_scope.cancel()
    return error


@pytest.mark.parametrize(
    "error",
    [
        SettingError("the model does not have this language"),
        ModelMissing("the model is not on this machine", model="/finals"),
        EngineUnavailable("there is no such file"),
        caused(EngineUnavailable("the package is not installed"), ModuleNotFoundError()),
    ],
)
async def test_what_only_a_change_can_mend_ends_the_server_with_status_2(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await announced(monkeypatch, {"/finals": error})
    assert isinstance(ended, SettingError)
    assert str(ended) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        caused(EngineUnavailable("no GPU memory left"), RuntimeError()),
        caused(EngineUnavailable("could not be downloaded"), DownloadInterrupted("no network")),
    ],
)
async def test_what_may_pass_ends_the_server_with_status_1(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(await announced(monkeypatch, {"/finals": error}), EngineUnavailable)


async def test_server_without_partials_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await announced(monkeypatch, {"/partials": EngineUnavailable("there is no such file")}) is None
    assert "but shows no partials" in capsys.readouterr().out


async def test_error_of_the_first_load_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert await announced(monkeypatch, {"/finals": EngineUnavailable("there is no such file")}) is not None
    assert "there is no such file" not in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a command's words in /proc")
@pytest.mark.parametrize(
    ("worker", "variable", "value", "message"),
    [
        ("asyncio", "TRIO_STT_MODEL", "/nowhere", "main lane: engine sherpa_onnx_moonshine: "),
        ("trio", "TRIO_STT_TRANSCRIPTION_ENGINE", "nope", "trio-stt: unknown engine 'nope'; "),
    ],
)
async def test_hypercorn_fails_with_one_line(worker: str, variable: str, value: str, message: str) -> None:
    command = [sys.executable, "-m", "hypercorn", "trio_stt.app:app", "-k", worker, "--bind", "127.0.0.1:0"]
    environment = os.environ | {variable: value, "PYTHONPATH": str(Path(__file__).parents[2])}
    with trio.fail_after(60):
        ended = await trio.run_process(command, env=environment, capture_stderr=True, check=False)
    assert ended.returncode != 0
    *before, line = ended.stderr.decode().splitlines()
    assert message in line
    assert all("Running on " in each for each in before)
