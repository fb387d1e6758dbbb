"""Where `trio-stt transcribe` writes: standard output, a file, or a folder with a file for each sound.

Text is written as soon as it is final, the other formats at the end of a file, also when the command is interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path, PurePath
from typing import Self, TextIO

from tqdm import tqdm

from trio_stt.cli.transcribe_options import TranscribeRequest
from trio_stt.errors import SettingError, TrioSttError
from trio_stt.protocol.subtitle_lines import SubtitleLayout
from trio_stt.protocol.subtitles import as_srt, as_vtt
from trio_stt.protocol.transcript_formats import SpokenSegment, as_json, as_text

_EXTENSIONS = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}
_ONE_SOUND_FORMATS = frozenset({"srt", "vtt"})


class OutputError(TrioSttError):
    """Standard output, or a file, cannot be written."""


class TranscriptOutput:
    """Writes the transcripts of sounds, one after the other.

    Args:
        format_name: One of "text", "json", "srt" and "vtt".
        layout: Of subtitles.
        target: A file, or a folder that exists or whose name ends in a separator; None for standard output.
        inputs: The names of all sounds. None of them is overwritten.

    Raises:
        SettingError: Several sounds cannot share one file in this format, or the target is one of the sounds.
        OutputError: Standard output is closed, or the target cannot be created.
    """

    def __init__(
        self,
        format_name: str,
        target: str | None = None,
        *,
        inputs: Sequence[str] = (),
        layout: SubtitleLayout | None = None,
    ) -> None:
        self._format_name = format_name
        self._layout = layout or SubtitleLayout()
        self._inputs = inputs
        self._names_sounds = len(inputs) > 1 and format_name == "text"
        self._folder = Path(target) if target is not None and _is_folder(target) else None
        self._taken: set[str] = set()  # names of files in the folder
        self._stream: _Stream | None = None
        if self._folder is not None:
            _create_folder(self._folder)
            self._names_sounds = False
        elif len(inputs) > 1 and format_name in _ONE_SOUND_FORMATS:
            raise SettingError(
                f"--format {format_name}: takes one FILE, not {len(inputs)}, unless --output is a folder"
            )
        elif target is not None:
            self._stream = self._open(Path(target))
        else:
            self._stream = self._standard_output()

    @classmethod
    def of(cls, request: TranscribeRequest) -> Self:
        """The output that a request asks for; raises as the constructor does."""
        layout = SubtitleLayout(**request.layout)
        return cls(request.format_name, request.target, inputs=request.files, layout=layout)

    def begin(self, name: str) -> None:
        """Begin the transcript of a sound.

        Raises:
            SettingError: Its file is one of the sounds.
            OutputError: Its file cannot be created.
            BrokenPipeError: The reader of standard output has gone.
        """
        if self._folder is not None:
            self.finish()
            self._stream = self._open(self._folder / self._file_name(name))
        elif self._names_sounds and self._stream is not None:
            self._stream.name_sound(name)

    def add(self, segment: SpokenSegment) -> None:
        """Write a segment of the sound, or keep it for `finish`; raises as `begin` does."""
        assert self._stream is not None  # noqa: S101 - `begin` comes first where there is none from the start
        self._stream.add(segment)

    def finish(self) -> None:
        """Write what was kept, and close the file; raises as `begin` does."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.finish()

    def _open(self, path: Path) -> "_Stream":
        if path.exists() and any(Path(name).exists() and path.samefile(name) for name in self._inputs):
            raise SettingError(f"--output: {path} is one of the sound files")
        try:
            file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"--output: {path} cannot be created: {error.strerror}") from None
        return _Stream(file, name=str(path), write=self._writer(), is_own=True)

    def _standard_output(self) -> "_Stream":
        if sys.stdout is None:
            raise OutputError("the transcript cannot be written: standard output is closed")
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # also on a console with another encoding
        return _Stream(sys.stdout, name="standard output", write=self._writer(), is_own=False)

    def _writer(self) -> Callable[[Sequence[SpokenSegment]], str] | None:
        """Writes all segments at the end; None where each is written at once."""
        match self._format_name:
            case "json":
                return as_json
            case "srt":
                return partial(as_srt, layout=self._layout)
            case "vtt":
                return partial(as_vtt, layout=self._layout)
        return None

    def _file_name(self, name: str) -> str:
        stem = "standard input" if name == "-" else PurePath(name).stem
        extension, number = _EXTENSIONS[self._format_name], 1
        file_name = stem + extension
        while file_name in self._taken:  # sounds of one name in several folders, or of several kinds
            number += 1
            file_name = f"{stem} {number}{extension}"
        self._taken.add(file_name)
        return file_name


class _Stream:
    """An open file or standard output, for one transcript or several."""

    def __init__(
        self, file: TextIO, *, name: str, write: Callable[[Sequence[SpokenSegment]], str] | None, is_own: bool
    ) -> None:
        self._file = file
        self._name = name
        self._write_all = write
        self._is_own = is_own
        self._segments: list[SpokenSegment] = []
        self._has_failed = self._has_text = False

    def name_sound(self, name: str) -> None:
        self._write(f"{'' if not self._has_text else chr(10)}==> {name} <==\n")

    def add(self, segment: SpokenSegment) -> None:
        if self._write_all is None:
            self._write(as_text([segment]))
        else:
            self._segments.append(segment)

    def finish(self) -> None:
        try:
            if self._write_all is not None and not self._has_failed:
                self._write(self._write_all(self._segments))
        finally:
            if self._is_own:
                self._close()

    def _close(self) -> None:
        try:
            self._file.close()
        except OSError as error:  # closing writes what a full disk has not taken
            if not self._has_failed:
                raise OutputError(f"{self._name}: cannot be written: {error.strerror}") from None

    def _write(self, text: str) -> None:
        self._has_text = True
        try:
            with tqdm.external_write_mode(file=sys.stdout):
                self._file.write(text)
                self._file.flush()
        except OSError as error:
            self._has_failed = True
            if isinstance(error, BrokenPipeError):
                raise
            if not self._is_own:  # what is left in the buffer would fail again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            where = f" to {self._name}" if self._is_own else ""
            raise OutputError(f"the transcript cannot be written{where}: {error.strerror}") from None


def _is_folder(target: str) -> bool:
    return target.endswith(("/", os.sep)) or Path(target).is_dir()


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--output: the folder {folder} cannot be created: {error.strerror}") from None


def report(message: str) -> None:
    """Write a message to standard error, above a progress bar."""
    with tqdm.external_write_mode(file=sys.stderr):
        print(f"trio-stt: {message}", file=sys.stderr)
