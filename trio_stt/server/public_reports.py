"""What clients without admin rights see of the reports: no single sessions, and nothing that an engine says.

An engine's message may hold internal addresses, paths, and parts of keys that an upstream service repeats.
"""

from pathlib import PurePath

import msgspec

from trio_stt.errors import HIDDEN_CAUSE
from trio_stt.protocol.reports import HealthReport, MetricsReport, SchedulerReport, StartupError, WorkerReport


def shown_model(model: str) -> str:
    """A model's name without facts about this machine: the last part of a path, and no address of a remote model.

    A remote engine's model is "NAME at ADDRESS".
    """
    name = model.partition(" at http")[0]
    path = PurePath(name)
    return path.name if path.is_absolute() else name


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
    return msgspec.structs.replace(
        worker,
        model=shown_model(worker.model),
        last_error=worker.last_error and HIDDEN_CAUSE,
        notice=worker.notice and HIDDEN_CAUSE,
    )
