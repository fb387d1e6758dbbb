"""Counters of one session. Its parts change them; see docs/protocol.md, The session object."""

from dataclasses import dataclass, field

from trio_stt.lanes.job import JobResult
from trio_stt.metrics import Distribution


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
