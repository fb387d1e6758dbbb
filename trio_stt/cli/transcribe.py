"""`trio-stt transcribe`: sound files through the very session that serves a socket, faster than real time.

It owns the pace and the progress bar. Formats are in `transcript_formats`, reading is in `sound`.
"""

import logging
import os
import sys
from collections.abc import Sequence

import msgspec
import trio
from tqdm import tqdm

from trio_stt.cli.error_groups import unwrap_group
from trio_stt.cli.sound_file import SoundFile, open_sound
from trio_stt.cli.transcript_formats import FORMATS, SpokenSegment
from trio_stt.errors import AudioFileError, EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.protocol.commands import Command
from trio_stt.protocol.events import Error, Event, Final, decode
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server, prepare_process
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed
from trio_stt.session.session import Session
from trio_stt.settings import Settings

_MAX_BACKLOG_S = 60.0
"""Finished speech that may wait for its final before the file is read on: enough to keep a lane busy."""
_ONE_FILE_FORMATS = frozenset({"srt", "vtt"})


def transcribe(settings: Settings, *, files: Sequence[str], format_name: str) -> int:
    """Write the transcript of files to standard output; returns the exit status.

    Raises:
        SettingError: The format takes one file only, or the settings are impossible.
        AudioFileError: A file is not audio; nothing is written then.
        EngineUnavailable: There is no engine to transcribe with.
        TranscriptionFailed: The engine could not transcribe a part of a file.
    """
    if len(files) > 1 and format_name in _ONE_FILE_FORMATS:
        raise SettingError(f"--format {format_name}: takes one FILE, not {len(files)}")
    if files.count("-") > 1:
        raise AudioFileError("-: standard input can be read once")
    # What a server logs is noise to a person at a terminal, who is told what matters in so many words.
    start_logging("CRITICAL" if settings.log_level == "INFO" else settings.log_level, settings.log_format)
    logging.getLogger("trio_stt.lanes.model_resolver").setLevel("INFO")  # a download of gigabytes is no noise
    # Nobody reads partials of a file: no lane is loaded for them. Nor does a file say wake words, or come too fast.
    # Nor is it recorded: it is there already.
    changes = {"use_main_model_for_realtime": True, "wakeword_backend": "", "record": None, "max_audio_speed": 0.0}
    server_state = build_server(settings.model_copy(update=changes))
    sounds = [open_sound(name) for name in files]
    try:
        segments = trio.run(_transcribe_all, server_state, sounds)
    except* (AudioFileError, EngineUnavailable, TranscriptionFailed) as group:
        raise unwrap_group(group) from None
    return _write(FORMATS[format_name](segments))


def _write(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # whoever read our output has enough: not worth a word
    except OSError as error:
        print(f"trio-stt: the transcript cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing may be left to flush at exit
        return 1
    return 0


async def _transcribe_all(server_state: ServerState, sounds: Sequence[SoundFile]) -> list[SpokenSegment]:
    segments: list[SpokenSegment] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        prepare_process()  # while the lane's thread loads the model
        await server_state.lanes.wait_loaded()
        for error in server_state.startup_errors():
            raise EngineUnavailable(error.message)
        for lane in server_state.lanes.statistics().lanes:
            if lane.engine and lane.engine.notice:
                print(f"trio-stt: {lane.engine.notice}", file=sys.stderr)
        for sound in sounds:
            if not sound.duration_s:
                print(f"trio-stt: {sound.name}: holds no sound", file=sys.stderr)
            segments += await _transcribe(server_state, sound)
        nursery.cancel_scope.cancel()
    return segments


async def _transcribe(server_state: ServerState, sound: SoundFile) -> list[SpokenSegment]:
    session_id = server_state.reserve()
    conversation = _FileConversation(
        sound, max_backlog_s=min(_MAX_BACKLOG_S, server_state.settings.max_backlog_seconds)
    )
    try:
        session = Session(session_id=session_id, server_state=server_state, partials=False, live=False)
        server_state.admit(session)
        conversation.session = session
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await session.serve_connection(conversation)
    finally:
        server_state.leave(session_id)
    return conversation.segments


class _FileConversation:
    """A client that reads a file out to its session and takes down the finals."""

    closed_cleanly = True

    def __init__(self, sound: SoundFile, *, max_backlog_s: float) -> None:
        self._max_backlog_s = max_backlog_s
        self.segments: list[SpokenSegment] = []
        self.session: Session | None = None
        self._sound = sound
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
        """`start`, the file's packets, `stop`; the end when every final is out."""
        assert self.session is not None  # noqa: S101 - set before the session runs
        if not self._started:
            self._started = True
            return _command(Command.START)
        await trio.lowlevel.checkpoint()
        await self.session.wait_backlog_below(self._max_backlog_s)
        for seconds, packet in self._packets:
            self._progress.update(seconds)
            return packet
        if not self._stopped:
            self._stopped = True
            return _command(Command.STOP)
        await self.session.wait_drained()
        self._progress.close()
        raise ConnectionClosed

    async def send(self, *messages: str) -> None:
        """Take down finals."""
        await trio.lowlevel.checkpoint()
        for event in map(decode, messages):
            self._note(event)

    def _note(self, event: Event) -> None:
        if isinstance(event, Error):
            raise TranscriptionFailed(f"{self._sound.name}: {event.message}")
        if isinstance(event, Final):
            segment = event.segment
            assert segment is not msgspec.UNSET  # noqa: S101 - every final of ours names its segment
            start_s, end_s = segment.audio_start_seconds, segment.audio_end_seconds
            assert isinstance(start_s, float)  # noqa: S101 - as above
            assert isinstance(end_s, float)  # noqa: S101 - as above
            self.segments.append(
                SpokenSegment(
                    file=self._sound.name,
                    segment_id=event.segment_id,
                    start=start_s,
                    end=end_s,
                    text=event.text,
                    pieces=event.pieces or (),
                )
            )

    def abort(self) -> None:
        """Nothing hangs here: a file takes every event at once."""


def _command(command: Command) -> str:
    return msgspec.json.encode({"type": command}).decode()
