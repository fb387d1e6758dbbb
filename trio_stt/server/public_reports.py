"""What clients without admin rights see of the reports: no single sessions, and nothing that an engine says.

An engine's message may hold internal addresses, paths, and parts of keys that an upstream service repeats.
"""

from pathlib import PurePath

import msgspec

from trio_stt.errors import HIDDEN_CAUSE
from trio_stt.protocol.reports import HealthReport, MetricsReport, SchedulerReport, StartupError, WorkerReport


def shown_model(model: str) -> str:
    """A model's name; of a path only the last part, because a path reveals facts about this machine."""
    path = PurePath(model)
    return path.name if path.is_absolute() else model


def public_health(report: HealthReport) -> HealthReport:
    """`/health` for all."""
    return msgspec.structs.replace(
        report,
        scheduler=_public_scheduler(report.scheduler),
        startup_errors=_public_errors(report.startup_errors),
    )


def public_metrics(report: MetricsReport) -> MetricsReport:
    """`/api/metrics` for all."""
    return msgspec.structs.replace(
        report,
        sessions={},
        scheduler=_public_scheduler(report.scheduler),
        startup_errors=_public_errors(report.startup_errors),
    )


def _public_errors(errors: list[StartupError]) -> list[StartupError]:
    return [msgspec.structs.replace(error, message=HIDDEN_CAUSE) for error in errors]


def _public_scheduler(report: SchedulerReport) -> SchedulerReport:
    queues = {name: msgspec.structs.replace(queue, per_session={}) for name, queue in report.queues.items()}
    workers = {name: _public_worker(worker) for name, worker in report.workers.items()}
    return msgspec.structs.replace(report, queues=queues, workers=workers)


def _public_worker(worker: WorkerReport) -> WorkerReport:
    # A remote engine's model is "NAME at ADDRESS".
    model = worker.model.partition(" at ")[0] if worker.device == "remote" else worker.model
    return msgspec.structs.replace(worker, model=model, last_error=worker.last_error and HIDDEN_CAUSE)
