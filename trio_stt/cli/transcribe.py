"""`trio-stt transcribe`: runs sound files through the same session that serves a socket, faster than real time.

It owns the pace, the output and the progress bar. Text is printed as soon as it is final; the other formats are written
at the end, also when a file breaks off or Ctrl-C stops the command. `transcript_formats` formats, `sound_file` reads.
"""

import logging
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import msgspec
import trio
from tqdm import tqdm

from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.cli.sound_file import SoundFile, open_sound
from trio_stt.cli.transcript_formats import FORMATS, SpokenSegment, as_text
from trio_stt.errors import AudioFileError, EngineUnavailable, SettingError, TrioSttError
from trio_stt.protocol.commands import Command
from trio_stt.protocol.events import Error, Event, Final, decode
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server, prepare_process
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed
from trio_stt.session.session import Session
from trio_stt.settings import Settings

_MAX_BACKLOG_S = 60.0
"""Finished speech that may wait for its final before more of the file is read: enough to keep a lane busy."""
_ONE_FILE_FORMATS = frozenset({"srt", "vtt"})


class OutputError(TrioSttError):
    """Standard output cannot be written."""


def transcribe(settings: Settings, *, files: Sequence[str], format_name: str) -> int:
    """Write the transcript of files to standard output; return the exit status.

    A file that cannot be opened, breaks off or cannot be transcribed in part is reported on standard error; everything
    else is transcribed, and the status is 1.

    Raises:
        SettingError: The format takes one file only, or the settings are invalid.
        AudioFileError: No file can be opened.
        EngineUnavailable: There is no engine to transcribe with.
        OutputError: Standard output cannot be written.
    """
    if len(files) > 1 and format_name in _ONE_FILE_FORMATS:
        raise SettingError(f"--format {format_name}: takes one FILE, not {len(files)}")
    if files.count("-") > 1:
        raise AudioFileError("-: standard input can be read once")
    # The server's log lines are of no use at a terminal, where errors are printed.
    start_logging("CRITICAL" if settings.log_level == "INFO" else settings.log_level, settings.log_format)
    logging.getLogger("trio_stt.lanes.model_resolver").setLevel("INFO")  # downloads of gigabytes are announced
    # Files need no partials, wake words or recording, and may be read at any speed.
    changes = {"use_main_model_for_realtime": True, "wakeword_backend": "", "record": None, "max_audio_speed": 0.0}
    server_state = build_server(settings.model_copy(update=changes))
    sounds = _open_all(files)
    output = _Output(format_name)
    try:
        with unwrap_errors(EngineUnavailable, OutputError, BrokenPipeError):
            complete = trio.run(_transcribe_all, server_state, sounds, output)
    finally:
        output.finish()
    return 0 if complete and len(sounds) == len(files) else 1


def _open_all(files: Sequence[str]) -> list[SoundFile]:
    """Open the files and report those that cannot be opened.

    Raises:
        AudioFileError: No file can be opened.
    """
    sounds: list[SoundFile] = []
    messages: list[str] = []
    for name in files:
        try:
            sounds.append(open_sound(name))
        except AudioFileError as error:
            messages.append(str(error))
    last = "" if sounds else messages.pop()
    for message in messages:
        _report(message)
    if last:
        raise AudioFileError(last)
    return sounds


def _report(message: str) -> None:
    with tqdm.external_write_mode(file=sys.stderr):
        print(f"trio-stt: {message}", file=sys.stderr)


class _Output:
    """Standard output, in UTF-8 on every system: prints text at once and collects segments for the other formats."""

    def __init__(self, format_name: str) -> None:
        self._format_name = format_name
        self._segments: list[SpokenSegment] = []
        self._failed = False
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")

    def add(self, segment: SpokenSegment) -> None:
        """Print a segment, or keep it for `finish`.

        Raises:
            OutputError: Standard output cannot be written.
            BrokenPipeError: Its reader has gone.
        """
        if self._format_name == "text":
            self._write(as_text([segment]))
        else:
            self._segments.append(segment)

    def finish(self) -> None:
        """Write the segments that were kept; raises as `add` does."""
        if self._format_name != "text" and not self._failed:
            self._write(FORMATS[self._format_name](self._segments))

    def _write(self, text: str) -> None:
        try:
            with tqdm.external_write_mode(file=sys.stdout):
                sys.stdout.write(text)
                sys.stdout.flush()
        except OSError as error:
            self._failed = True
            if isinstance(error, BrokenPipeError):
                raise
            # What is left in the buffer would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise OutputError(f"the transcript cannot be written: {error.strerror}") from None


async def _transcribe_all(server_state: ServerState, sounds: Sequence[SoundFile], output: _Output) -> bool:
    """Transcribe the files in order; return whether all of them are complete."""
    complete = True
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        prepare_process()  # while the lane's thread loads the model
        await server_state.lanes.wait_loaded()
        for error in server_state.startup_errors():
            raise EngineUnavailable(error.message)
        for lane in server_state.lanes.statistics().lanes:
            if lane.engine and lane.engine.notice:
                _report(lane.engine.notice)
        for sound in sounds:
            if not sound.duration_s:
                _report(f"{sound.name}: contains no audio")
            complete &= await _transcribe(server_state, sound, output)
        nursery.cancel_scope.cancel()
    return complete


async def _transcribe(server_state: ServerState, sound: SoundFile, output: _Output) -> bool:
    session_id = server_state.reserve()
    connection = _FileConnection(
        sound, output, max_backlog_s=min(_MAX_BACKLOG_S, server_state.settings.max_backlog_seconds)
    )
    try:
        session = Session(session_id=session_id, host=server_state, partials=False, live=False)
        server_state.admit(session)
        connection.session = session
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await session.serve_connection(connection)
    finally:
        connection.close_progress()
        sound.close()
        server_state.leave(session_id)
    return connection.complete


class _FileConnection:
    """A client that sends a file to its session and writes the finals to the output.

    Attributes:
        complete: Whether the whole file could be read and transcribed so far.
    """

    closed_cleanly = True

    def __init__(self, sound: SoundFile, output: _Output, *, max_backlog_s: float) -> None:
        self._max_backlog_s = max_backlog_s
        self.complete = True
        self.session: Session | None = None
        self._sound = sound
        self._output = output
        self._packets = sound.packets()
        self._progress = tqdm(
            total=round(sound.duration_s, 1),
            desc=sound.name,
            unit="s",
            disable=not sys.stderr.isatty(),
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio, {rate_fmt}",
        )
        self._started = self._stopped = False

    async def receive(self) -> str | bytes:
        """Return `start`, the file's packets and `stop`, then wait for the last final and raise ConnectionClosed."""
        assert self.session is not None  # noqa: S101 - set before the session runs
        if not self._started:
            self._started = True
            return _command(Command.START)
        await trio.lowlevel.checkpoint()
        await self.session.wait_backlog_below(self._max_backlog_s)
        try:
            for seconds, packet in self._packets:
                self._progress.update(seconds)
                return packet
        except AudioFileError as error:  # what was read until here still gets its finals
            self._fail(str(error))
        if not self._stopped:
            self._stopped = True
            return _command(Command.STOP)
        await self.session.wait_drained()
        raise ConnectionClosed

    async def send(self, *messages: str) -> None:
        """Write finals to the output and report errors."""
        await trio.lowlevel.checkpoint()
        for event in map(decode, messages):
            self._process(event)

    def _fail(self, message: str) -> None:
        self.complete = False
        _report(message)

    def _process(self, event: Event) -> None:
        if isinstance(event, Error):
            self._fail(f"{self._sound.name}: {event.message}")
        if isinstance(event, Final):
            segment = event.segment
            assert segment is not msgspec.UNSET  # noqa: S101 - every final of ours names its segment
            start_s, end_s = segment.audio_start_seconds, segment.audio_end_seconds
            assert isinstance(start_s, float)  # noqa: S101 - as above
            assert isinstance(end_s, float)  # noqa: S101 - as above
            self._output.add(
                SpokenSegment(
                    file=self._sound.name,
                    segment_id=event.segment_id,
                    start=start_s,
                    end=end_s,
                    text=event.text,
                    pieces=event.pieces or (),
                )
            )

    def close_progress(self) -> None:
        """Remove the progress bar."""
        self._progress.close()

    def abort(self) -> None:
        """Do nothing: writing an event never blocks for long."""


def _command(command: Command) -> str:
    return msgspec.json.encode({"type": command}).decode()
