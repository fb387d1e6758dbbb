"""Translates between one live client of Deepgram's API and its session. Sans-IO: no clock but the client's audio.

It reads the client's frames; `publisher` makes the messages of the server from the events of the session.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from itertools import chain

from msgspec import UNSET

from trio_stt.api.deepgram.audio import AudioDecoder
from trio_stt.api.deepgram.messages import (
    ClientMessage,
    Configure,
    ConfigureFailure,
    ConfigureSuccess,
    Control,
    KeytermsError,
    Message,
    Metadata,
    ResultMetadata,
    binary_text,
    encode,
    fault,
    parse_message,
    schema_error,
)
from trio_stt.api.deepgram.options import Encoding, ListenOptions
from trio_stt.api.deepgram.publisher import ResultPublisher
from trio_stt.api.deepgram.words import exact_s
from trio_stt.api.dialect import ClientAudio, Close, Frame, Step
from trio_stt.api.websocket_transport import CLOSE_POLICY
from trio_stt.errors import CommandError
from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.protocol.events import Event
from trio_stt.session.connection import Mark
from trio_stt.settings import Settings

_UNDECODABLE = "DATA-0000"
"""Deepgram's name for audio that cannot be decoded."""


NO_SAMPLES = b"\0\0"
"""Stands for a frame of a container that is taken, and has no samples yet. It is recognised by its identity."""


class ListenTranslator:
    """One client; see `Dialect`.

    Args:
        options: Of the client.
        settings: Of the session, see `live_settings`.
        decoder: Of the client's audio; None for a container, whose audio arrives decoded: see `container`.
        metadata: In every result.
        created: When the connection began, ISO 8601 with Z.
        channel: Its channel, from 0, where the client has a session for each.

    Attributes:
        options: Of the client.
    """

    def __init__(
        self,
        options: ListenOptions,
        *,
        settings: Settings,
        decoder: AudioDecoder | None,
        metadata: ResultMetadata,
        created: str,
        channel: int = 0,
    ) -> None:
        self.settings = settings
        self.options = options
        self._channel = (channel, options.sessions)
        self._start: Start | None = Start(
            language=options.language or UNSET,
            prompt=self._prompt(options.keyterms) if options.keyterms else UNSET,
            interim=UNSET if options.interim_results else False,
        )
        self._decoder = decoder
        self._metadata = metadata
        self._created = created
        self._hash = hashlib.sha256()
        self._samples = 0  # received, at the decoder's rate
        self._failure = ""
        self._publisher = ResultPublisher(
            options, metadata=metadata, channel=self._channel, silence_s=settings.post_speech_silence_duration
        )

    def use_decoder(self, decoder: AudioDecoder) -> None:
        """Decode binary frames with this from now on: it is known what the container holds."""
        self._decoder = decoder

    def note_encoded(self, data: bytes) -> None:
        """Add bytes of a container, which do not come as a frame, to the checksum."""
        self._hash.update(data)

    def fail(self, reason: str) -> None:
        """Close the connection at the next frame: its audio cannot be decoded."""
        self._failure = reason

    @property
    def expects_container(self) -> bool:
        """Whether the audio comes in a container: see `container`."""
        return self.options.encoding is Encoding.CONTAINER

    @property
    def clock_s(self) -> float:
        """Seconds of audio received."""
        return self._samples / self._decoder.rate_hz if self._decoder and self._samples else 0.0

    def begin(self) -> Sequence[Frame]:
        """Nothing: the first message of Deepgram's servers is a result."""
        return ()

    def receive(self, frame: Frame) -> Step:
        """Translate a frame of the client; none follows `CloseStream`."""
        step = self._translate(frame)
        if step.to_session and self._start is not None:
            step = dataclasses.replace(step, to_session=[self._start, *step.to_session])
            self._start = None
        return step

    def _translate(self, frame: Frame) -> Step:
        if self._failure:
            description = f"the audio cannot be decoded: {self._failure}"
            return Step(frames=[encode(fault(_UNDECODABLE, description))], close=Close(CLOSE_POLICY, _UNDECODABLE))
        if frame is NO_SAMPLES:
            return Step(is_audio=True)
        if isinstance(frame, bytes):
            text = binary_text(frame)
            if text is None:
                return self._audio(frame)
            frame = text
        try:
            return self._execute(parse_message(frame))
        except KeytermsError as error:
            failure = ConfigureFailure(request_id=self._metadata.request_id, description=str(error))
            return Step(frames=self._answer(failure))
        except CommandError as error:
            return Step(frames=self._answer(schema_error(frame, error)))

    def publish(self, event: Event) -> Sequence[Frame]:
        """Translate an event of the session."""
        return [encode(message) for message in self._publisher.messages(event, self.clock_s)]

    def end(self) -> Sequence[Frame]:
        """What is still held, and the metadata, which are always last; nothing after audio that cannot be decoded."""
        if self._failure:
            return ()
        last: list[Message] = []
        if self.options.sessions == 1:
            last = [self.closing_metadata(sha256=self._hash.hexdigest(), channels=1)]
        return [*map(encode, chain(self._publisher.rest(self.clock_s), last))]

    def closing_metadata(self, *, sha256: str, channels: int) -> Metadata:
        """The last message of a connection."""
        return Metadata(
            request_id=self._metadata.request_id,
            sha256=sha256,
            created=self._created,
            duration=exact_s(self.clock_s),
            channels=channels,
        )

    # From the client

    def _audio(self, data: bytes) -> Step:
        assert self._decoder is not None  # noqa: S101 - `container` sends no samples before `use_decoder`
        if not self.expects_container:
            self._hash.update(data)
        audio: list[ClientAudio] = []
        if (decoded := self._decoder.decode(data)) is not None:
            audio.append(decoded[0])
            self._samples += decoded[1]
        return Step(to_session=[*audio, *self._ask()], is_audio=True)

    def _execute(self, message: ClientMessage) -> Step:
        match message:
            case Control.KEEP_ALIVE:
                return Step(to_session=[Mark(), *self._ask()])  # the mark keeps the session from being idle
            case Control.FINALIZE:
                return Step(to_session=[Flush(None)] if self._publisher.finalize(self.clock_s) else [])
            case Control.CLOSE_STREAM:
                self._publisher.cut(self.clock_s)
                return Step(to_session=[Command.STOP], close=Close(drains=True))
            case Configure(keyterms=terms):
                success = self._answer(ConfigureSuccess(request_id=self._metadata.request_id, keyterms=terms))
                return Step(frames=success, to_session=[] if terms is None else [Start(prompt=self._prompt(terms))])

    def _prompt(self, terms: Sequence[str]) -> str | None:
        """The server's own prompt with the client's terms; None without any."""
        return " ".join(filter(None, [self.settings.initial_prompt, ", ".join(terms)])) if terms else None

    def _answer(self, message: Message) -> Sequence[Frame]:
        """The answer to a message of the client: of several channels, the first gives it."""
        return [encode(message)] if self._channel[0] == 0 else []

    def _ask(self) -> Sequence[Command]:
        """Ask the session whether all audio is processed, where a message of a gap may be due."""
        return [Command.METRICS] if self._publisher.asks(self.clock_s) else []
