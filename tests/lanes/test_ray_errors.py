"""Ray's errors as ours: one line, of the class that decides what the lane does."""

import pytest

from trio_stt.errors import ClusterUnavailable, EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.ray_errors import engine_error

exceptions = pytest.importorskip("ray.exceptions")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            exceptions.RayTaskError("answer", "Traceback\n  lines", ValueError("no\nsuch token")),
            TranscriptionFailed,
            "the engine's actor raised no",
        ),
        (
            exceptions.ActorDiedError(),
            EngineUnavailable,
            "the engine's actor is lost: The actor died unexpectedly before finishing this task.",
        ),
        (
            exceptions.ActorUnavailableError("the raylet is gone", b"\0" * 16),
            EngineUnavailable,
            "the engine's actor is lost: The actor",
        ),
        (
            exceptions.ActorUnschedulableError("no such node"),
            ClusterUnavailable,
            "no node of the Ray cluster can run the engine: The actor is not schedulable: no such node",
        ),
        (
            ConnectionError("Client is\nshutting down."),
            ClusterUnavailable,
            "the connection to the Ray cluster at ray://a:1 was lost: Client is",
        ),
        (
            ModuleNotFoundError("No module named 'trio_stt'"),
            EngineUnavailable,
            "the nodes of the Ray cluster lack a package: No module named 'trio_stt'; install it on all of them",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_error_of_ray_becomes_one_of_ours(error: Exception, kind: type[Exception], message: str) -> None:
    mapped = engine_error("ray://a:1", error)
    assert type(mapped) is kind
    assert str(mapped).startswith(message)
    assert "\n" not in str(mapped)
    assert mapped.__cause__ is error
