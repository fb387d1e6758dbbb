"""Translates between one client of vosk-server's WebSocket and its session. Sans-IO, without clocks.

Clients alternate between sending and receiving: each binary message has exactly one answer, at once. It is the next
final that waits, or else the partial so far.
"""

from collections import deque
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET

from trio_stt.api.dialect import ClientAudio, Close, Frame, Step, session_settings
from trio_stt.api.vosk.answers import partial_result, result
from trio_stt.api.websocket_transport import CLOSE_POLICY
from trio_stt.dsp.resample import MAX_RATE_HZ, MIN_RATE_HZ
from trio_stt.protocol.commands import Flush, Start
from trio_stt.protocol.events import Error, Event, Final, Flushed, Realtime
from trio_stt.protocol.transcript_formats import SpokenSegment, spoken_segment
from trio_stt.settings import Settings

_DEFAULT_RATE_HZ = 8000
"""That of vosk-server: its clients are telephones."""
_UNKNOWN_WORD = "[unk]"
"""Stands for all other words in a list of phrases."""


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a client chooses; other fields, such as `model`, are ignored."""

    sample_rate: Annotated[float, msgspec.Meta(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] | None = None
    phrase_list: Sequence[str] | None = None
    words: bool | int | None = None
    max_alternatives: int | None = None


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """A text message: one of the three."""

    config: _Config | None = None
    eof: bool | int | None = None
    reset: bool | int | None = None


class VoskTranslator:
    """See `Dialect`.

    Args:
        settings: In force.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = session_settings(settings)
        self._rate_hz = _DEFAULT_RATE_HZ
        self._with_words = True
        self._max_alternatives = 0
        self._start: Start | None = Start()
        self._rest = b""  # half a sample
        self._finals: deque[SpokenSegment] = deque()
        self._partial = self._error = ""
        self._resets = 0  # that wait for their answer

    @property
    def settings(self) -> Settings:
        """The settings of the session."""
        return self._settings

    def begin(self) -> Sequence[Frame]:
        """Nothing: clients speak first."""
        return ()

    def receive(self, frame: Frame) -> Step:
        """Translate a message."""
        if isinstance(frame, bytes) or not frame:  # the host gives an empty binary message as an empty text
            return self._audio(frame or b"")
        try:
            message = msgspec.json.decode(frame, type=_Message, strict=False)  # vosk-server takes numbers in strings
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
            return Step(close=Close(CLOSE_POLICY, f"a text message must be config, eof or reset: {fault}"))
        if message.config is not None:
            self._configure(message.config)
        elif message.eof:
            return Step(to_session=[*self._take_start(), Flush(None)], close=Close(drains=True))
        elif message.reset:
            self._resets += 1
            return Step(to_session=[*self._take_start(), Flush(None)])
        return Step()

    def publish(self, event: Event) -> Sequence[Frame]:
        """Note what the next answers say; the answer to `reset` waits for all that was said before."""
        match event:
            case Realtime():
                self._partial = event.display_text
            case Final():
                self._partial = ""
                self._finals.append(spoken_segment("", event))
            case Error(where=where, message=message) if where.costs_words:
                self._error = message
            case Flushed() if self._resets:
                self._resets -= 1
                return [self._result(len(self._finals), self._take_error())]
        return ()

    def end(self) -> Sequence[Frame]:
        """The answer to `eof`: everything that has not been told."""
        return [self._result(len(self._finals), self._take_error())]

    def _configure(self, config: _Config) -> None:
        if config.sample_rate is not None:
            self._rate_hz = round(config.sample_rate)
        if config.words is not None:
            self._with_words = bool(config.words)
        if config.max_alternatives is not None:
            self._max_alternatives = config.max_alternatives
        if config.phrase_list is not None:
            prompt = ", ".join(phrase for phrase in config.phrase_list if phrase != _UNKNOWN_WORD)
            self._start = Start(prompt=prompt or UNSET)

    def _audio(self, frame: bytes) -> Step:
        data = self._rest + frame
        whole = len(data) - len(data) % 2
        self._rest = data[whole:]
        answer = self._result(1) if self._finals else partial_result(self._partial)
        audio = [ClientAudio(data[:whole], self._rate_hz)] if whole else []
        return Step(frames=[answer], to_session=[*self._take_start(), *audio], is_audio=True)

    def _take_start(self) -> Sequence[Start]:
        """A `start` that the session has not got, first or with other phrases."""
        start, self._start = self._start, None
        return [start] if start else []

    def _take_error(self) -> str:
        error, self._error = self._error, ""
        return error

    def _result(self, count: int, error: str = "") -> str:
        segments = [self._finals.popleft() for _ in range(count)]
        return result(segments, with_words=self._with_words, with_alternatives=self._max_alternatives > 0, error=error)
