"""One connection of a Wyoming client: describes the server, transcribes, detects wake words, one after the other.

Each transcription has a session of its own, which ends with the transcript; a client that only asks takes no place.
"""

import math
from collections.abc import Callable, Sequence

import trio

from trio_stt.access.message_rate import MessageRateLimiter
from trio_stt.api.dialect import Frame, serve_dialect
from trio_stt.api.wyoming import messages
from trio_stt.api.wyoming.audio import AudioFormat
from trio_stt.api.wyoming.detection import Detection
from trio_stt.api.wyoming.framing import InvalidEvent, WyomingEvent, decode, fields_of
from trio_stt.api.wyoming.info import info, offered_languages
from trio_stt.api.wyoming.messages import ErrorCode
from trio_stt.api.wyoming.requests import Detect, Transcribe
from trio_stt.api.wyoming.transcription import Transcription
from trio_stt.api.wyoming.wire import ClientSilent, WyomingWire
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.job import JobKind
from trio_stt.server.public_reports import shown_model
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed

_IDLE_TIMEOUT_S = 300.0
"""Seconds without an event after which a connection without audio is closed. It takes no place, only a socket."""


_OF_THE_NEXT_STREAM = frozenset({"transcribe", "detect", "audio-start", "audio-chunk", "audio-stop"})
_PIECES_PER_S = 10
"""Audio for wake words is processed in pieces of 0.1 s, so that other clients have their turn between two of them."""


class Refused(Exception):  # noqa: N818 - an answer to the client, not a fault of the server
    """A request cannot be served; the connection is closed, because older clients wait for a transcript until then.

    Args:
        message: One line that says what to do.
        code: For programs.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Conversation:
    """See the module.

    Args:
        server_state: The server.
        wire: To the client.
        note_waiting: Called with whether the connection may be closed to make room for others.
    """

    def __init__(self, server_state: ServerState, wire: WyomingWire, note_waiting: Callable[[bool], None]) -> None:
        self._server_state = server_state
        self._wire = wire
        self._note_waiting = note_waiting
        self._rate_limiter = MessageRateLimiter(server_state.settings)
        self._request: Transcribe | Detect = Transcribe()
        self._skips_audio = False  # until the end of a stream whose transcript came early

    async def run(self) -> None:
        """Serve the client until it leaves, or until an error was sent.

        Raises:
            ConnectionClosed: The client is gone.
        """
        try:
            while await self._serve(await self._wire.receive(_IDLE_TIMEOUT_S)):
                pass
        except Refused as refused:
            await self._wire.send(messages.error(str(refused), refused.code))
        except ClientSilent as silence:
            await self._wire.send(messages.error(str(silence), ErrorCode.SILENT))
        except InvalidEvent as fault:
            await self._wire.send(messages.error(str(fault), ErrorCode.INVALID))

    async def _serve(self, frame: bytes) -> bool:
        """Serve one event, and with the first of a stream all of it; returns whether to go on."""
        event = decode(frame)
        await self._admit(event)
        match event.type:
            case "audio-chunk" if self._skips_audio:
                return True
            case "audio-stop" if self._skips_audio:
                self._skips_audio = False
                return True
            case "audio-start" | "audio-chunk" | "audio-stop":
                self._skips_audio = False
                self._wire.put_back(frame)
                self._note_waiting(False)
                try:
                    if isinstance(self._request, Transcribe):
                        return await self._transcribe(self._request)
                    await self._detect(self._request)
                finally:
                    self._note_waiting(True)
                return True
        await self._send(self.answer(event))
        return True

    def answer(self, event: WyomingEvent) -> Sequence[bytes]:
        """Answer an event that has nothing to do with audio; unknown ones are ignored, as clients expect.

        Raises:
            InvalidEvent: Its fields are invalid.
        """
        match event.type:
            case "describe":
                return [self._info()]
            case "ping":
                text = event.data.get("text")
                return [messages.pong(text if isinstance(text, str) else None)]
            case "transcribe":
                self._skips_audio, self._request = False, fields_of(event, Transcribe)
            case "detect":
                self._skips_audio, self._request = False, fields_of(event, Detect)
        return ()

    def _info(self) -> bytes:
        settings = self._server_state.settings
        engine = self._server_state.lanes.lane_for(JobKind.FINAL).engine
        return info(
            model=shown_model(engine.model if engine else settings.model),
            languages=offered_languages(self._languages()),
            wake_words=self._server_state.wake_words(),
            endpointing=settings.wyoming_endpointing,
        )

    def _languages(self) -> LanguageSupport:
        """Those of the engine for finals; before it is loaded, that of the setting."""
        engine = self._server_state.lanes.lane_for(JobKind.FINAL).engine
        return engine.languages if engine else LanguageSupport(loaded=self._server_state.settings.language_code)

    async def _transcribe(self, request: Transcribe) -> bool:
        """Transcribe one stream; returns whether the client has its transcript."""
        transcription = Transcription(request, self._server_state.settings, self._languages(), self.answer)
        wire = _TranscriptionWire(self._wire, transcription, self._liveness_s())
        session_id = self._reserve()  # given up by the session
        await serve_dialect(self._server_state, wire, transcription, session_id=session_id, shows_causes=False)
        if wire.fault is not None:
            raise wire.fault
        self._skips_audio = not transcription.is_stopped
        if self._request is request:
            self._request = Transcribe()
        return transcription.is_done and not transcription.is_failed

    async def _detect(self, request: Detect) -> None:
        """Detect wake words in one stream."""
        session_id = self._reserve()
        try:
            detector = self._server_state.new_wake_word_detector(self._server_state.settings)
            if detector is None:
                raise Refused("this server detects no wake words (wakeword_backend)", ErrorCode.NO_WAKE_WORDS)
            detection = Detection(detector, request.names or ())
            while (event := await self._next_of_stream()).type != "audio-stop":
                if event.type == "audio-chunk":
                    await self._detect_in(detection, event.payload, fields_of(event, AudioFormat))
                else:
                    await self._send(self.answer(event))
            await self._send(detection.stop())
        finally:
            self._server_state.leave(session_id)

    async def _detect_in(self, detection: Detection, payload: memoryview, audio_format: AudioFormat) -> None:
        speed = self._server_state.settings.max_audio_speed
        bytes_per_s = audio_format.rate * audio_format.width * audio_format.channels
        piece_bytes = bytes_per_s // _PIECES_PER_S
        for start in range(0, len(payload), piece_bytes):
            piece = payload[start : start + piece_bytes]
            await self._send(detection.push(piece, audio_format))
            # At the speed at which sessions take audio.
            await trio.sleep(len(piece) / bytes_per_s / speed if speed else 0)

    async def _send(self, frames: Sequence[bytes]) -> None:
        if frames:
            await self._wire.send(*frames)

    async def _next_of_stream(self) -> WyomingEvent:
        event = decode(await self._wire.receive(self._liveness_s()))
        await self._admit(event)
        return event

    async def _admit(self, event: WyomingEvent) -> None:
        """Wait until an event is within the limits of rates.

        Raises:
            Refused: There are too many.
        """
        rejection = await self._rate_limiter.admit(is_audio=event.type == "audio-chunk")
        if rejection is not None:
            raise Refused(rejection.detail, ErrorCode.INVALID)

    def _liveness_s(self) -> float:
        return self._server_state.settings.liveness_timeout_s or math.inf

    def _reserve(self) -> str:
        """Reserve a place among the sessions; returns its id.

        Raises:
            Refused: There is none.
        """
        try:
            return self._server_state.reserve("wyoming")
        except ServerFull as full:
            raise Refused(str(full), ErrorCode.FULL) from None
        except ServerClosing as closing:
            raise Refused(str(closing), ErrorCode.CLOSING) from None


class _TranscriptionWire:
    """The wire of one transcription: it ends with the transcript, and the connection does not.

    Args:
        wire: Of the connection.
        transcription: Says whether the client has its answer.
        liveness_s: Seconds without an event after which a client that sends audio is gone.

    Attributes:
        fault: Why the client is not served any more, apart from having left.
    """

    def __init__(self, wire: WyomingWire, transcription: Transcription, liveness_s: float) -> None:
        self.fault: ClientSilent | InvalidEvent | None = None
        self._wire = wire
        self._transcription = transcription
        self._liveness_s = liveness_s
        self._receiving = trio.CancelScope()

    async def receive(self) -> Frame:
        """The next frame; raises ConnectionClosed when the client has its answer, or is gone."""
        if not self._transcription.is_done:
            # After the end of its audio, a client has nothing to say: it waits for the transcript.
            within_s = math.inf if self._transcription.is_stopped else self._liveness_s
            try:
                with trio.CancelScope() as self._receiving:
                    frame = await self._wire.receive(within_s)
                    if self._transcription.is_stopped and decode(frame).type in _OF_THE_NEXT_STREAM:
                        self._wire.put_back(frame)
                        await self._wire.prefetch()  # until the transcript is sent
                    return frame
            except (ClientSilent, InvalidEvent) as fault:
                self.fault = fault
                raise ConnectionClosed(str(fault)) from None
        raise ConnectionClosed("the client has its transcript")

    async def send(self, *frames: Frame) -> None:
        """Send frames; the last ones end the transcription."""
        await self._wire.send(*frames)
        if self._transcription.is_done:
            self._receiving.cancel()

    def abort(self) -> None:
        """Close the connection."""
        self._wire.abort()
