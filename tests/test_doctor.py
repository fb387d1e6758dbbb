"""`trio-stt doctor`: results, problems and exit status."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import soundfile
import trio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.file_server import file_server
from tests.support.in_process import serving
from tests.support.real import moonshine_asset, package_folder
from trio_stt.cli import checks, main
from trio_stt.lanes.engines.devices import device_report
from trio_stt.models.cache import ModelCache
from trio_stt.settings import load_settings


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIO_STT_DOWNLOAD_ROOT", str(tmp_path / "models"))
    monkeypatch.setenv("TRIO_STT_PORT", "0")
    moonshine_asset("tiny-en")
    return tmp_path / "models"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with file_server() as other:
        yield other.port


def checked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    status = main(["doctor", "--json", *words])
    return status, json.loads(capsys.readouterr().out)


def test_complete_installation_has_no_problem(capsys: pytest.CaptureFixture[str], models_folder: Path) -> None:
    status, found = checked(capsys)
    assert (status, found["ok"]) == (0, True)
    assert found["lanes"] == [
        {
            "use": "finals and partials",
            "engine": "sherpa_onnx_moonshine",
            "model": "moonshine-tiny-en",
            "ok": True,
            "message": "runs moonshine-tiny-en on cpu",
        }
    ]
    versions = {package["name"]: package["version"] for package in found["packages"]}
    assert versions["trio"] == trio.__version__
    assert {"sherpa-onnx", "hypercorn"} <= versions.keys()
    assert found["libsndfile"] == soundfile.__libsndfile_version__
    assert found["ffmpeg"].endswith(f"PyAV {av.__version__}")
    extras = {package["name"]: package["extra"] for package in found["packages"]}
    assert extras["trio-websocket"] == "bench"
    assert extras["trio"] is None
    assert [(each["engine"], each["device"]) for each in found["devices"]] == [
        (each.engine, each.device) for each in device_report()
    ]
    assert found["modelsFolder"] == str(models_folder)
    models = {each["name"]: each["path"] for each in found["models"]}
    models.pop("smart-turn-v3.2", None)  # where the package of the extra `turn` is installed
    assert models == {
        "moonshine-tiny-en": str(moonshine_asset("tiny-en")),
        "openwakeword": str(package_folder("openwakeword") / "resources" / "models"),
    }
    assert found["environment"] == {"TRIO_STT_DOWNLOAD_ROOT": str(models_folder), "TRIO_STT_PORT": "0"}
    assert found["server"]["state"] == "free"
    assert found["server"]["page"]


def test_text_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("trio-stt ")
    heads = [line for line in lines if line and not line.startswith((" ", "!"))]
    assert heads[1:6] == ["Packages", "Devices", "Engines", "Models", "Settings from the environment"]
    assert (
        "  finals and partials          sherpa_onnx_moonshine, moonshine-tiny-en: runs moonshine-tiny-en on cpu"
        in lines
    )
    assert any(line.startswith("  end of turn                  `--endpointing fixed`: a silence of") for line in lines)
    assert lines[-1] == "No problems found."


def test_libraries_that_cannot_be_loaded_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    main(["doctor"])
    out = capsys.readouterr().out
    assert "  FFmpeg                       cannot be loaded, so MP3, M4A, Ogg and video files cannot be read\n" in out


def test_port_of_another_program_is_a_problem(capsys: pytest.CaptureFixture[str], taken_port: int) -> None:
    status, found = checked(capsys, "--port", str(taken_port))
    assert (status, found["ok"]) == (1, False)
    assert found["server"]["state"] == "taken"
    assert found["server"]["message"] == "cannot be bound: Address already in use"


def test_engine_that_does_not_load_is_a_problem(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--engine", "whisper_cpp", "--model", str(tmp_path / "none.bin")]) == 1
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("! finals"))
    assert f"no model file {tmp_path / 'none.bin'}" in line
    assert out.endswith('Problems are marked with "!".\n')


@pytest.mark.parametrize(
    ("endpointing", "beginning"),
    [
        ("fixed", "`--endpointing fixed`: a silence of 0.55 s; `adaptive` judges by "),
        ("adaptive", "`--endpointing adaptive`: pauses are judged by "),
    ],
)
def test_doctor_says_what_ends_a_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpointing: str, beginning: str
) -> None:
    monkeypatch.setattr(checks, "embedded", lambda _: None)
    found = checks.end_of_turn(load_settings({"endpointing": endpointing}), ModelCache(tmp_path))
    message = beginning + "the text alone; `trio-stt models pull smart-turn-v3.2` adds the sound"
    assert found == checks.EndOfTurnCheck(ok=True, turn_model=None, message=message)


def test_turn_model_that_does_not_run_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "turn.onnx"
    broken.write_bytes(b"no network")
    monkeypatch.setattr(checks, "embedded", lambda _: broken)
    found = checks.end_of_turn(load_settings({}), ModelCache(tmp_path))
    assert not found.ok
    assert f"judges by the text alone: {broken} does not run as Smart Turn" in found.message


@pytest.mark.parametrize("offline", [False, True])
def test_missing_model_is_a_problem_when_offline(
    capsys: pytest.CaptureFixture[str], models_folder: Path, offline: bool
) -> None:
    words = ["--engine", "parakeet", *(["--offline"] if offline else [])]
    status, found = checked(capsys, *words)
    assert status == int(offline)
    message = found["lanes"][0]["message"]
    if offline:
        assert "run `trio-stt models pull nvidia/parakeet-tdt-0.6b-v3 --engine sherpa_onnx_parakeet" in message
    else:
        assert message == "is downloaded at the next start (487 MB)"
    assert not models_folder.exists()


def test_private_settings_are_hidden(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_STT_TRANSCRIPTION_ENGINE_OPTIONS", '{"num_threads": 3}')
    _, found = checked(capsys)
    assert found["environment"]["TRIO_STT_TRANSCRIPTION_ENGINE_OPTIONS"] == "(set)"


def test_missing_required_package_is_a_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "requires", lambda _: ["no-such-package>=1", "no-such-extra>=1; extra == 'more'"])
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (missing,) = [line for line in lines if line.startswith("! no-such-package              not installed; run `")]
    assert "pip install no-such-package" in missing
    assert any(line.startswith("  no-such-extra                not installed; run `") for line in lines)


@pytest.mark.parametrize("words", [["--engine", "no_such"], ["--port", "70000"]])
def test_invalid_settings_end_with_one_line(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["doctor", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--keys-file", "no-keys", "keys_file: no-keys does not exist; `trio-stt keys create` creates it"),
        ("--certfile", "cert.pem", "keyfile: is missing; TLS needs both --certfile and --keyfile"),
        ("--trusted-proxies", "nginx", "trusted_proxies: 'nginx' is not an address"),
        ("--allowed-origins", "example.org", "allowed_origins: 'example.org' is not an origin"),
        ("--record", __file__, f"record: cannot write to {__file__}"),
    ],
)
def test_settings_that_prevent_a_start_are_a_problem(
    capsys: pytest.CaptureFixture[str], flag: str, value: str, message: str
) -> None:
    status, found = checked(capsys, flag, value)
    assert (status, found["ok"]) == (1, False)
    assert found["refusal"].startswith(message)


async def test_running_server_is_queried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        status, found = await trio.to_thread.run_sync(checked, capsys, "--port", str(port))
    assert status == 0
    assert found["lanes"] == []
    assert found["server"] == {
        "address": f"http://127.0.0.1:{port}",
        "state": "running",
        "ok": True,
        "message": "trio-stt runs there and transcribes",
        "page": True,
    }


def test_address_of_another_machine_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = checked(capsys, "--host", "192.0.2.1", "--port", "8010")
    assert status == 1
    assert found["server"]["message"].startswith("cannot be bound: ")


def test_wildcard_address_is_checked_on_loopback(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    _, found = checked(capsys, "--host", "0.0.0.0", "--port", str(port))  # noqa: S104 - nothing listens
    assert found["server"]["address"] == f"http://127.0.0.1:{port}"


def test_address_with_a_certificate_is_https() -> None:
    settings = load_settings({"port": "0", "certfile": "cert.pem", "keyfile": "key.pem"})
    assert checks.server(settings).address == "https://127.0.0.1:0"
