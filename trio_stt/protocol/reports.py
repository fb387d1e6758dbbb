"""Reports: frozen bodies of `/health`, `/api/metrics` and `/api/history`, and the parts that events share with them.

Those of `/api/config` are in `config_reports`. See docs/protocol.md, HTTP routes. Fields marked "Added" are not in
RealtimeSTT's protocol.
"""

from typing import Literal, Self

import msgspec

from trio_stt.metrics import DistributionSnapshot
from trio_stt.protocol.event_objects import Segment


class Report(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of all reports: camelCase on the wire."""


class Limits(Report, frozen=True, kw_only=True):
    """Limits in force: docs/protocol.md, The limits object."""

    max_sessions: int
    max_active_speakers: int
    max_audio_queue_seconds_per_session: float
    max_realtime_queue_age_ms: int
    max_final_queue_depth_per_session: int
    max_global_inference_queue_depth: int
    realtime_degradation_threshold_ms: int


class Statistics(Report, frozen=True, kw_only=True):
    """Durations: count, mean and maximum of the lifetime, percentiles of the last 256."""

    count: int = 0
    avg_ms: float = 0.0
    max_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0

    @classmethod
    def of(cls, now: DistributionSnapshot) -> Self:
        """Build from a distribution."""
        return cls(count=now.count, avg_ms=now.avg_ms, max_ms=now.max_ms, p50_ms=now.p50_ms, p95_ms=now.p95_ms)


class ByKind(Report, frozen=True, kw_only=True):
    """Statistics of partials and of finals."""

    realtime: Statistics
    final: Statistics


class QueuedJobs(Report, frozen=True, kw_only=True):
    """Number of queued jobs of one session."""

    final: int
    realtime: int


class QueueReport(Report, frozen=True, kw_only=True):
    """The queue of one lane: docs/protocol.md, The queue object."""

    name: str
    queued: int
    sessions: int
    per_session: dict[str, QueuedJobs]
    coalesced_realtime: int
    stale_realtime_dropped: int
    rejected_jobs: int


class Capabilities(Report, frozen=True, kw_only=True):
    """Capabilities of a loaded engine. `languages` is empty if they are not known. Added."""

    streaming: bool
    max_batch: int
    devices: tuple[str, ...]
    languages: tuple[str, ...]
    language_per_session: bool
    prompt: bool
    times: str


class WorkerReport(Report, frozen=True, kw_only=True):
    """All workers of one lane together: docs/protocol.md, The workers object.

    Fields from `engine` on are added. `engine`, `model`, `device` and `capabilities` are empty until one is loaded.

    Attributes:
        workers: Engines that the lane should have.
        serving: Engines that it has.
        restarts: Engines given up so far.
        hung_threads: Engines that hang in a call now.
        dropped_partials: Partials lost with their engine so far.
        last_error: Why an engine was last lost or not loaded.
        notice: How engines run otherwise than the settings ask, and why.
    """

    name: str
    ready: bool
    healthy: bool
    completed_jobs: int
    failed_jobs: int
    busy_ratio: float
    queue_delay: Statistics
    inference_duration: Statistics
    total_latency: Statistics
    engine: str = ""
    model: str = ""
    device: str = ""
    capabilities: Capabilities | None = None
    state: Literal["loading", "ready", "restarting", "failed", "closed"] = "loading"
    workers: int = 1
    serving: int = 0
    restarts: int = 0
    hung_threads: int = 0
    dropped_partials: int = 0
    last_error: str | None = None
    notice: str | None = None


class SchedulerReport(Report, frozen=True, kw_only=True):
    """All lanes: docs/protocol.md, The scheduler object."""

    mode: str
    queues: dict[str, QueueReport]
    workers: dict[str, WorkerReport]


class StartupError(msgspec.Struct, frozen=True, tag_field="type", tag="error", kw_only=True):
    """Error of a lane that could not load its engine."""

    message: str
    where: str


class SessionReport(Report, frozen=True, kw_only=True):
    """State and counters of one session: docs/protocol.md, The session object.

    Attributes:
        suppressed_texts: Utterances and texts withheld because they contain no speech. Added.
        dropped_candidates: Sounds that might have been speech and were no utterance. Added.
    """

    session_id: str
    streaming: bool
    recording: bool
    state: str
    wake_word_enabled: bool
    current_segment_id: int
    current_segment: Segment | None
    queue_depth: int
    recording_seconds: float
    dropped_audio_chunks: int
    rejected_audio_chunks: int
    coalesced_realtime: int
    stale_realtime_discarded: int
    cancelled_jobs: int
    realtime_submitted: int
    final_submitted: int
    realtime_completed: int
    final_completed: int
    realtime_rejected: int
    final_rejected: int
    forced_finalizations: int
    dropped_recorded_segments: int
    suppressed_texts: int
    dropped_candidates: int
    queue_delay: ByKind
    inference_duration: ByKind
    total_latency: ByKind


class ProbeReport(Report, frozen=True, kw_only=True):
    """Body of `/health/live` and `/health/ready`; `reason` says in one line what is wrong."""

    ok: bool
    reason: str | None


class HealthReport(Report, frozen=True, kw_only=True):
    """Body of `/health`."""

    ok: bool
    ready: bool
    active_sessions: int
    active_speakers: int
    rejected_sessions: int
    scheduler: SchedulerReport
    startup_errors: list[StartupError]


class MetricsReport(Report, frozen=True, kw_only=True):
    """Body of `/api/metrics`."""

    active_sessions: int
    active_speakers: int
    rejected_sessions: int
    pending_session_admissions: int
    sessions: dict[str, SessionReport]
    ready: bool
    ok: bool
    scheduler: SchedulerReport
    limits: Limits
    startup_errors: list[StartupError]


class DialectReport(Report, frozen=True, kw_only=True):
    """The clients of one dialect since the server started. Added.

    Attributes:
        sessions: Sessions now.
        sessions_started: All sessions.
        audio_seconds: Audio that was accepted from them.
        finals: Final texts that were made.
        partials: Partial texts that were made.
        rejections: Clients that were refused a session, by reason.
    """

    sessions: int
    sessions_started: int
    audio_seconds: float
    finals: int
    partials: int
    rejections: dict[str, int]


class HistoryReport(Report, frozen=True, kw_only=True):
    """The last hour of the server, one value for each interval, the oldest first. Added.

    Attributes:
        started_at: When the server started, in seconds since the epoch.
        cores: Cores that it may use.
        sample_seconds: Length of an interval.
        rejections: Clients that were refused a session since the start, by reason: `full`, `closing`, `access`,
            `connections`.
        dialects: Those whose clients had a session or were refused one, by name.
        sessions: Sessions at the end of each interval.
        speakers: Those with a running utterance.
        rejected: Clients that were refused in it.
        queued: Jobs that waited at its end.
        busy: Share of it in which the busiest lane worked, 0 to 1.
        cpu: Share of the cores that this process used, 0 to 1.
        memory_bytes: Resident memory of this process.
    """

    version: str
    started_at: float
    uptime_seconds: float
    cores: int
    sample_seconds: float
    rejections: dict[str, int]
    dialects: dict[str, DialectReport]
    sessions: tuple[int, ...]
    speakers: tuple[int, ...]
    rejected: tuple[int, ...]
    queued: tuple[int, ...]
    busy: tuple[float, ...]
    cpu: tuple[float, ...]
    memory_bytes: tuple[int, ...]


def encode_report(report: Report) -> bytes:
    """Encode a report as JSON."""
    return msgspec.json.encode(report)
