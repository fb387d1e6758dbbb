"""The command `trio-stt transcribe`, run as a process."""

import io
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import trio

from tests.support.real import moonshine_asset, shared_input
from tests.support.wer import BECKETT, TWO_CITIES, word_error_rate
from trio_stt.cli import main
from trio_stt.cli.transcribe import _check_all
from trio_stt.cli.transcript_output import TranscriptOutput
from trio_stt.errors import AudioFileError
from trio_stt.protocol.subtitles import as_srt, as_vtt
from trio_stt.protocol.transcript_formats import SpokenSegment, as_json, as_text
from trio_stt.server.sound_client import decode_in_thread


def trio_stt_process(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - a program of this test
        [sys.executable, "-m", "trio_stt", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )


def trio_stt(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    """The command in this process, which has imported the modules already."""
    out, err = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trio_stt.cli.transcribe.start_logging", lambda *_: None)  # it would last for other tests
        patch.setattr(sys, "setswitchinterval", lambda _: None)  # the same
        # A server that another test started here may have left a handler whose stream is closed.
        patch.setattr(logging.getLogger("trio_stt"), "handlers", [logging.NullHandler()])
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
        patch.setattr(sys, "stderr", io.TextIOWrapper(err, write_through=True))
        status = main([*map(str, arguments)])
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def test_json_has_the_times_of_each_segment() -> None:
    path = moonshine_asset("two_cities.wav")
    done = trio_stt("transcribe", "--format", "json", path)
    assert (done.returncode, done.stderr) == (0, b"")
    segments = json.loads(done.stdout)
    assert [segment["segmentId"] for segment in segments] == list(range(1, len(segments) + 1))
    assert word_error_rate(TWO_CITIES, " ".join(segment["text"] for segment in segments)) <= 0.1
    times = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert times == sorted(times)
    assert 0 < times[0] < 2
    assert 40 < times[-1] < soundfile.info(path).duration


@pytest.mark.parametrize(
    ("extension", "subtype"),
    [
        ("ogg", "VORBIS"),
        *(pytest.param(*other, marks=pytest.mark.long) for other in (("flac", "PCM_24"), ("wav", "FLOAT"))),
    ],
)
def test_other_formats_give_the_same_words(tmp_path: Path, extension: str, subtype: str) -> None:
    samples, rate_hz = soundfile.read(moonshine_asset("beckett.wav"))
    path = tmp_path / f"beckett.{extension}"
    soundfile.write(path, np.stack([samples, samples], axis=1), rate_hz, subtype=subtype)
    done = trio_stt("transcribe", path)
    assert done.returncode == 0, done.stderr
    assert word_error_rate(BECKETT, done.stdout.decode()) <= 0.2


def test_wav_on_standard_input() -> None:
    done = trio_stt_process("transcribe", "-", stdin=moonshine_asset("beckett.wav").read_bytes())
    assert done.returncode == 0, done.stderr
    assert word_error_rate(BECKETT, done.stdout.decode()) <= 0.2


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["transcribe", __file__], b"", "not a readable sound file"),
        (["transcribe", "-"], b"nonsense", "not a readable sound file"),
        (["transcribe", "/nowhere.wav"], b"", "/nowhere.wav: cannot be opened: No such file"),
        (["transcribe", "/tmp"], b"", "/tmp: cannot be opened: Is a directory"),  # noqa: S108 - any folder will do
        (["transcribe", "-", "--format", "mp3"], b"", "--format"),
        (["transcribe", "a.wav", "b.wav", "--format", "srt"], b"", "--format srt: takes one FILE"),
        (["transcribe", "a.wav", "--max-lines", "3"], b"", "--max-lines: needs --format srt or vtt"),
        (
            ["transcribe", "a.wav", "--max-line-width", "9", "--format", "vtt"],
            b"",
            "--max-line-width: '9' is not allowed; expected 10 to 200",
        ),
        (
            ["transcribe", "a.wav", "--channels", "left"],
            b"",
            "--channels: must be mix, separate or a number from 1 to 8, not 'left'",
        ),
        (["transcribe", "a.wav", "--engine", "nonsense"], b"", "nonsense"),
        (["transcribe", "a.wav", "--port", "1"], b"", "--port"),
        (["transcribe", "a.wav", "--record", "here"], b"", "--record"),
        (["transcribe", "a.wav", "--resume-grace-s", "1"], b"", "--resume-grace-s"),
        (["serve", "--prot", "1"], b"", "--prot"),
        (["serve", "--port", "1e3"], b"", "--port: '1e3' is not allowed; expected a valid integer"),
        (
            ["serve", "--silero-sensitivity", "2"],
            b"",
            "--silero-sensitivity: '2' is not allowed; expected less than or",
        ),
        (["serve", "--device", "tpu"], b"", "--device: 'tpu' is not allowed; expected 'auto', 'cpu' or 'cuda'"),
        (["serve", "--engine-options", "[]"], b"", "--engine-options"),
        (["serve", "--engine", "kaldi"], b"", "kaldi"),
        (["serve", "--max-audio-queue-seconds-per-session", "0.5"], b"", "must be 0 or at least 1"),
        (["dance"], b"", "dance"),
    ],
)
def test_invalid_arguments_end_with_status_2_and_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    stdin: bytes,
    message: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    monkeypatch.setattr("trio_stt.cli.transcribe.start_logging", lambda *_: None)  # it would affect other tests
    try:
        status = main(arguments)
    except SystemExit as exited:
        status = int(exited.code or 0)
    written = capsys.readouterr()
    assert (status, written.out) == (2, "")
    (line,) = written.err.splitlines()
    assert line.startswith("trio-stt")
    assert message in line


def test_file_name_that_is_not_utf_8_ends_with_one_line() -> None:
    done = trio_stt_process("transcribe", os.fsdecode(b"bad\xff.wav"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_unwritable_output_ends_with_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "trio_stt", "transcribe", str(moonshine_asset("beckett.wav"))]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)  # noqa: S603 - our own program
    assert done.returncode == 1
    assert done.stderr == b"trio-stt: the transcript cannot be written: No space left on device\n"


def test_file_without_audio_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16_000)
    done = trio_stt("transcribe", path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"contains no audio" in done.stderr


def cut_flac(folder: Path) -> Path:
    """A FLAC of the reading, truncated after two thirds of its bytes."""
    samples, rate_hz = soundfile.read(moonshine_asset("beckett.wav"))
    whole, cut = folder / "whole.flac", folder / "cut.flac"
    soundfile.write(whole, samples, rate_hz)
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    return cut


def test_words_of_damaged_and_unusual_files() -> None:
    cut = ["speech_cut.flac", "speech_cut.mp3"]
    whole = ["speech_size0.wav", "speech_unknown_length.flac", "speech_gsm610.wav", "opposite_phase.flac"]
    silent = ["g721.wav"]
    files = [shared_input(name) for name in [*cut, *whole, *silent]]
    done = trio_stt("transcribe", "--format", "json", *files)
    assert done.returncode == 1
    texts = dict.fromkeys(map(str, files), "")
    for segment in json.loads(done.stdout):
        texts[segment["file"]] += segment["text"].lower() + " "
    for name in whole:
        assert "predecessors of the true printed book" in texts[str(shared_input(name))]
    for name in cut:
        text = texts[str(shared_input(name))]
        assert "comparatively modern" in text
        assert text.count("which were the") == 1
    faults = done.stderr.decode().splitlines()
    assert [line.split(": ")[1:3] for line in faults] == [
        *([str(shared_input(name)), "cannot be read to its end"] for name in cut),
        *([str(shared_input(name)), "no speech was found"] for name in silent),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes the streams")
@pytest.mark.parametrize(
    ("closed", "status", "out", "err"),
    [
        (">&-", 1, b"", b"trio-stt: the transcript cannot be written: standard output is closed\n"),
        ("<&- 2>&-", 1, b"fail better", b""),
    ],
)
def test_closed_standard_streams(closed: str, status: int, out: bytes, err: bytes) -> None:
    files = [str(moonshine_asset("beckett.wav")), *(["/nowhere.wav"] if "2" in closed else [])]
    command = [sys.executable, "-m", "trio_stt", "transcribe", *files]
    done = subprocess.run(  # noqa: S603 - our own program
        ["bash", "-c", f'"$@" {closed}', "bash", *command],  # noqa: S607 - the shell of the path
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (status, err)
    assert out in done.stdout.lower()
    assert b"nowhere" not in done.stdout


async def test_more_files_than_a_process_may_have_open(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16_000)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 20, before[1]))
    try:
        files = [str(tmp_path / "a.wav")] * 100
        assert await _check_all(files) == files
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_decoder_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.server.sound_client._MAX_READ_S", 0.05)
    answer = threading.Event()
    try:
        with pytest.raises(AudioFileError, match=r"a\.ogg: cannot be read: its decoder does not answer for 0\.05 s"):
            await decode_in_thread("a.ogg", answer.wait)
    finally:
        answer.set()


@pytest.mark.parametrize("format_name", ["text", pytest.param("json", marks=pytest.mark.long)])
def test_words_before_the_end_of_a_cut_file_are_written(tmp_path: Path, format_name: str) -> None:
    done = trio_stt("transcribe", cut_flac(tmp_path), "--format", format_name)
    assert done.returncode == 1
    assert b"ever failed" in done.stdout.lower()
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"trio-stt: {tmp_path / 'cut.flac'}: cannot be read to its end: ")


def test_one_bad_file_among_others_is_reported_and_skipped() -> None:
    done = trio_stt("transcribe", __file__, moonshine_asset("beckett.wav"), "/nowhere.wav")
    assert done.returncode == 1
    name, _, text = done.stdout.decode().partition("\n")
    assert "beckett.wav" in name
    assert word_error_rate(BECKETT, text) <= 0.2
    assert [line.split(": ")[1] for line in done.stderr.decode().splitlines()] == [__file__, "/nowhere.wav"]


def test_without_a_readable_file_each_is_reported() -> None:
    done = trio_stt("transcribe", __file__, "/nowhere.wav")
    assert (done.returncode, done.stdout) == (2, b"")
    assert [line.split(": ")[1] for line in done.stderr.decode().splitlines()] == [__file__, "/nowhere.wav"]


def test_interrupt_keeps_the_words_that_were_printed() -> None:
    files = [moonshine_asset("beckett.wav"), *[moonshine_asset("two_cities.wav")] * 40]
    # A shell starts background jobs with SIGINT ignored, which the program would inherit from the tests.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "trio_stt", "transcribe", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own program
        assert process.stdout is not None
        name, first = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert b"beckett.wav" in name
    assert b"tried" in first.lower()
    assert process.returncode == 130
    assert rest.count(b"best of times") < 40


def test_interrupt_writes_the_finished_segments_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object, __: object, ___: object, output: TranscriptOutput) -> None:
        output.add(SEGMENTS[0])
        raise KeyboardInterrupt

    monkeypatch.setattr("trio_stt.cli.transcribe.start_logging", lambda *_: None)
    monkeypatch.setattr(trio, "run", interrupted)
    assert main(["transcribe", str(moonshine_asset("beckett.wav")), "--format", "json"]) == 130
    assert [segment["text"] for segment in json.loads(capsys.readouterr().out)] == ["One & two."]


def test_output_is_utf_8_on_every_console(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    text = "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{GREEK SMALL LETTER PI}"
    TranscriptOutput("text").add(SpokenSegment(file="a.wav", segment_id=1, start=0.0, end=1.0, text=text))
    assert written.getvalue().decode() == f"{text}\n"


def test_missing_model_ends_with_status_1_and_the_command_that_fetches_it(tmp_path: Path) -> None:
    done = trio_stt(
        "transcribe",
        moonshine_asset("beckett.wav"),
        "--engine",
        "whisper_cpp",
        "--download-root",
        tmp_path,
        "--offline",
    )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "run `trio-stt models pull tiny.en --engine whisper_cpp --download-root" in line


SEGMENTS = [
    SpokenSegment(file="a.wav", segment_id=1, start=0.0, end=1.5, text="One & two."),
    SpokenSegment(file="a.wav", segment_id=3, start=3661.0404, end=3662.9996, text="Three <four>."),
]


def test_formats() -> None:
    assert as_text(SEGMENTS) == "One & two.\nThree <four>.\n"
    assert as_srt(SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne & two.\n\n2\n01:01:01,040 --> 01:01:03,000\nThree <four>.\n"
    )
    assert as_vtt(SEGMENTS) == (
        "WEBVTT\n"
        "\n1\n00:00:00.000 --> 00:00:01.500\nOne &amp; two.\n"
        "\n2\n01:01:01.040 --> 01:01:03.000\nThree &lt;four&gt;.\n"
    )
    assert json.loads(as_json(SEGMENTS))[1] == {
        "file": "a.wav",
        "segmentId": 3,
        "start": 3661.04,
        "end": 3663.0,
        "text": "Three <four>.",
    }
    assert (as_text([]), as_srt([]), as_vtt([]), json.loads(as_json([]))) == ("", "", "WEBVTT\n", [])


def two_speakers(folder: Path) -> Path:
    """A recording with another speaker on each of its channels."""
    left, rate_hz = soundfile.read(moonshine_asset("beckett.wav"), dtype="int16")
    right, right_hz = soundfile.read(moonshine_asset("two_cities.wav"), dtype="int16", frames=4 * 48_000)
    right = soxr.resample(right, right_hz, rate_hz)
    stereo = np.zeros((left.size, 2), np.int16)
    stereo[:, 0] = left
    stereo[2 * rate_hz : 2 * rate_hz + right.size, 1] = right
    soundfile.write(folder / "call.wav", stereo, rate_hz)
    return folder / "call.wav"


def test_each_channel_is_a_speaker(tmp_path: Path) -> None:
    call = two_speakers(tmp_path)
    done = trio_stt("transcribe", call, "--channels", "separate", "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    segments = json.loads(done.stdout)
    assert [segment["segmentId"] for segment in segments] == list(range(1, len(segments) + 1))
    starts = [segment["start"] for segment in segments]
    assert starts == sorted(starts)
    of_channel = {n: " ".join(each["text"] for each in segments if each["channel"] == n) for n in (1, 2)}
    assert word_error_rate(BECKETT, of_channel[1]) <= 0.2
    assert of_channel[2].lower().startswith("it was the best of times")
    one = trio_stt("transcribe", call, "--channels", "2")
    assert one.stdout.decode().split() == of_channel[2].split()
    missing = trio_stt("transcribe", call, "--channels", "3")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert missing.stderr.decode() == f"trio-stt: {call}: has 2 channels; there is no channel 3\n"
