"""A client in this process: sends one channel of a sound to a session, faster than real time; passes on its segments.

For `sound_channels`. It owns the pace: no more is read than the lanes keep up with.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import AudioFileError
from trio_stt.protocol.commands import Command, Start
from trio_stt.protocol.events import Error, Final, decode
from trio_stt.protocol.packets import build_packet
from trio_stt.protocol.transcript_formats import SpokenSegment, spoken_segment
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import CloseReason, ConnectionClosed, Message
from trio_stt.session.session import Session
from trio_stt.settings import Settings
from trio_stt.sound.reader import Sound

_T = TypeVar("_T")

_MAX_BACKLOG_S = 60.0
"""Seconds of finished speech that may wait for finals before more of the file is read: enough to keep a lane busy."""
_PACKETS_PER_S = 10
_MAX_READ_S = 60.0
"""Seconds after which a decoder that does not return is left behind: it usually reads a second of audio in a few ms."""


def file_settings(settings: Settings) -> Settings:
    """The settings for a file: without wake words and recording, and at any speed."""
    return settings.model_copy(update={"wakeword_backend": "", "record": None, "max_audio_speed": 0.0})


class SoundClient:
    """Sends one sound to a session, as its client and its connection.

    Args:
        sound: The open sound, which is closed at the end.
        on_segment: Called with each utterance that has words, in order.
        on_error: Called with a message for each part that could not be read or transcribed; the rest is transcribed.
        start: What the session is asked for.
        on_read: Called with the seconds of audio of each block that was read.
        channel: Which channel to send, from 1; None for a mix of all.

    Attributes:
        length_s: Seconds of audio that were read.
        complete: Whether the sound could be read to its end so far.
    """

    closed_cleanly = True

    def __init__(
        self,
        sound: Sound,
        *,
        on_segment: Callable[[SpokenSegment], object],
        on_error: Callable[[str], object],
        on_read: Callable[[float], object] = lambda _: None,
        start: Start | None = None,
        channel: int | None = None,
    ) -> None:
        self.length_s = 0.0
        self.complete = True
        self._sound = sound
        self._on_segment = on_segment
        self._on_error = on_error
        self._on_read = on_read
        self._start = start or Start()
        self._blocks = sound.mono_blocks(channel)
        self._packets: deque[bytes] = deque()
        self._session: Session
        self._max_backlog_s = 0.0
        self._reading = self._started = self._decoding = self._over = False

    async def transcribe(
        self, server_state: ServerState, settings: Settings, session_id: str, *, shows_causes: bool = True
    ) -> bool:
        """Transcribe the whole sound in a session of its own.

        Args:
            server_state: Of the server.
            settings: For the session, see `file_settings`.
            session_id: From `ServerState.reserve`. The place is given up at the end.
            shows_causes: Whether the client may read why an engine failed.

        Returns:
            False where the server shut down before the end.
        """
        self._max_backlog_s = min(_MAX_BACKLOG_S, settings.max_backlog_seconds)
        try:
            self._session = Session(
                session_id=session_id,
                host=server_state,
                settings=settings,
                partials=False,
                live=False,
                shows_causes=shows_causes,
            )
            server_state.registry.admit(self._session)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._session.run)
                reason = await self._session.serve_connection(self)
        finally:
            self.close()
            server_state.leave(session_id)
        return reason is not CloseReason.SHUTDOWN

    def close(self) -> None:
        """Close the sound."""
        # Set before `_decoding` is read, and a thread that still decodes reads it last: so at least one of both closes.
        self._over = True
        if not self._decoding:
            self._sound.close()

    async def receive(self) -> Message:
        """Return `start`, the sound's packets and `stop`, then wait for the last final and raise ConnectionClosed."""
        if not self._started:
            self._started = self._reading = True
            return self._start
        await trio.lowlevel.checkpoint()
        await self._session.wait_backlog_below(self._max_backlog_s)
        if not self._packets and self._reading:
            await self._read()
            if not self._reading:
                return Command.STOP
        if self._packets:
            return self._packets.popleft()
        await self._session.wait_drained()
        raise ConnectionClosed

    async def send(self, *messages: str) -> None:
        """Pass on finals and errors."""
        await trio.lowlevel.checkpoint()
        for event in map(decode, messages):
            if isinstance(event, Error):
                self._on_error(f"{self._sound.name}: {event.message}")
            elif isinstance(event, Final):
                self._on_segment(spoken_segment(self._sound.name, event))

    def abort(self) -> None:
        """Do nothing: passing on an event never blocks for long."""

    async def _read(self) -> None:
        """Read the next block, unless the sound has ended."""
        try:
            while not self._packets:
                self._decoding = True
                block = await decode_in_thread(self._sound.name, self._next_block)
                if block is None:
                    self._reading = False
                    return
                rate_hz = self._sound.rate_hz
                self.length_s += block.size / rate_hz
                self._on_read(block.size / rate_hz)
                for start in range(0, block.size, rate_hz // _PACKETS_PER_S):
                    pcm = block[start : start + rate_hz // _PACKETS_PER_S].astype("<i2", copy=False).tobytes()
                    self._packets.append(build_packet(pcm, rate_hz=rate_hz))
        except AudioFileError as error:  # what was read until here still gets its finals
            self._reading = self.complete = False
            self._on_error(str(error))

    def _next_block(self) -> NDArray[np.int16] | None:
        try:
            return next(self._blocks, None)
        finally:
            self._decoding = False
            if self._over:
                self._sound.close()


async def decode_in_thread(name: str, call: Callable[[], _T]) -> _T:
    """Call a decoder in a thread, which is left behind where the call does not end.

    Raises:
        AudioFileError: The file cannot be decoded, or the call does not end.
    """
    with trio.move_on_after(_MAX_READ_S):
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)
    raise AudioFileError(f"{name}: cannot be read: its decoder does not answer for {_MAX_READ_S:g} s")
