"""`trio-stt models` as a process: output, interruptions, a full disk, concurrent pulls."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.file_server import FileServer, ServedFile
from tests.support.real import moonshine_asset
from trio_stt.cli import main
from trio_stt.models.catalogue import ENTRIES
from trio_stt.models.model_languages import PARAKEET_V3

ROOT = Path(__file__).parents[2]
RELEASES_URL = "https://github.com/k2-fsa/sherpa-onnx/releases/download/asr-models"
WEIGHTS = os.urandom(3_000_000)


@pytest.fixture(autouse=True)
def served(web: FileServer) -> ServedFile:
    return web.serve("weights.bin", WEIGHTS)


def environment(web: FileServer, tmp_path: Path, **more: str) -> Mapping[str, str]:
    file = web.files["/weights.bin"]
    given = {
        "TEST_URL": web.url("weights.bin"),
        "TEST_SIZE": str(len(file.content)),
        "TEST_SHA256": file.sha256,
        "TRIO_STT_DOWNLOAD_ROOT": str(tmp_path / "models"),
        "PYTHONUNBUFFERED": "1",
    }
    return os.environ | given | more


def start_command(web: FileServer, tmp_path: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - the test's own words; `finish_command` ends the process
        [sys.executable, "-m", "tests.support.models_command", "models", *words],
        cwd=ROOT,
        env=environment(web, tmp_path, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish_command(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Status, standard output and standard error."""
    with process:
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, out, err


def test_pull_path_and_rm(web: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "models" / "weights.bin"
    status, out, err = finish_command(start_command(web, tmp_path, "path", "mine"))
    assert (status, out) == (1, "")
    assert err == f"trio-stt: mine is not in {tmp_path / 'models'}; `trio-stt models pull` downloads it\n"
    status, out, err = finish_command(start_command(web, tmp_path, "pull", "mine"))
    assert (status, out) == (0, f"{path}\n"), err
    assert "mine for whisper_cpp, licence: MIT" in err
    assert path.read_bytes() == WEIGHTS
    assert finish_command(start_command(web, tmp_path, "path", "mine", "--engine", "whisper-cpp"))[:2] == (
        0,
        f"{path}\n",
    )
    assert finish_command(start_command(web, tmp_path, "rm", "mine"))[0] == 0
    assert not path.exists()
    assert finish_command(start_command(web, tmp_path, "rm", "mine"))[0] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_pull_resumes(web: FileServer, served: ServedFile, tmp_path: Path, number: signal.Signals) -> None:
    served.hold_after = 1_000_000
    process = start_command(web, tmp_path, "pull", "mine")
    assert served.held.wait(30)
    part = tmp_path / "models" / ".unfinished" / "weights.bin" / "weights.bin.part"
    while not part.exists() or part.stat().st_size < 1_000_000:
        assert process.poll() is None
    process.send_signal(number)
    status, out, err = finish_command(process)
    assert out == ""
    if number is signal.SIGINT:
        assert status == 130
        assert err.endswith("trio-stt: stopped; the same command continues the download\n")
    else:
        assert status == -number
    assert not (tmp_path / "models" / "weights.bin").exists()
    served.release.set()
    status, _, err = finish_command(start_command(web, tmp_path, "pull", "mine"))
    assert status == 0, err
    assert (tmp_path / "models" / "weights.bin").read_bytes() == WEIGHTS
    assert web.requests == [("/weights.bin", ""), ("/weights.bin", "bytes=1000000-")]


def test_concurrent_pulls_download_once(web: FileServer, served: ServedFile, tmp_path: Path) -> None:
    served.hold_after = 1_000_000
    first = start_command(web, tmp_path, "pull", "mine")
    assert served.held.wait(30)
    second = start_command(web, tmp_path, "pull", "mine")
    assert second.stderr is not None
    lines = [second.stderr.readline() for _ in range(2)]
    assert lines[1] == "trio-stt: mine is being pulled by another process; waiting\n"
    served.release.set()
    path = f"{tmp_path / 'models' / 'weights.bin'}\n"
    assert finish_command(first)[:2] == (0, path)
    assert finish_command(second)[:2] == (0, path)
    assert len(web.requests) == 1


def test_full_disk_keeps_the_part(web: FileServer, tmp_path: Path) -> None:
    status, out, err = finish_command(start_command(web, tmp_path, "pull", "mine", TEST_LIMIT="1000000"))
    assert (status, out) == (1, "")
    assert err.count("\n") == 2
    assert "trio-stt: the disk is full: no room left in" in err
    assert "Traceback" not in err
    assert finish_command(start_command(web, tmp_path, "pull", "mine"))[0] == 0
    assert web.requests == [("/weights.bin", ""), ("/weights.bin", "bytes=1000000-")]


def test_offline_forbids_pulling(web: FileServer, tmp_path: Path) -> None:
    status, _, err = finish_command(start_command(web, tmp_path, "pull", "mine", TRIO_STT_OFFLINE="1"))
    assert status == 2
    assert err == "trio-stt: TRIO_STT_OFFLINE: is on, so mine cannot be downloaded\n"
    assert not web.requests


def test_list_has_every_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["models", "list", "--download-root", str(tmp_path)]) == 0
    heads, *rows, last = capsys.readouterr().out.splitlines()
    assert heads.split() == [*("engine", "model", "size", "languages", "licence", "here"), *["first", "choice", "for"]]
    assert [row.split()[:2] for row in rows] == [[entry.engine, entry.name] for entry in ENTRIES]
    assert last == f"Downloads are stored in {tmp_path}."
    marked = {row.split()[1]: row[heads.index("here") :].split() for row in rows if row[heads.index("here") :].strip()}
    marked.pop("smart-turn-v3.2", None)  # embedded where the package of the extra `turn` is installed
    assert marked == {
        "moonshine-tiny-en": ["embedded", "English"],
        "nvidia/parakeet-tdt-0.6b-v3": ["25", "European", "languages"],
        "iic/SenseVoiceSmall": ["Chinese,", "Cantonese,", "Japanese,", "Korean"],
        "small": ["99", "languages"],
        "openwakeword": ["embedded"],
    }


def test_embedded_models_need_no_download(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for action in ("path", "pull"):
        assert main(["models", action, "moonshine-tiny-en", "--download-root", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"{moonshine_asset('tiny-en')}\n"
    assert not list(tmp_path.iterdir())


def test_list_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["models", "list", "--json", "--engine", "parakeet", "--download-root", str(tmp_path)]
    assert main(words) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {each["engine"] for each in listed} == {"sherpa_onnx_parakeet"}
    assert listed[0] == {
        "engine": "sherpa_onnx_parakeet",
        "name": "nvidia/parakeet-tdt-0.6b-v3",
        "otherNames": ["sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8"],
        "languages": "25 European",
        "languageCodes": list(PARAKEET_V3),
        "licence": "CC-BY-4.0",
        "sizeBytes": 487170055,
        "hasChecksum": True,
        "addresses": [f"{RELEASES_URL}/sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8.tar.bz2"],
        "path": None,
    }


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ("pull no-such-model", 1, "the catalogue has no model 'no-such-model'"),
        ("pull tiny.en", 1, "choose one with --engine"),
        ("pull tiny.en --engine no_such", 2, "unknown engine 'no_such'"),
        ("rm tiny.en-q5_1", 1, "tiny.en-q5_1 is not in"),
    ],
)
def test_invalid_commands_end_with_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: str, status: int, reason: str
) -> None:
    root = tmp_path / "models"
    assert main(["models", *words.split(), "--download-root", str(root)]) == status
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1
    assert not root.exists()


@pytest.mark.parametrize(("words", "missing"), [(["models"], "ACTION"), (["models", "pull"], "NAME")])
def test_missing_arguments_are_named(capsys: pytest.CaptureFixture[str], words: list[str], missing: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2
    assert f"the following arguments are required: {missing}" in capsys.readouterr().err
