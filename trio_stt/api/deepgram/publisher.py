"""Makes the messages of one channel of a live client from the events of its session. Sans-IO.

Times count from the first sample of the connection, and are multiples of 1/1024 s (`words.exact_s`). Whatever the
client and the engine do: `start + duration` of successive results never goes back, finals do not overlap, and each
`Finalize` is answered by exactly one result with `from_finalize`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from msgspec import UnsetType
from msgspec.structs import replace

from trio_stt.api.deepgram.messages import Message, ResultMetadata, Results, SpeechStarted, UtteranceEnd, fault
from trio_stt.api.deepgram.options import ListenOptions
from trio_stt.api.deepgram.results import ResultMaker
from trio_stt.api.deepgram.words import exact_s
from trio_stt.protocol.event_objects import Piece, Segment
from trio_stt.protocol.events import Error, Event, Final, Flushed, Heartbeat, Metrics, Realtime, Status, Timeline

_MAX_OPEN_FLUSHES = 32
"""Unanswered flushes; a further `Finalize` is answered together with the last of them. Half of what a session takes."""
_SLACK_S = 0.1
"""Seconds by which the end of speech may lie behind a `Finalize` that ended it: detection works in windows of 32 ms."""
_LANGUAGE_REFUSED = "start language"
"""How the error begins that an engine, loaded after the handshake, does not have the client's language."""


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


class ResultPublisher:
    """The messages of one channel.

    Args:
        options: Of the client.
        metadata: In every result.
        channel: Its number from 0, and the number of channels.
        silence_s: Silence that ends an utterance, in seconds.
    """

    def __init__(
        self, options: ListenOptions, *, metadata: ResultMetadata, channel: tuple[int, int], silence_s: float
    ) -> None:
        self._options = options
        self._channel = channel
        self._silence_s = silence_s
        self._open: dict[int, _Open] = {}  # by segment, in order
        self._results = ResultMaker(metadata, channel=channel)
        self._finalizes: deque[_Finalize] = deque()
        self._held: Results | None = None  # the last final, until it is known whether it answers a `Finalize`
        # Where the client ended an utterance, while finals from before may come. Bounded, because a client may send
        # `Finalize` for hours while nothing is said.
        self._cuts_s: deque[float] = deque(maxlen=256)
        self._silence_due_s: float | None = None  # where silence will end the speech that a `Finalize` has cut short
        self._last_word_s: float | None = None  # the end of the last word, until its `UtteranceEnd`
        self._query_clock_s: float | None = None  # the clock when the session was asked for its queue depth
        self._heartbeat_clock_s = 0.0  # the clock at the last heartbeat

    def cut(self, clock_s: float) -> None:
        """Note that the client ends the running utterance here."""
        self._cuts_s.append(clock_s)

    def finalize(self, clock_s: float) -> bool:
        """Take a `Finalize`; returns whether the session gets a flush for it."""
        if len(self._finalizes) >= _MAX_OPEN_FLUSHES:
            self._finalizes[-1].requests += 1
            return False
        self._finalizes.append(_Finalize())
        self.cut(clock_s)
        return True

    def asks(self, clock_s: float) -> bool:
        """Whether the session is to be asked now if it has processed all audio."""
        if self._query_clock_s is not None or not self._is_gap_due(clock_s):
            return False
        self._query_clock_s = clock_s
        return True

    def rest(self, clock_s: float) -> Iterator[Message]:
        """What is still held when the connection ends."""
        return chain(self._answer_finalizes(len(self._finalizes)), self._gap_so_far(clock_s))

    def messages(self, event: Event, clock_s: float) -> Iterator[Message]:
        """The messages for an event of the session.

        Args:
            event: The event.
            clock_s: Seconds of audio received.
        """
        match event:
            case Timeline() | Realtime() | Final():
                yield from self._of_utterance(event)
            case Flushed():
                yield from self._answer_finalizes(1)
                yield from self._advance()
            case Metrics(metrics=report):
                query_clock_s, self._query_clock_s = self._query_clock_s, None
                if query_clock_s is not None and not report.queue_depth:
                    yield from self._gap_so_far(query_clock_s)
            case Status(queue_depth=0):
                yield from self._gap_so_far(clock_s)
            case Heartbeat():
                # All audio from before the last heartbeat is processed by now.
                if clock_s == self._heartbeat_clock_s:
                    yield from self._gap_so_far(clock_s)
                self._heartbeat_clock_s = clock_s
            case Error(where=where, message=text) if where.costs_words or text.startswith(_LANGUAGE_REFUSED):
                yield fault("ServerError", text)

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
        if self._options.interim_results and opened is not None and event.text:
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
            yield self._results.emit(self._results.interim(opened.start_s, end_s, event.text))

    def _announce(self, opened: _Open) -> Iterator[Message]:
        if opened.is_announced:
            return
        opened.is_announced = True
        yield from self._gap(opened.start_s)
        self._silence_due_s = None
        if self._options.vad_events:
            yield SpeechStarted(channel=self._channel, timestamp=exact_s(opened.start_s))

    def _closed(self, segment: Segment, text: str, pieces: tuple[Piece, ...] = ()) -> Iterator[Message]:
        """The final of an utterance; an empty one takes its partials back."""
        opened = self._open.get(segment.segment_id)
        if opened is None:
            return
        held, self._held = self._held, None
        if held is not None:
            yield self._results.emit(held)
        yield from self._announce(opened)
        del self._open[segment.segment_id]
        end_s = _seconds(segment.audio_end_seconds)
        results = self._results.final(opened.start_s, end_s, text, pieces)
        was_cut = any(end_s - _SLACK_S <= cut_s < end_s + self._silence_s for cut_s in self._cuts_s)
        tells = self._options.tells_speech_final and segment.cut is not True
        results = replace(results, speech_final=tells and not was_cut)
        self._silence_due_s = end_s + self._silence_s if tells and was_cut else None
        while self._cuts_s and self._cuts_s[0] < end_s:
            self._cuts_s.popleft()
        if words := results.channel.alternatives[0].words:
            self._last_word_s = words[-1].end
        if self._finalizes:
            self._held = results
        else:
            yield self._results.emit(results)
            yield from self._advance()

    def _answer_finalizes(self, flushes: int) -> Iterator[Results]:
        """One result for each `Finalize` of the next flushes: the final before it, or else empty ones."""
        for _ in range(min(flushes, len(self._finalizes))):
            for _ in range(self._finalizes.popleft().requests):
                held, self._held = self._held, None
                yield self._results.emit(replace(held or self._results.empty_final(), from_finalize=True))

    def _is_gap_due(self, clock_s: float) -> bool:
        """Whether a gap has a message by now, if the session has processed all audio up to `clock_s`."""
        if self._open or self._held is not None:
            return False
        return any(due_s is not None and clock_s >= due_s for due_s in (self._silence_due_s, self._utterance_end_due_s))

    @property
    def _utterance_end_due_s(self) -> float | None:
        after_ms = self._options.utterance_end_ms
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
            yield self._results.emit(replace(self._results.empty_final(), speech_final=True))
        due_s = self._utterance_end_due_s
        if self._last_word_s is not None and due_s is not None and silent_until_s >= due_s:
            yield UtteranceEnd(channel=self._channel, last_word_end=self._last_word_s)
            self._last_word_s = None


def _seconds(value: float | UnsetType) -> float:
    return value if isinstance(value, float) else 0.0
