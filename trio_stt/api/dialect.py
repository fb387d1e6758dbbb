"""A client of another protocol: its frames are translated for a session, and the session's events for the client.

A `Dialect` is the translator of one client: sans-IO, without clocks, one object for each connection. `serve_dialect` is
the part that all of them share; it does not know what frames say. `dialect_route` connects it to WebSockets.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.message_rate import MessageRateLimiter
from trio_stt.api.websocket_transport import CLOSE_GOING_AWAY, CLOSE_INTERNAL_ERROR, CLOSE_NORMAL, CLOSE_POLICY
from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.protocol.events import Event, decode
from trio_stt.protocol.packets import AudioPacket, SampleFormat
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import CloseReason, ConnectionClosed, Detection, Discard, Mark, Message
from trio_stt.session.session import Session
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

Frame = str | bytes
"""One message of a dialect; on WebSockets, text or binary."""

_PACKETS_PER_S = 10
"""Audio of a frame is passed on in packets of 0.1 s, so that other clients have their turn between two of them."""


@dataclass(frozen=True, slots=True)
class ClientAudio:
    """Audio for the session.

    Attributes:
        data: Interleaved samples, a whole number of frames.
        rate_hz: 8,000 to 192,000.
        channels: 1 to 8.
        format: How the samples are coded.
    """

    data: bytes
    rate_hz: int
    channels: int = 1
    format: SampleFormat = SampleFormat.PCM_S16LE


ToSession = ClientAudio | Command | Start | Flush | Discard | Detection | Mark
"""What a dialect has for its session."""


@dataclass(frozen=True, slots=True)
class Close:
    """The server closes the connection.

    Attributes:
        code: As of WebSockets (RFC 6455, section 7.4); dialects on other transports ignore it.
        reason: For people.
        drains: Whether all that was received is transcribed and sent before.
    """

    code: int = CLOSE_NORMAL
    reason: str = ""
    drains: bool = False


IDLE_CLOSE = Close(CLOSE_GOING_AWAY, CloseReason.IDLE)
"""The end of a client that was idle for too long; OpenAI's client connects again after this code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one frame of a client leads to, in this order.

    Attributes:
        frames: For the client, at once.
        to_session: Audio and commands for the session. The session gets a `start` before the first of them,
            unless that is one. Each `Start` may choose the language and the prompt of what follows.
        close: The end of the connection.
        is_audio: Whether the frame counts as audio for the rate limits: too much of it is delayed, while a client
            that sends too many other frames is disconnected.
    """

    frames: Sequence[Frame] = ()
    to_session: Sequence[ToSession] = ()
    close: Close | None = None
    is_audio: bool = False


class Dialect(Protocol):
    """The translator of one client. Its methods are called one at a time, in the order of the frames and events."""

    @property
    def settings(self) -> Settings:
        """The settings of the session, see `session_settings`."""

    def begin(self) -> Sequence[Frame]:
        """The first frames for the client."""

    def receive(self, frame: Frame) -> Step:
        """Translate a frame of the client. Raises nothing: a client's mistake is a frame, or a close."""

    def publish(self, event: Event) -> Sequence[Frame]:
        """Translate an event of the session; no frames for an event that the dialect does not know."""

    def end(self) -> Sequence[Frame]:
        """The last frames, when the server closes the connection."""


class Wire(Protocol):
    """The transport to one client."""

    async def receive(self) -> Frame:
        """The next frame. Always a checkpoint.

        Raises:
            ConnectionClosed: The client is gone.
        """

    async def send(self, *frames: Frame) -> None:
        """Send frames, in order and together.

        Raises:
            ConnectionClosed: They cannot be delivered any more.
        """

    def abort(self) -> None:
        """Reset the transport, also while a send hangs."""


def session_settings(settings: Settings, **changes: object) -> Settings:
    """The settings in force, for the session of a dialect.

    No dialect knows `resume` or this server's wake words, and where its utterances end is up to its client.
    """
    fixed = {"resume_grace_s": 0.0, "wakeword_backend": "", "endpointing": "fixed"}
    return settings.model_copy(update=fixed | changes)


async def serve_dialect(
    server_state: ServerState,
    wire: Wire,
    dialect: Dialect,
    *,
    session_id: str,
    shows_causes: bool,
    rejection: Callable[[], Rejection | None] = lambda: None,
    idle_close: Close = IDLE_CLOSE,
) -> Close | None:
    """Serve one client in a session of its own.

    Args:
        server_state: The server.
        wire: To the client, which was admitted.
        dialect: Its translator.
        session_id: From `ServerState.reserve`. The place is given up when the session ends.
        shows_causes: Whether the client may read why an engine failed.
        rejection: Called for each frame; says why the client is not served any more, such as for a revoked key.
        idle_close: How the server closes the connection after `idle_timeout_s`.

    Returns:
        How the server closes the connection; None when the client did.
    """
    try:
        session = Session(
            session_id=session_id,
            host=server_state,
            settings=dialect.settings,
            shows_causes=shows_causes,
            resumes_turns=False,
        )
    except Exception:
        server_state.leave(session_id)
        logger.exception("session %s could not be created", session_id)
        return Close(CLOSE_INTERNAL_ERROR, CloseReason.FAILED)
    server_state.start(session)
    connection = _DialectConnection(wire, dialect, session, MessageRateLimiter(server_state.settings), rejection)
    try:
        reason = await session.serve_connection(connection)
    except Exception:  # noqa: BLE001 - the session logged it
        reason = CloseReason.FAILED
    close = connection.close or (idle_close if reason is CloseReason.IDLE else _close(reason))
    if close is not None:
        await connection.finish()
    return close


def _close(reason: CloseReason | None) -> Close | None:
    """How a connection is closed that the session has ended: a client that may come back reads a code that says so."""
    if reason is None:
        return None
    is_failure = reason is CloseReason.FAILED
    return Close(CLOSE_INTERNAL_ERROR if is_failure else CLOSE_GOING_AWAY, reason)


class _DialectConnection:
    """The client of a dialect as a session's connection.

    Attributes:
        close: How the server closes the connection, once it is known.
        closed_cleanly: True: no client of a dialect resumes.
    """

    closed_cleanly = True

    def __init__(
        self,
        wire: Wire,
        dialect: Dialect,
        session: Session,
        rate_limiter: MessageRateLimiter,
        rejection: Callable[[], Rejection | None],
    ) -> None:
        self.close: Close | None = None
        self._wire = wire
        self._dialect = dialect
        self._session = session
        self._rate_limiter = rate_limiter
        self._rejection = rejection
        self._waiting: deque[Message] = deque()  # for the session
        self._begun = self._started = False
        # Frames leave in the order in which the translator made them, although two tasks send.
        self._sending = trio.Lock()

    async def receive(self) -> Message:
        """The next audio or command for the session.

        Raises:
            ConnectionClosed: The client is gone, or the server closes the connection.
        """
        if not self._begun:
            self._begun = True
            await self._send(self._dialect.begin())
        if self._waiting:
            await trio.lowlevel.checkpoint()
            return self._waiting.popleft()
        while not self._waiting:
            if self.close is not None:
                if self.close.drains:
                    await self._session.wait_drained()
                raise ConnectionClosed(self.close.reason)
            await self._translate(await self._wire.receive())
        return self._waiting.popleft()

    async def send(self, *messages: str) -> None:
        """Translate the session's events."""
        frames = [frame for event in map(decode, messages) for frame in self._dialect.publish(event)]
        if frames:
            await self._send(frames)
        else:
            await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Reset the transport."""
        self._wire.abort()

    async def finish(self) -> None:
        """Send the last frames."""
        try:
            await self._send(self._dialect.end())
        except ConnectionClosed:
            logger.debug("the client left before the server closed the connection")

    async def _translate(self, frame: Frame) -> None:
        step = self._dialect.receive(frame)
        rejection = await self._rate_limiter.admit(is_audio=step.is_audio) or self._rejection()
        if rejection is not None:
            self.close = Close(CLOSE_POLICY, rejection.detail)
            return
        if step.frames:
            await self._send(step.frames)
        if step.to_session and not self._started:
            self._started = True
            if not isinstance(step.to_session[0], Start):
                self._waiting.append(Start())
        for item in step.to_session:
            self._waiting.extend(_packets(item) if isinstance(item, ClientAudio) else (item,))
        self.close = step.close

    async def _send(self, frames: Sequence[Frame]) -> None:
        if frames:
            async with self._sending:
                await self._wire.send(*frames)


def _packets(audio: ClientAudio) -> Iterator[AudioPacket]:
    data = memoryview(audio.data)
    size = audio.rate_hz // _PACKETS_PER_S * audio.channels * audio.format.sample_bytes
    for start in range(0, len(data), size):
        yield AudioPacket(
            rate_hz=audio.rate_hz, channels=audio.channels, format=audio.format, payload=data[start : start + size]
        )
