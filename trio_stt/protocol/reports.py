"""Reports: the bodies of `/health`, `/api/config` and `/api/metrics`, and what events share with them.

See docs/protocol.md, HTTP routes. Frozen data only: it must not collect anything.
"""

from typing import Literal, Self

import msgspec

from trio_stt.metrics import DistributionSnapshot
from trio_stt.protocol.segment import Segment


class Report(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of everything here: camelCase on the wire."""


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
    """Lifetime count, mean and maximum; percentiles of the last 256."""

    count: int = 0
    avg_ms: float = 0.0
    max_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0

    @classmethod
    def of(cls, now: DistributionSnapshot) -> Self:
        """A distribution as reports show it."""
        return cls(count=now.count, avg_ms=now.avg_ms, max_ms=now.max_ms, p50_ms=now.p50_ms, p95_ms=now.p95_ms)


class ByKind(Report, frozen=True, kw_only=True):
    """One statistics object for partials, one for finals."""

    realtime: Statistics
    final: Statistics


class QueuedJobs(Report, frozen=True, kw_only=True):
    """Queued jobs of one session."""

    final: int
    realtime: int


class QueueReport(Report, frozen=True, kw_only=True):
    """One lane's queue: docs/protocol.md, The scheduler object."""

    name: str
    queued: int
    sessions: int
    per_session: dict[str, QueuedJobs]
    coalesced_realtime: int
    stale_realtime_dropped: int
    rejected_jobs: int


class Capabilities(Report, frozen=True, kw_only=True):
    """What a loaded engine can do (our addition): `languages` is empty where that is the model's own affair."""

    streaming: bool
    max_batch: int
    devices: tuple[str, ...]
    languages: tuple[str, ...]
    prompt: bool
    times: str


class WorkerReport(Report, frozen=True, kw_only=True):
    """One lane's workers, as if they were one: docs/protocol.md, The scheduler object.

    From `engine` on, all is our addition. The first four of that are empty until an engine is loaded.

    Attributes:
        state: `loading`, `ready`, `restarting`, `failed` or `closed`.
        workers: How many engines there shall be.
        serving: How many there are.
        restarts: Engines that were given up, ever.
        hung_threads: Engines that hang.
        dropped_partials: Partials that were lost with their engine, ever.
        last_error: Why an engine was lost or could not be loaded, the last time, or null.
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


class SchedulerReport(Report, frozen=True, kw_only=True):
    """All lanes: docs/protocol.md, The scheduler object."""

    mode: str
    queues: dict[str, QueueReport]
    workers: dict[str, WorkerReport]


class StartupError(msgspec.Struct, frozen=True, tag_field="type", tag="error", kw_only=True):
    """A lane that could not load its engine."""

    message: str
    where: str


class SessionReport(Report, frozen=True, kw_only=True):
    """One session: docs/protocol.md, The session object.

    `suppressed_texts` (our addition) counts utterances and texts that nobody can have said.
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
    queue_delay: ByKind
    inference_duration: ByKind
    total_latency: ByKind


class ProbeReport(Report, frozen=True, kw_only=True):
    """Body of `/health/live` and `/health/ready`: whether all is well, and what is not, in one line."""

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


class SettingSchema(Report, frozen=True, kw_only=True):
    """What there is to know of one public setting; our addition.

    Attributes:
        runtime_class: When a change takes effect: a key of `ConfigReport.runtime_settings`.
        group: What it belongs to, such as `server` or `speech`.
        type: As JSON has it, with whole numbers apart; `numbers` is a list of numbers.
        nullable: Whether null is allowed, which stands for none.
        minimum: Least number, of each in a list; null where there is none to name.
        exclusive_minimum: Whether `minimum` itself is too little.
        maximum: Greatest number, likewise.
        max_length: Of text in characters, of a list in items.
        choices: All that a text may be; empty where it is free.
        default: Of the declaration; a tuning profile may have another.
        help: One sentence for people.
        flag: Preferred spelling on the command line; empty for what nobody sets.
        environment: Variable; empty likewise.
    """

    runtime_class: Literal["activeSessionSafe", "newSessionOnly", "startupOnly"]
    group: str
    type: Literal["boolean", "integer", "number", "text", "numbers"]
    nullable: bool
    minimum: float | None
    exclusive_minimum: bool
    maximum: float | None
    max_length: int | None
    choices: tuple[str, ...]
    default: object
    help: str
    flag: str
    environment: str


class ConfigReport(Report, frozen=True, kw_only=True):
    """Body of `/api/config`. `schema` is our addition: every public setting that is declared, in its order."""

    settings: dict[str, object]
    limits: Limits
    supported_engines: tuple[str, ...]
    runtime_settings: dict[str, list[str]]
    schema: dict[str, SettingSchema]


class AppliedSetting(Report, frozen=True, kw_only=True):
    """A change that was taken."""

    value: object
    applies_to: Literal["active_sessions", "new_sessions"]


class RejectedSetting(Report, frozen=True, kw_only=True):
    """A change that was refused."""

    reason: str
    message: str


class ConfigUpdateReport(Report, frozen=True, kw_only=True):
    """Answer to a change of the configuration.

    Attributes:
        applied: By name.
        rejected: By the name that was asked for.
        settings: The public ones, after the change.
        runtime_settings: As in `ConfigReport`.
        warnings: What is allowed but hardly meant; our addition.
    """

    applied: dict[str, AppliedSetting]
    rejected: dict[str, RejectedSetting]
    settings: dict[str, object]
    runtime_settings: dict[str, list[str]]
    warnings: tuple[str, ...]


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


def encode_report(report: Report) -> bytes:
    """The JSON body of a report."""
    return msgspec.json.encode(report)
