"""The translator of one transcription: from its first audio to its transcript. Sans-IO, without clocks."""

from collections.abc import Callable, Sequence

from trio_stt.api.dialect import ClientAudio, Close, Frame, Step, session_settings
from trio_stt.api.wyoming import messages
from trio_stt.api.wyoming.audio import AudioFormat, MonoConverter
from trio_stt.api.wyoming.framing import InvalidEvent, WyomingEvent, decode, fields_of
from trio_stt.api.wyoming.messages import ErrorCode
from trio_stt.api.wyoming.requests import Transcribe
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.protocol.commands import Flush, Start
from trio_stt.protocol.events import Error, Event, Final, Flushed
from trio_stt.protocol.scripts import space_between
from trio_stt.settings import Settings

_AT_STOP = "audio-stop"
"""Id of the `flush` at the end of the audio."""


class Transcription:
    """See `Dialect`. One object for each transcription; the session ends with it, the connection does not.

    Args:
        request: What the client asked for.
        settings: In force.
        languages: Those of the engine for finals.
        general: Answers events that have nothing to do with the audio.

    Attributes:
        is_done: Whether the client has its answer.
        is_failed: Whether that is an error, after which the connection is closed.
        is_stopped: Whether the client has ended the audio.
    """

    def __init__(
        self,
        request: Transcribe,
        settings: Settings,
        languages: LanguageSupport,
        general: Callable[[WyomingEvent], Sequence[bytes]],
    ) -> None:
        self.is_done = self.is_failed = self.is_stopped = False
        self._settings = session_settings(settings, **request.changes(settings))
        self._endpointing = settings.wyoming_endpointing
        self._languages = languages
        self._start, self._is_started = Start(), False
        self._choose(request)
        self._general = general
        self._converter = MonoConverter()
        self._text = self._failure = ""

    @property
    def settings(self) -> Settings:
        """The settings of the session."""
        return self._settings

    def begin(self) -> Sequence[Frame]:
        """Announce the transcript."""
        return [messages.transcript_start(self._language, self._context)]

    def receive(self, frame: Frame) -> Step:
        """Translate an event of the client."""
        try:
            event = decode(frame if isinstance(frame, bytes) else frame.encode())
            match event.type:
                case "audio-chunk" if not self.is_stopped:
                    audio_format = fields_of(event, AudioFormat)
                    samples = self._converter.push(event.payload, audio_format)
                    audio = ClientAudio(samples.astype("<i2", copy=False).tobytes(), audio_format.rate)
                    return Step(to_session=[*self._take_start(), audio] if samples.size else (), is_audio=True)
                case "audio-stop" if not self.is_stopped:
                    self.is_stopped = True
                    return Step(to_session=[*self._take_start(), Flush(id=_AT_STOP)])
                case "transcribe" if not self.is_stopped:  # other servers take one until the end of the audio, too
                    self._choose(fields_of(event, Transcribe))
                    return Step(to_session=[self._start] if self._is_started else ())
                case "audio-start":  # also in the middle: the audio goes on
                    fields_of(event, AudioFormat)
                    return Step()
            return Step(frames=self._general(event))
        except InvalidEvent as fault:
            return self._fail(str(fault))

    def publish(self, event: Event) -> Sequence[Frame]:
        """Translate an event of the session."""
        match event:
            case Final(text=text):
                # Chunks are finals, because they cannot be taken back: a final may change a comma or a capital of the
                # words that partials agreed on, and then the chunks joined would not be the transcript.
                addition = space_between(self._text, text) + text
                self._text += addition
                chunk = messages.transcript_chunk(addition)
                return [chunk, *self._transcript()] if self._endpointing else [chunk]
            case Error(where=where, message=message) if where.costs_words:
                self._failure = message
            case Flushed(id="audio-stop"):
                return self._transcript()
        return ()

    def end(self) -> Sequence[Frame]:
        """Answer before the server closes the connection: with the words so far, or else with an error."""
        self._failure = self._failure or "the server ended the session"
        return self._transcript()

    def _choose(self, request: Transcribe) -> None:
        """Take what a request asks for; it replaces an earlier one."""
        self._start = request.start(self._languages)
        if self._is_started:
            self._start = self._start.after(Start(language=None, prompt=None))
        chosen = self._start.language
        of_request = self._languages.of_request(chosen if isinstance(chosen, str) else None)
        self._language = of_request or self._languages.in_force or self._settings.language_code
        self._context = request.context

    def _take_start(self) -> Sequence[Start]:
        """The `start` of the session, once."""
        is_started, self._is_started = self._is_started, True
        return () if is_started else [self._start]

    def _transcript(self) -> Sequence[Frame]:
        if self.is_done:
            return ()
        self.is_done = True
        if self._failure and not self._text:
            self.is_failed = True
            return [messages.error(self._failure, ErrorCode.ENGINE)]
        return [messages.transcript(self._text, self._language, self._context), messages.transcript_stop()]

    def _fail(self, reason: str) -> Step:
        self.is_done = self.is_failed = True
        return Step(frames=[messages.error(reason, ErrorCode.INVALID)], close=Close(reason=reason))
