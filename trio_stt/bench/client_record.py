"""What talkers noticed of their server: rows, and the notebook in which they come together.

It owns what is written down of each event of the protocol. It must not judge: `figures` does. All times are seconds
since the talker's first sample was spoken, as its own clock saw them.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from trio_stt.bench.process import ProcessUse
from trio_stt.bench.speech_plan import Plan
from trio_stt.bench.words import kept_words, plain_words

_WINDOW_S = 0.032  # what `droppedAudioChunks` counts
_KEPT_ERRORS = 5


class ObservedUtterance(msgspec.Struct, kw_only=True):
    """An utterance as its client saw it.

    Attributes:
        segment_id: As the server numbers it.
        started_s: When `recording_started` came.
        ended_s: When `recording_ended` came.
        final_s: When its `final` came; None if none did.
        closed: Whether the server said that there will be no final.
        text: Its final words.
        partials_s: When each partial came.
        shown_words: Words that partials and the final put on the screen, counting again those that changed.
        revised_words: Words that were on the screen and were changed or taken away.
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
        """Put other words on the screen."""
        words = plain_words(text)
        kept = kept_words(self.screen, words)
        self.shown_words += len(words) - kept
        self.revised_words += len(self.screen) - kept
        self.screen = words


class ClientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that one talker noticed.

    Attributes:
        number: The talker.
        begun_s: When its stream began, on the machine's monotonic clock; None if it never did.
        hello_s: From the attempt to connect until `hello`; None if none came.
        silence_s: The server's `post_speech_silence_duration`; None if it does not tell.
        audio_s: Audio sent.
        clips: What it said: the clip, and when its first sample was spoken.
        segments: Utterances by number.
        pings_s: From each `ping` to its `pong`.
        late_s: How late each packet was sent: above some ms, talkers and server compete for the same cores.
        dropped_s: Audio that the server says it dropped or refused.
        failures: What went wrong: `error` events, a connection that broke off, answers that never came.
    """

    number: int
    begun_s: float | None
    hello_s: float | None
    silence_s: float | None
    audio_s: float
    clips: list[tuple[int, float]]
    segments: list[ObservedUtterance]
    pings_s: list[float]
    late_s: list[float]
    dropped_s: float
    failures: list[str]


class WorkerResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of talkers tells.

    Attributes:
        records: Of its talkers.
        cpu_s: CPU time that it used from when it had read its clips until the last talker had ended.
    """

    records: list[ClientRecord]
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run showed.

    Attributes:
        plan: What was done.
        steady_from_s: From here on all talkers were there, in seconds after the plan began.
        records: One for each talker, by number.
        talkers_cpu_s: CPU time of all talkers' processes.
        before: The server's process then; None where it is not known.
        after: The server's process when talkers began to end, after `duration_s`.
    """

    plan: Plan
    steady_from_s: float
    records: Sequence[ClientRecord]
    clients_cpu_s: float
    before: ProcessUse | None
    after: ProcessUse | None


@dataclass(kw_only=True)
class EventRecorder:
    """Takes down events as they come.

    Attributes:
        packet_s: Length of a packet.
        ready: Whether the server said so.
        silence_s: As in `ClientRecord`.
        segments: By number.
        pings_at: When the pings were sent that have no answer yet.
        pings_s: As in `ClientRecord`.
        dropped_s: As in `ClientRecord`; None until the server was asked.
        failures: As in `ClientRecord`.
    """

    packet_s: float
    ready: bool = False
    silence_s: float | None = None
    segments: dict[int, ObservedUtterance] = field(default_factory=dict)
    pings_at: deque[float] = field(default_factory=deque)
    pings_s: list[float] = field(default_factory=list)
    dropped_s: float | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def all_final(self) -> bool:
        """Whether every utterance has its final, or will have none."""
        return all(segment.closed or segment.final_s is not None for segment in self.segments.values())

    def fail(self, what: str) -> None:
        """Write down what went wrong."""
        if len(self.failures) < _KEPT_ERRORS:
            self.failures.append(what)

    def add_event(self, event: Mapping[str, Any], now_s: float) -> None:
        """Write down an event that came at `now_s`."""
        match event.get("type"):
            case "hello":
                silence = event.get("settings", {}).get("post_speech_silence_duration")
                self.silence_s = float(silence) if isinstance(silence, int | float) else None
            case "ready":
                self.ready = True
            case "timeline":
                self._timeline(event, now_s)
            case "realtime" | "final":
                self._text(event, now_s)
            case "pong" if self.pings_at:
                self.pings_s.append(now_s - self.pings_at.popleft())
            case "metrics":
                counters = event["metrics"]
                refused_s = counters["rejectedAudioChunks"] * self.packet_s
                self.dropped_s = counters["droppedAudioChunks"] * _WINDOW_S + refused_s
            case "error":
                self.fail(f"{event.get('where')}: {event.get('message')}")

    def _text(self, event: Mapping[str, Any], now_s: float) -> None:
        segment = self.segments.get(event["segmentId"])
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
            self.segments[number] = ObservedUtterance(segment_id=number, started_s=now_s)
        elif number in self.segments:
            segment = self.segments[number]
            if event["event"] == "recording_ended":
                segment.ended_s = now_s
            elif event["event"] == "segment_closed":
                segment.closed = True
