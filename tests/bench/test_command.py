"""The command `trio-stt bench` against the real server."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import trio

from tests.support.real import moonshine_asset
from trio_stt.bench.report import Result
from trio_stt.cli import main
from trio_stt.cli.reference_speech import make_clips, sound_files
from trio_stt.errors import AudioFileError


def sentence(folder: Path) -> Path:
    """The first two words of a reading, with their text beside it."""
    samples, rate_hz = soundfile.read(moonshine_asset("beckett.wav"), dtype="int16")
    path = folder / "sentence.wav"
    soundfile.write(path, samples[: round(1.7 * rate_hz)], rate_hz)
    path.with_suffix(".txt").write_text("Ever tried.", encoding="utf-8")
    return path


def test_own_server_is_measured(tmp_path: Path) -> None:
    figures, chart = tmp_path / "figures.json", tmp_path / "chart.svg"
    command = [sys.executable, "-m", "trio_stt", "bench", str(sentence(tmp_path)), "--clients", "2", "--stagger", "0.5"]
    command += ["--duration", "3", "--json", str(figures), "--plot", str(chart)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("clients")
    assert chart.read_text(encoding="utf-8").startswith("<svg")
    (run,) = msgspec.json.decode(figures.read_bytes(), type=Result).runs
    result = run.figures
    assert (result.connected, result.unfinished_segments, result.dropped_s, result.failures) == (2, 0, 0.0, [])
    assert result.word_error_rate == 0.0
    assert result.final.count >= 2
    assert result.final.p50_ms >= result.silence_ms - 200
    assert result.server is not None
    assert result.server.cpu_s_per_audio_s > 0
    assert result.server.rss_mib > 50


@pytest.mark.parametrize("content", ["one\ntwo", "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel", "k" * 513])
def test_invalid_key_file_is_rejected_without_showing_it(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["bench", "--api-key-file", str(path)])
    message = capsys.readouterr().err
    assert f"{path} must contain one key" in message
    assert content not in message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--clients", "0"], "argument --clients: '0' is not allowed; expected a whole number from 1 to 1000"),
        (["--talking", "0.5,2"], "argument --talking: '2' is not allowed; expected a number from 0 to 1"),
        (["--duration", "nan"], "argument --duration: 'nan' is not allowed; expected a number from 1 to 86400"),
        (["--clients", "2", "--ramp", "8"], "argument --ramp: not allowed with argument --clients"),
        (["--pid", "1"], "--pid: needs the --url of the running server"),
        (
            ["--url", "http://127.0.0.1:8010"],
            "argument --url: 'http://127.0.0.1:8010' is not the URL of a WebSocket, such as ws://127.0.0.1:8010/ws/transcribe",
        ),
        (["--api-key-file", "nowhere"], "argument --api-key-file: nowhere cannot be read: No such file or directory"),
        (
            ["--api-key-file", os.devnull],
            f"argument --api-key-file: {os.devnull} must contain one key: a line of 1 to 512 ASCII characters",
        ),
        (["nothing.wav"], "nothing.wav: cannot be opened: No such file or directory"),
    ],
)
def test_invalid_options_end_with_one_line(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["bench", *flags])
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert capsys.readouterr().err.strip().endswith(message)


@pytest.mark.parametrize("package", ["trio_websocket", "jiwer", "psutil"])
def test_missing_package_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["bench"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trio-stt: bench: the package {package} is not installed; run `")


def test_server_that_does_not_start_is_reported_with_its_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(sentence(tmp_path)), "--serve=--port nowhere"]) == 1
    message = capfd.readouterr().err
    assert "nowhere" in message
    assert "the server did not start" in message


def servers(pid: int) -> list[int]:
    """Process ids of the servers among a process's children. Imports may start other, short-lived children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline") for child in children}
    return [child for child, command in commands.items() if command.exists() and b"\0serve\0" in command.read_bytes()]


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
async def test_terminated_measurement_stops_its_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trio_stt", "bench", str(sentence(tmp_path))]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL)
    with trio.fail_after(100):
        while not servers(process.pid):  # noqa: ASYNC110 - another process cannot set our events
            await trio.sleep(0.05)
        (server,) = servers(process.pid)
        process.terminate()
        assert await process.wait() == 130
    assert not is_running(server)


def test_connection_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "ws://127.0.0.1:1/ws/transcribe"
    assert main(["bench", str(sentence(tmp_path)), "--url", url, "--duration", "1"]) == 1
    assert "no client could connect: connection: " in capsys.readouterr().err


def test_reference_speech_has_words_and_pauses(tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(sentence(tmp_path), dtype="int16")
    pause = np.zeros(rate_hz, np.int16)
    soundfile.write(tmp_path / "twice.wav", np.concatenate((pause, samples, pause, samples, pause)), rate_hz)
    (clip,) = make_clips([str(tmp_path / "twice.wav")], rate_hz=8_000, folder=tmp_path)
    assert clip.words is None
    assert clip.length_s == pytest.approx(3 + 2 * samples.size / rate_hz, abs=0.001)
    assert Path(clip.pcm_path).stat().st_size == round(clip.length_s * 8_000) * 2
    (first_start, first_end), (second_start, second_end) = clip.speech
    assert 1.0 < first_start < first_end <= 2.75
    assert second_start - first_start == pytest.approx(1 + samples.size / rate_hz, abs=0.07)
    assert second_end - first_end == pytest.approx(1 + samples.size / rate_hz, abs=0.07)


def test_file_without_speech_is_rejected(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000, np.int16), 16_000)
    with pytest.raises(AudioFileError, match="contains no speech"):
        make_clips([str(tmp_path / "silence.wav")], rate_hz=16_000, folder=tmp_path)


def test_folder_means_its_sound_files(tmp_path: Path) -> None:
    path = sentence(tmp_path)
    assert sound_files([str(tmp_path)]) == [str(path)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioFileError, match="contains no sound files"):
        sound_files([str(tmp_path / "empty")])
