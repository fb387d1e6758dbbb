"""Translates between one live client of Deepgram's API and its session. Sans-IO: no clock but the client's audio.

Times count from the first sample of the connection, and are multiples of 1/1024 s (`words.exact_s`). Whatever the
client and the engine do: `start + duration` of successive results never goes back, finals do not overlap, and each
`Finalize` is answered by exactly one result with `from_finalize`.
"""

import dataclasses
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from trio_stt.api.deepgram.audio import AudioDecoder
from trio_stt.api.deepgram.messages import (
    Channel,
    ClientMessage,
    Configure,
    ConfigureSuccess,
    Control,
    Message,
    Metadata,
    ResultMetadata,
    Results,
    SpeechStarted,
    UtteranceEnd,
    binary_message,
    encode,
    fault,
    parse_message,
    schema_error,
)
from trio_stt.api.deepgram.options import Encoding, ListenOptions
from trio_stt.api.deepgram.words import alternative, exact_s
from trio_stt.api.dialect import ClientAudio, Close, Frame, Step
from trio_stt.api.websocket_transport import CLOSE_POLICY
from trio_stt.errors import CommandError
from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.protocol.events import Error, Event, Final, Flushed, Heartbeat, Metrics, Realtime, Status, Timeline, Where
from trio_stt.protocol.segment import Piece, Segment
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.session.connection import Mark
from trio_stt.settings import Settings

_MAX_OPEN_FLUSHES = 32
"""Unanswered flushes; a further `Finalize` is answered together with the last of them. Half of what a session takes."""
_SLACK_S = 0.1
"""Seconds by which the end of speech may lie behind a `Finalize` that ended it: detection works in windows of 32 ms."""
_UNDECODABLE = "DATA-0000"
"""Deepgram's name for audio that cannot be decoded."""
_REPORTED = frozenset({Where.AUDIO, Where.RECORDER, Where.MAIN_ENGINE})
"""Subjects of errors that the client is told; partials that fail come back by themselves."""


@dataclass(slots=True)
class _Open:
    """An utterance whose final is due; what it has to say waits for the finals of earlier utterances."""

    start_s: float
    is_announced: bool = False
    interim: Realtime | None = None


@dataclass(slots=True)
class _Finalize:
    """A flush that waits for its answer, and how many `Finalize` it answers."""

    requests: int = 1


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
        self._silence_s = settings.post_speech_silence_duration
        self._decoder = decoder
        self._metadata = metadata
        self._created = created
        self._hash = hashlib.sha256()
        self._samples = 0  # received, at the decoder's rate
        self._failure = ""
        self._open: dict[int, _Open] = {}  # by segment, in order
        self._end_s = 0.0  # the last `start + duration` that was sent
        self._final_end_s = 0.0  # of the last final
        self._finalizes: deque[_Finalize] = deque()
        self._held: Results | None = None  # the last final, until it is known whether it answers a `Finalize`
        # Where the client ended an utterance, while finals from before may come. Bounded, because a client may send
        # `Finalize` for hours while nothing is said.
        self._cuts_s: deque[float] = deque(maxlen=256)
        self._silence_due_s: float | None = None  # where silence will end the speech that a `Finalize` has cut short
        self._last_word_s: float | None = None  # the end of the last word, until its `UtteranceEnd`
        self._query_clock_s: float | None = None  # the clock when the session was asked for its queue depth
        self._moved = False  # whether audio came since the last heartbeat

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
            command = binary_message(frame)
            return self._audio(frame) if command is None else self._execute(command)
        try:
            return self._execute(parse_message(frame))
        except CommandError as error:
            return Step(frames=self._answer(schema_error(frame, error)))

    def publish(self, event: Event) -> Sequence[Frame]:
        """Translate an event of the session."""
        return [encode(message) for message in self._messages(event)]

    def end(self) -> Sequence[Frame]:
        """What is still held, and the metadata, which are always last; nothing after audio that cannot be decoded."""
        if self._failure:
            return ()
        last: list[Message] = []
        if self.options.sessions == 1:
            last = [self.closing_metadata(sha256=self._hash.hexdigest(), channels=1)]
        messages = chain(self._answer_finalizes(len(self._finalizes)), self._gap_so_far(self.clock_s), last)
        return [*map(encode, messages)]

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
            self._moved = True
        return Step(to_session=[*audio, *self._ask()], is_audio=True)

    def _execute(self, message: ClientMessage) -> Step:
        match message:
            case Control.KEEP_ALIVE:
                return Step(to_session=[Mark(), *self._ask()])  # the mark keeps the session from being idle
            case Control.FINALIZE:
                return Step(to_session=self._finalize())
            case Control.CLOSE_STREAM:
                self._cuts_s.append(self.clock_s)
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

    def _finalize(self) -> Sequence[Flush]:
        if len(self._finalizes) >= _MAX_OPEN_FLUSHES:
            self._finalizes[-1].requests += 1
            return []
        self._finalizes.append(_Finalize())
        self._cuts_s.append(self.clock_s)
        return [Flush(None)]

    def _ask(self) -> Sequence[Command]:
        """Ask the session whether all audio is processed, where `UtteranceEnd` may be due."""
        if self._query_clock_s is not None or not self._is_gap_due(self.clock_s):
            return []
        self._query_clock_s = self.clock_s
        return [Command.METRICS]

    # From the session

    def _messages(self, event: Event) -> Iterator[Message]:
        match event:
            case Timeline() | Realtime() | Final():
                yield from self._of_utterance(event)
            case Flushed():
                yield from self._answer_finalizes(1)
                yield from self._advance()
            case Metrics(metrics=report):
                clock_s, self._query_clock_s = self._query_clock_s, None
                if clock_s is not None and not report.queue_depth:
                    yield from self._gap_so_far(clock_s)
            case Status(queue_depth=0):
                yield from self._gap_so_far(self.clock_s)
            case Heartbeat():
                # All audio from before the last heartbeat is processed by now.
                if not self._moved:
                    yield from self._gap_so_far(self.clock_s)
                self._moved = False
            case Error(where=where) if where in _REPORTED:
                yield fault("ServerError", event.message)

    def _of_utterance(self, event: Timeline | Realtime | Final) -> Iterator[Message]:
        match event:
            case Timeline(event="recording_started", segment=Segment() as segment):
                yield from self._started(segment)
            case Timeline(event="segment_closed", segment=Segment() as segment):
                yield from self._closed(segment, "")
            case Realtime():
                yield from self._interim(event)
            case Final(segment=Segment() as segment):
                yield from self._closed(segment, event.text, event.pieces or ())

    def _started(self, segment: Segment) -> Iterator[Message]:
        self._open[segment.segment_id] = _Open(_seconds(segment.audio_start_seconds))
        yield from self._advance()

    def _interim(self, event: Realtime) -> Iterator[Message]:
        opened = self._open.get(event.segment_id)
        if self.options.interim_results and opened is not None and event.text:
            opened.interim = event
            yield from self._advance()

    def _advance(self) -> Iterator[Message]:
        """What the first open utterance has to say, now that all before it is sent; the others wait for its final."""
        opened = next(iter(self._open.values()), None)
        if self._held is not None or opened is None:
            return
        yield from self._announce(opened)
        if opened.interim is not None:
            event, opened.interim = opened.interim, None
            end_s = _seconds(event.audio_end_seconds)
            yield self._emit(self._results(opened.start_s, max(end_s, self._end_s), event.text))

    def _announce(self, opened: _Open) -> Iterator[Message]:
        if opened.is_announced:
            return
        opened.is_announced = True
        yield from self._gap(opened.start_s)
        self._silence_due_s = None
        if self.options.vad_events:
            yield SpeechStarted(channel=self._channel, timestamp=exact_s(opened.start_s))

    def _closed(self, segment: Segment, text: str, pieces: tuple[Piece, ...] = ()) -> Iterator[Message]:
        """The final of an utterance; an empty one takes its partials back."""
        opened = self._open.get(segment.segment_id)
        if opened is None:
            return
        held, self._held = self._held, None
        if held is not None:
            yield self._emit(held)
        yield from self._announce(opened)
        del self._open[segment.segment_id]
        end_s = _seconds(segment.audio_end_seconds)
        results = self._results(opened.start_s, max(end_s, self._end_s), text, pieces)
        was_cut = any(end_s - _SLACK_S <= cut_s < end_s + self._silence_s for cut_s in self._cuts_s)
        tells = self.options.tells_speech_final and segment.cut is not True
        results = replace(results, is_final=True, speech_final=tells and not was_cut)
        self._silence_due_s = end_s + self._silence_s if tells and was_cut else None
        while self._cuts_s and self._cuts_s[0] < end_s:
            self._cuts_s.popleft()
        self._final_end_s = results.start + results.duration
        if words := results.channel.alternatives[0].words:
            self._last_word_s = words[-1].end
        if self._finalizes:
            self._held = results
        else:
            yield self._emit(results)
            yield from self._advance()

    def _answer_finalizes(self, flushes: int) -> Iterator[Results]:
        """One result for each `Finalize` of the next flushes: the final before it, or else empty ones."""
        for _ in range(min(flushes, len(self._finalizes))):
            for _ in range(self._finalizes.popleft().requests):
                held, self._held = self._held, None
                yield self._emit(replace(held or self._empty_final(), from_finalize=True))

    def _is_gap_due(self, clock_s: float) -> bool:
        """Whether a gap has a message by now, if the session has processed all audio up to `clock_s`."""
        if self._open or self._held is not None:
            return False
        return any(due_s is not None and clock_s >= due_s for due_s in (self._silence_due_s, self._utterance_end_due_s))

    @property
    def _utterance_end_due_s(self) -> float | None:
        after_ms = self.options.utterance_end_ms
        return None if after_ms is None or self._last_word_s is None else self._last_word_s + after_ms / 1000

    def _gap_so_far(self, clock_s: float) -> Iterator[Message]:
        """The messages of a gap that lasts, where the session has processed all audio up to `clock_s`."""
        if self._is_gap_due(clock_s):
            yield from self._gap(clock_s)

    def _gap(self, silent_until_s: float) -> Iterator[Message]:
        """The messages of a gap between utterances, each once.

        After an utterance that `Finalize` ended, an empty result says that silence has followed: LiveKit waits for a
        `speech_final` after each `SpeechStarted`, and Deepgram sends one.
        """
        if self._silence_due_s is not None and silent_until_s >= self._silence_due_s:
            self._silence_due_s = None
            yield self._emit(replace(self._empty_final(), speech_final=True))
        due_s = self._utterance_end_due_s
        if self._last_word_s is not None and due_s is not None and silent_until_s >= due_s:
            yield UtteranceEnd(channel=self._channel, last_word_end=self._last_word_s)
            self._last_word_s = None

    def _empty_final(self) -> Results:
        self._final_end_s = max(self._final_end_s, self._end_s)
        return replace(self._results(self._end_s, self._end_s, ""), is_final=True)

    def _results(self, start_s: float, end_s: float, text: str, pieces: tuple[Piece, ...] = ()) -> Results:
        """An interim result, behind the last final."""
        start_s = exact_s(max(start_s, self._final_end_s))
        end_s = max(exact_s(end_s), start_s)
        spoken = SpokenSegment(file="", segment_id=0, start=start_s, end=end_s, text=text, pieces=pieces)
        return Results(
            channel_index=self._channel,
            start=start_s,
            duration=end_s - start_s,
            is_final=False,
            speech_final=False,
            from_finalize=False,
            channel=Channel([alternative(spoken)]),
            metadata=self._metadata,
        )

    def _emit(self, results: Results) -> Results:
        self._end_s = max(self._end_s, results.start + results.duration)
        return results


def _seconds(value: float | UnsetType) -> float:
    return value if isinstance(value, float) else 0.0
