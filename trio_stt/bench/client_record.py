"""Records of a run: what each client observed, and the recorder that fills them from protocol events.

It must not compute figures: `figures` does. All times are seconds since the client's first sample was spoken, on the
client's clock.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from trio_stt.bench.process import ProcessUse
from trio_stt.bench.speech_plan import Plan
from trio_stt.bench.words import kept_words, plain_words

_WINDOW_S = 0.032  # `droppedAudioChunks` counts windows of this length
_MAX_FAILURES = 5


class ObservedUtterance(msgspec.Struct, kw_only=True):
    """An utterance as its client observed it.

    Attributes:
        segment_id: The server's number for it.
        started_s: When `recording_started` arrived.
        ended_s: When `recording_ended` arrived.
        final_s: When its `final` arrived; None if none did.
        closed: Whether the server closed it without a final.
        text: Its final words.
        partials_s: When each partial arrived.
        shown_words: Words that partials and the final put on the screen; a changed word counts again.
        revised_words: Words that were on the screen and were changed or removed.
        screen: The words on the screen now.
    """

    segment_id: int
    started_s: float
    ended_s: float | None = None
    final_s: float | None = None
    closed: bool = False
    text: str = ""
    partials_s: list[float] = msgspec.field(default_factory=list)
    shown_words: int = 0
    revised_words: int = 0
    screen: list[str] = msgspec.field(default_factory=list)

    def show(self, text: str) -> None:
        """Replace the words on the screen, and count what changed."""
        words = plain_words(text)
        kept = kept_words(self.screen, words)
        self.shown_words += len(words) - kept
        self.revised_words += len(self.screen) - kept
        self.screen = words


class ClientRecord(msgspec.Struct, kw_only=True):
    """Everything that one client observed; filled while it runs.

    Attributes:
        number: The client.
        begun_s: When its stream began, on the machine's monotonic clock; None if it never did.
        hello_s: Time from the connection attempt until `hello`; None if none arrived.
        silence_s: The server's `post_speech_silence_duration`; None if `hello` does not contain it.
        audio_s: Audio sent.
        clips: The clips it sent, each with the time of its first sample.
        segments: Utterances by number.
        pings_s: Time from each `ping` to its `pong`.
        late_s: How late each packet was sent. More than a few ms mean that clients and server compete for cores.
        dropped_s: Audio that the server reports as dropped or rejected.
        failures: `error` events, broken connections, missing answers; the first five.
    """

    number: int
    begun_s: float | None = None
    hello_s: float | None = None
    silence_s: float | None = None
    audio_s: float = 0.0
    clips: list[tuple[int, float]] = msgspec.field(default_factory=list)
    segments: list[ObservedUtterance] = msgspec.field(default_factory=list)
    pings_s: list[float] = msgspec.field(default_factory=list)
    late_s: list[float] = msgspec.field(default_factory=list)
    dropped_s: float = 0.0
    failures: list[str] = msgspec.field(default_factory=list)

    @property
    def finals(self) -> int:
        """Number of utterances that have a final or are closed without one."""
        return sum(segment.closed or segment.final_s is not None for segment in self.segments)

    def fail(self, message: str) -> None:
        """Keep the message of a failure."""
        if len(self.failures) < _MAX_FAILURES:
            self.failures.append(message)


class WorkerResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one worker process.

    Attributes:
        records: One for each of its clients.
        cpu_s: CPU time from when its clips were read until its last client ended.
    """

    records: list[ClientRecord]
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The raw result of a run.

    Attributes:
        plan: The plan that was carried out.
        steady_from_s: When all clients were connected, in seconds after the plan began.
        records: One for each client, by number.
        clients_cpu_s: CPU time of all worker processes.
        before: The server's process at `steady_from_s`; None if its process is unknown.
        after: The server's process after `duration_s`, when clients began to stop.
    """

    plan: Plan
    steady_from_s: float
    records: Sequence[ClientRecord]
    clients_cpu_s: float
    before: ProcessUse | None
    after: ProcessUse | None


@dataclass(kw_only=True)
class EventRecorder:
    """Fills a record from the events of its client.

    Attributes:
        record: The record.
        packet_s: Length of a packet in seconds.
        ready: Whether `ready` arrived.
        counted: Whether `metrics` arrived, and `dropped_s` of the record is known.
        pings_at: When the pings without an answer were sent.
    """

    record: ClientRecord
    packet_s: float
    ready: bool = False
    counted: bool = False
    pings_at: deque[float] = field(default_factory=deque)

    def add_event(self, event: Mapping[str, Any], now_s: float) -> None:
        """Record an event that arrived at `now_s`."""
        record = self.record
        match event.get("type"):
            case "hello":
                silence = event.get("settings", {}).get("post_speech_silence_duration")
                record.silence_s = float(silence) if isinstance(silence, int | float) else None
            case "ready":
                self.ready = True
            case "timeline":
                self._timeline(event, now_s)
            case "realtime" if event.get("retracted"):
                pass  # `segment_closed` follows
            case "turn_resumed" if segment := self._segment(event["segmentId"]):
                segment.ended_s = segment.final_s = None  # another final replaces it
            case "realtime" | "final":
                self._text(event, now_s)
            case "pong" if self.pings_at:
                record.pings_s.append(now_s - self.pings_at.popleft())
            case "metrics":
                counters = event["metrics"]
                refused_s = counters["rejectedAudioChunks"] * self.packet_s
                record.dropped_s = counters["droppedAudioChunks"] * _WINDOW_S + refused_s
                self.counted = True
            case "error":
                record.fail(f"{event.get('where')}: {event.get('message')}")

    def _text(self, event: Mapping[str, Any], now_s: float) -> None:
        segment = self._segment(event["segmentId"])
        if segment is None:
            return
        if event["type"] == "final":
            segment.final_s, segment.text = now_s, event["text"]
            segment.show(event["text"])
        else:
            segment.partials_s.append(now_s)
            segment.show(event["displayText"])

    def _timeline(self, event: Mapping[str, Any], now_s: float) -> None:
        number = event.get("segmentId")
        if event["event"] == "recording_started" and number is not None:
            self.record.segments.append(ObservedUtterance(segment_id=number, started_s=now_s))
        elif segment := self._segment(number):
            if event["event"] == "recording_ended":
                segment.ended_s = now_s
            elif event["event"] == "segment_closed":
                segment.closed = True

    def _segment(self, number: int | None) -> ObservedUtterance | None:
        """The utterance with a number, searched from the newest on, because events are mostly about that."""
        return next((segment for segment in reversed(self.record.segments) if segment.segment_id == number), None)
