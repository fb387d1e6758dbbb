"""`trio-stt transcribe`: runs sound files through the same session that serves a socket, faster than real time.

It owns the pace, the output and the progress bar. Text is printed as soon as it is final; the other formats are written
at the end, also when a file breaks off or Ctrl-C stops the command. `transcript_formats` formats, `sound.reader` reads.
"""

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from typing import TypeVar

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray
from tqdm import tqdm

from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.cli.transcript_formats import FORMATS, SpokenSegment, as_text
from trio_stt.errors import AudioFileError, EngineUnavailable, SettingError, TrioSttError
from trio_stt.protocol.commands import Command
from trio_stt.protocol.events import Error, Event, Final, decode
from trio_stt.protocol.packets import build_packet
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server, prepare_process
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed
from trio_stt.session.session import Session
from trio_stt.settings import Settings
from trio_stt.sound.reader import Sound, read_sound
from trio_stt.sound.source import open_source, shown_name

_T = TypeVar("_T")

_MAX_BACKLOG_S = 60.0
"""Seconds of finished speech that may wait for finals before more of the file is read: enough to keep a lane busy."""
_PACKETS_PER_S = 10
_MAX_READ_S = 60.0
"""Seconds after which a decoder that does not return is left behind: it usually reads a second of audio in a few ms."""
_PROGRESS = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio, {rate_fmt}"
_PROGRESS_WITHOUT_TOTAL = "{desc}: {n:.0f} s of audio, {rate_fmt}"
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
    output = _Output(format_name)
    try:
        with unwrap_errors(AudioFileError, EngineUnavailable, OutputError, BrokenPipeError):
            complete = trio.run(_transcribe_all, server_state, files, output)
    finally:
        output.finish()
    return 0 if complete else 1


def _report(message: str) -> None:
    with tqdm.external_write_mode(file=sys.stderr):
        print(f"trio-stt: {message}", file=sys.stderr)


class _Output:
    """Standard output, in UTF-8 on every system: prints text at once and collects segments for the other formats.

    Raises:
        OutputError: It is closed.
    """

    def __init__(self, format_name: str) -> None:
        self._format_name = format_name
        self._segments: list[SpokenSegment] = []
        self._failed = False
        if sys.stdout is None:
            raise OutputError("the transcript cannot be written: standard output is closed")
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


async def _transcribe_all(server_state: ServerState, files: Sequence[str], output: _Output) -> bool:
    """Transcribe the files in order; return whether all of them are complete.

    Raises:
        AudioFileError: No file can be opened.
        EngineUnavailable: There is no engine to transcribe with.
    """
    sounds = await _check_all(files)
    complete = len(sounds) == len(files)
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        prepare_process()  # while the lane's thread loads the model
        await server_state.lanes.wait_loaded()
        for error in server_state.startup_errors():
            raise EngineUnavailable(error.message)
        for lane in server_state.lanes.statistics().lanes:
            if lane.engine and lane.engine.notice:
                _report(lane.engine.notice)
        for opened in sounds:
            try:
                sound = opened if isinstance(opened, Sound) else await _open(opened)
            except AudioFileError as error:  # it was removed or replaced meanwhile
                _report(str(error))
                complete = False
            else:
                complete &= await _transcribe(server_state, sound, output)
        nursery.cancel_scope.cancel()
    return complete


async def _check_all(files: Sequence[str]) -> list[str | Sound]:
    """Open each file once and report those that cannot be opened, before a model is loaded.

    Returns:
        The names of the others, because there may be more of them than a process may have open; and what can be read
        only once, open.

    Raises:
        AudioFileError: No file can be opened.
    """
    checked: list[str | Sound] = []
    messages: list[str] = []
    for name in files:
        try:
            sound = await _open(name)
        except AudioFileError as error:
            messages.append(str(error))
            continue
        if sound.is_copy:
            checked.append(sound)
        else:
            sound.close()
            checked.append(name)
    last = "" if checked else messages.pop()
    for message in messages:
        _report(message)
    if last:
        raise AudioFileError(last)
    return checked


async def _open(name: str) -> Sound:
    # Without a limit: a pipe is read to its end here, and it may come from a microphone.
    source, is_copy = await trio.to_thread.run_sync(open_source, name, abandon_on_cancel=True)
    shown = shown_name(name)
    return await _decode(shown, partial(read_sound, source, name=shown, is_copy=is_copy))


async def _decode(name: str, call: Callable[[], _T]) -> _T:
    """Call a decoder in a thread, which is left behind where the call does not end.

    Raises:
        AudioFileError: The file cannot be decoded, or the call does not end.
    """
    with trio.move_on_after(_MAX_READ_S):
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)
    raise AudioFileError(f"{name}: cannot be read: its decoder does not answer for {_MAX_READ_S:g} s")


async def _transcribe(server_state: ServerState, sound: Sound, output: _Output) -> bool:
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
        connection.close()
        server_state.leave(session_id)
    if connection.complete and not connection.spoke:
        _report(f"{sound.name}: {'no speech was found' if connection.length_s else 'contains no audio'}")
    return connection.complete


class _FileConnection:
    """A client that sends a file to its session and writes the finals to the output.

    Attributes:
        complete: Whether the whole file could be read and transcribed so far.
        spoke: Whether any text came.
        length_s: Seconds of audio that were read.
    """

    closed_cleanly = True

    def __init__(self, sound: Sound, output: _Output, *, max_backlog_s: float) -> None:
        self._max_backlog_s = max_backlog_s
        self.complete = True
        self.session: Session | None = None
        self._sound = sound
        self._output = output
        self._blocks = sound.mono_blocks()
        self._packets: deque[bytes] = deque()
        self.length_s = 0.0
        self.spoke = False
        self._reading = self._started = self._decoding = False
        self._progress = tqdm(
            total=round(sound.length_s, 1) if sound.length_s else None,
            desc=sound.name,
            unit="s",
            disable=not sys.stderr.isatty(),
            bar_format=_PROGRESS if sound.length_s else _PROGRESS_WITHOUT_TOTAL,
        )

    async def receive(self) -> str | bytes:
        """Return `start`, the file's packets and `stop`, then wait for the last final and raise ConnectionClosed."""
        assert self.session is not None  # noqa: S101 - set before the session runs
        if not self._started:
            self._started = self._reading = True
            return _command(Command.START)
        await trio.lowlevel.checkpoint()
        await self.session.wait_backlog_below(self._max_backlog_s)
        if not self._packets and self._reading:
            await self._read()
            if not self._reading:
                return _command(Command.STOP)
        if self._packets:
            return self._packets.popleft()
        await self.session.wait_drained()
        raise ConnectionClosed

    async def _read(self) -> None:
        """Read the next block, unless the file is over."""
        try:
            while not self._packets:
                self._decoding = True
                block = await _decode(self._sound.name, self._next_block)
                if block is None:
                    self._reading = False
                    return
                rate_hz = self._sound.rate_hz
                self.length_s += block.size / rate_hz
                self._progress.update(block.size / rate_hz)
                for start in range(0, block.size, rate_hz // _PACKETS_PER_S):
                    pcm = block[start : start + rate_hz // _PACKETS_PER_S].astype("<i2", copy=False).tobytes()
                    self._packets.append(build_packet(pcm, rate_hz=rate_hz))
        except AudioFileError as error:  # what was read until here still gets its finals
            self._reading = False
            self._fail(str(error))

    def _next_block(self) -> NDArray[np.int16] | None:
        try:
            return next(self._blocks, None)
        finally:
            self._decoding = False

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
            self.spoke = True
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

    def close(self) -> None:
        """Remove the progress bar and close the file, unless a thread that was left behind still decodes it."""
        self._progress.close()
        if not self._decoding:
            self._sound.close()

    def abort(self) -> None:
        """Do nothing: writing an event never blocks for long."""


def _command(command: Command) -> str:
    return msgspec.json.encode({"type": command}).decode()
