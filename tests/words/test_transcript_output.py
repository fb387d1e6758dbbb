"""Where transcripts are written: standard output, one file, or a folder."""

from pathlib import Path

import pytest

from tests.support.real import moonshine_asset
from trio_stt.cli import main
from trio_stt.cli.transcript_output import OutputError, TranscriptOutput
from trio_stt.errors import SettingError
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.sound.source import shown_name

NAIVE = "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve"


def segment(text: str) -> SpokenSegment:
    return SpokenSegment(file="a.wav", segment_id=1, start=0.0, end=1.0, text=text)


def write(output: TranscriptOutput, transcripts: dict[str, str]) -> None:
    for name, text in transcripts.items():
        output.begin(name)
        output.add(segment(text))
    output.finish()


def test_texts_of_several_sounds_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    transcripts = {"a.wav": "one", "b.wav": "two"}
    write(TranscriptOutput("text", inputs=[*transcripts]), transcripts)
    assert capsys.readouterr().out == "==> a.wav <==\none\n\n==> b.wav <==\ntwo\n"


def test_file_gets_all_and_standard_output_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "all.txt"
    write(
        TranscriptOutput("text", str(target), inputs=["a.wav"]),
        {"a.wav": NAIVE},
    )
    assert target.read_text(encoding="utf-8") == f"{NAIVE}\n"
    assert capsys.readouterr().out == ""


def test_folder_gets_a_file_for_each_sound(tmp_path: Path) -> None:
    transcripts = {"x/a.wav": "one", "y/a.mp3": "two", "-": "three"}
    write(TranscriptOutput("srt", f"{tmp_path}/new/", inputs=[*transcripts]), transcripts)
    written = {path.name: path.read_text(encoding="utf-8").splitlines()[2] for path in (tmp_path / "new").iterdir()}
    assert written == {"a.srt": "one", "a 2.srt": "two", "standard input.srt": "three"}


def test_several_sounds_do_not_share_a_file_of_subtitles(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--format vtt: takes one FILE, not 2, unless --output is a folder"):
        TranscriptOutput("vtt", str(tmp_path / "a.vtt"), inputs=["a.wav", "b.wav"])


def test_no_sound_is_overwritten(tmp_path: Path) -> None:
    sound = tmp_path / "a.txt"
    sound.write_bytes(b"RIFF")
    with pytest.raises(SettingError, match="is one of the sound files"):
        TranscriptOutput("text", str(sound), inputs=[str(sound)])
    with pytest.raises(SettingError, match="is one of the sound files"):
        write(TranscriptOutput("text", str(tmp_path), inputs=[str(sound)]), {str(sound): "one"})
    assert sound.read_bytes() == b"RIFF"


def test_target_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "nothing" / "a.txt", tmp_path / "file" / "folder/"):
        with pytest.raises(OutputError, match="cannot be created"):
            TranscriptOutput("text", f"{target}/" if target.name == "folder" else str(target), inputs=["a.wav"])


def test_words_of_a_real_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.cli.transcribe.start_logging", lambda *_: None)
    assert main(["transcribe", str(moonshine_asset("beckett.wav")), "--format", "vtt", "-o", str(tmp_path)]) == 0
    assert "Ever failed." in (tmp_path / "beckett.vtt").read_text(encoding="utf-8")


@pytest.mark.parametrize("format_name", ["text", "json"])
def test_full_disk_is_one_error_also_when_the_file_is_closed(format_name: str) -> None:
    output = TranscriptOutput(format_name, "/dev/full")
    with pytest.raises(OutputError, match="No space left on device"):
        write(output, {"a.wav": "one"})
    output.finish()


def test_names_are_printed_in_one_line() -> None:
    assert shown_name("a\n\x1b[31m\udcff\x9bä.wav") == r"a\n\x1b[31m?\x9bä.wav"
