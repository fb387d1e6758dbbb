"""Counters of one session, and the report made of them. Other parts of the session change them.

See docs/protocol.md, The session object.
"""

from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from trio_stt.lanes.job import JobResult
from trio_stt.metrics import Distribution
from trio_stt.protocol.reports import ByKind, SessionReport, Statistics
from trio_stt.protocol.segment import Segment


class SessionFacts(TypedDict):
    """Fields of a report that are not counters; names and units as in `SessionReport`."""

    session_id: str
    streaming: bool
    recording: bool
    state: str
    wake_word_enabled: bool
    current_segment_id: int
    current_segment: Segment | None
    queue_depth: int
    recording_seconds: float


@dataclass(slots=True)
class KindCounters:
    """Jobs of one kind: counts, and durations of those whose result was delivered."""

    submitted: int = 0
    completed: int = 0
    rejected: int = 0
    queue_delay: Distribution = field(default_factory=Distribution)
    inference: Distribution = field(default_factory=Distribution)
    total: Distribution = field(default_factory=Distribution)

    def deliver(self, result: JobResult) -> None:
        """Count a result that reached the session."""
        self.completed += 1
        self.queue_delay.add(result.queue_delay_s)
        self.inference.add(result.inference_s)
        self.total.add(result.total_s)


@dataclass(slots=True)
class SessionCounters:
    """All counters of one session; names as on the wire."""

    dropped_audio_chunks: int = 0
    rejected_audio_chunks: int = 0
    coalesced_realtime: int = 0
    stale_realtime_discarded: int = 0
    cancelled_jobs: int = 0
    forced_finalizations: int = 0
    suppressed_texts: int = 0
    received_us: int = 0
    open_flushes: int = 0
    final: KindCounters = field(default_factory=KindCounters)
    realtime: KindCounters = field(default_factory=KindCounters)

    @property
    def received_s(self) -> float:
        """Audio accepted from the client, in seconds."""
        return self.received_us / 1_000_000

    @property
    def real_time_factor(self) -> float:
        """Engine seconds per second of audio received; 0.0 before any."""
        engine_s = self.realtime.inference.sum_s + self.final.inference.sum_s
        return engine_s / self.received_s if self.received_us else 0.0

    @property
    def latest_queue_delay_s(self) -> float:
        """Queue delay of the latest partial or of the latest final, whichever is longer."""
        return max(self.realtime.queue_delay.latest_s, self.final.queue_delay.latest_s)

    def report(self, **facts: Unpack[SessionFacts]) -> SessionReport:
        """A report of the counters and of these facts."""
        partials, finals = self.realtime, self.final
        return SessionReport(
            **facts,
            dropped_audio_chunks=self.dropped_audio_chunks,
            rejected_audio_chunks=self.rejected_audio_chunks,
            coalesced_realtime=self.coalesced_realtime,
            stale_realtime_discarded=self.stale_realtime_discarded,
            cancelled_jobs=self.cancelled_jobs,
            realtime_submitted=partials.submitted,
            final_submitted=finals.submitted,
            realtime_completed=partials.completed,
            final_completed=finals.completed,
            realtime_rejected=partials.rejected,
            final_rejected=finals.rejected,
            forced_finalizations=self.forced_finalizations,
            dropped_recorded_segments=0,  # finished utterances are never dropped
            suppressed_texts=self.suppressed_texts,
            queue_delay=_by_kind(partials.queue_delay, finals.queue_delay),
            inference_duration=_by_kind(partials.inference, finals.inference),
            total_latency=_by_kind(partials.total, finals.total),
        )


def _by_kind(realtime: Distribution, final: Distribution) -> ByKind:
    return ByKind(realtime=Statistics.of(realtime.snapshot()), final=Statistics.of(final.snapshot()))
