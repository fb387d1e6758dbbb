"""What trio-stt uses of Ray: one connection through Ray Client, and actors that run an engine each.

It imports Ray only once a lane connects, and so does `ray_errors`; no other module does. A server is never a driver of
Ray: Ray ends the process of a driver a minute after the head is lost. Every method may block, so `ray_link` calls all
of them on its thread.
"""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trio_stt.errors import ClusterUnavailable, EngineUnavailable, first_line
from trio_stt.lanes.ray_errors import engine_error, refusal
from trio_stt.runtime.packages import install_hint

logger = logging.getLogger(__name__)

MINIMUM_RAY = (2, 59)
"""Oldest version of Ray whose client, tokens and errors were tried."""

_CONNECT_TIMEOUT_S = 5.0
_RECONNECT_GRACE_S = 1
"""Seconds after which Ray Client gives up a broken connection, with all actors, once its attempt has failed. Its own
30 s are as long as the default deadline of a job. An engine that starts elsewhere takes about as long as the attempt,
so a longer one gains nothing: finals would wait for a head that is lost."""

_ATTEMPT_S = 2
"""Seconds that Ray Client waits for the head in its first attempt to connect, and in each to get a broken connection
back. It looks at the time only after an attempt, so a lost head is noticed after these seconds."""

_KEEPALIVE_MS = 10_000
"""Milliseconds after which a silent head is asked whether it lives, and within which it must answer. Ray's own 30 s and
600 s would leave calls to a frozen head without an answer for ten minutes."""

_ENVIRONMENT = {
    "RAY_CLIENT_RECONNECT_GRACE_PERIOD": str(_RECONNECT_GRACE_S),
    "RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": str(_ATTEMPT_S),
    "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "5",  # three attempts: 2, 5 and 5 s
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, Ray would copy the working folder to every node
    "RAY_USAGE_STATS_ENABLED": "0",
}
_NAMED_RESOURCES = ("num_cpus", "num_gpus", "memory")
TOKEN_FILE = Path("~/.ray/auth_token")
"""Where Ray looks for its token unless RAY_AUTH_TOKEN_PATH says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class ActorHandle:
    """An actor of one connection; with the connection it is gone."""

    actor: Any
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A node of the cluster, and the versions that a process on it uses; `problem` in place of them."""

    address: str
    ray: str = ""
    python: str = ""
    trio_stt: str = ""
    problem: str = ""


def missing_ray() -> str | None:
    """Why Ray cannot be used here, in one line that says what to do; None if it can."""
    try:
        installed = version("ray")
        version("grpcio")
    except PackageNotFoundError:
        return f"Ray is not installed; run `{install_hint('ray')}`"
    numbers = tuple(int(part) for part in installed.split(".")[:2])
    if numbers < MINIMUM_RAY:
        oldest = ".".join(map(str, MINIMUM_RAY))
        return f"Ray {installed} is too old, {oldest} is the oldest that works; run `{install_hint('ray')}`"
    return None


class RayClient:
    """One connection to a cluster. Implements `Cluster` of `ray_link`.

    Args:
        address: As `ray://HOST:PORT`.
        actor_class: What runs in an actor: `RemoteActor`.
    """

    def __init__(self, address: str, actor_class: type) -> None:
        self.address = address
        self._plain_class = actor_class
        self._ray: Any = None
        self._actor_class: Any = None
        self._connection = 0

    def is_connected(self) -> bool:
        """Whether there is a connection, as far as Ray knows. Does not block."""
        return self._ray is not None and bool(self._ray.util.client.ray.is_connected())

    def connect(self) -> str:
        """Connect, again if need be, and describe the cluster in one line.

        Raises:
            ClusterUnavailable: The cluster does not answer, or has other versions of Ray or Python.
            EngineUnavailable: Ray cannot be used here.
        """
        self._probe()
        ray = self._imported()
        try:
            self.disconnect()
            context = ray.init(self.address, namespace="trio-stt", log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            self.disconnect()
            raise ClusterUnavailable(refusal(self.address, error)) from error
        self._connection += 1
        self._actor_class = ray.remote(self._plain_class)
        return f"Ray {context.ray_version}, Python {context.python_version}"

    def disconnect(self) -> None:
        """End the connection and with it its actors. Does nothing without one."""
        self._ray.shutdown()

    def create(self, resources: Mapping[str, float], log_level: str, log_format: str) -> ActorHandle:
        """Create an actor, which starts when a node has room for it.

        Raises:
            EngineUnavailable: It cannot be created.
        """
        named = {name: resources[name] for name in _NAMED_RESOURCES if name in resources}
        others = {name: amount for name, amount in resources.items() if name not in _NAMED_RESOURCES}
        # The lane decides about restarts and retries: it knows which jobs still matter.
        options = {"num_cpus": 0.0, **named, "resources": others, "max_restarts": 0, "max_task_retries": 0}
        options["scheduling_strategy"] = "SPREAD"  # a node that is lost should cost few of a lane's engines
        try:
            actor = self._actor_class.options(**options).remote(log_level, log_format)
        except Exception as error:
            raise engine_error(self.address, error) from error
        return ActorHandle(actor, self._connection)

    def call(
        self, handle: ActorHandle, method: str, arguments: tuple[bytes, ...], on_done: Callable[[Any], None]
    ) -> None:
        """Send a call to an actor, which makes its calls in order.

        Args:
            handle: The actor.
            method: Of `RemoteActor`.
            arguments: Of the method.
            on_done: Called on any thread with what the method returned, or with an EngineError.

        Raises:
            EngineUnavailable: The actor or the connection is gone.
        """
        if handle.connection != self._connection:
            raise EngineUnavailable("the connection to the actor's cluster was lost")
        try:
            future = getattr(handle.actor, method).remote(*arguments).future()
        except Exception as error:
            raise engine_error(self.address, error) from error
        future.add_done_callback(lambda done: on_done(self._result(done)))

    def kill(self, handle: ActorHandle) -> None:
        """End an actor at once, whatever it does. Does nothing if it is gone."""
        if handle.connection == self._connection:
            try:
                self._ray.kill(handle.actor, no_restart=True)
            except Exception as error:  # noqa: BLE001 - Ray raises bare ones; the actor is gone with its connection
                logger.debug("an actor could not be ended: %s", first_line(error))

    def nodes(self) -> tuple[ClusterNode, ...]:
        """The living nodes, with the versions that a task on each of them finds.

        Raises:
            ClusterUnavailable: The cluster does not answer any more.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - see the module

        try:
            alive = [node for node in self._ray.nodes() if node["Alive"]]
            ask = self._ray.remote(_versions)
            requested = [
                ask.options(
                    num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote()
                for node in alive
            ]
        except Exception as error:
            raise ClusterUnavailable(first_line(error)) from error
        return tuple(
            self._node(node["NodeManagerAddress"], answer) for node, answer in zip(alive, requested, strict=True)
        )

    def _node(self, address: str, answer: Any) -> ClusterNode:
        try:
            ray, python, own = self._ray.get(answer, timeout=60)
        except Exception as error:  # noqa: BLE001 - whatever a node answers with, it is shown
            return ClusterNode(address=address, problem=first_line(engine_error(self.address, error)))
        return ClusterNode(address=address, ray=ray, python=python, trio_stt=own)

    def _probe(self) -> None:
        """Open a connection and close it: the system's error says more than Ray's timeout.

        Raises:
            ClusterUnavailable: Nothing listens at the address.
        """
        place = urlsplit(self.address)
        try:
            socket.create_connection((place.hostname or "", place.port or 0), _CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise ClusterUnavailable(
                f"no Ray cluster answers at {self.address} (ray_address): {error.strerror or error}; `trio-stt cluster"
                " up` starts one on this machine"
            ) from error

    def _imported(self) -> Any:
        if self._ray is not None:
            return self._ray
        if problem := missing_ray():
            raise EngineUnavailable(problem) from ImportError(problem)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN_FILE)).expanduser()
        if token.is_file() or "RAY_AUTH_TOKEN" in os.environ:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        import ray  # noqa: PLC0415 - it takes a second and 60 MB, which only a lane on Ray pays
        import ray.util.client  # noqa: PLC0415 - as above
        from ray.util.client import common  # noqa: PLC0415 - as above

        ray_logger = logging.getLogger("ray")  # its lines in the format of all other log lines
        ray_logger.handlers.clear()
        ray_logger.propagate = True
        # Clips are what we send, and our own line says more about a connection that timed out.
        warnings.filterwarnings("ignore", "More than 10MB of messages|Ray Client connection timed out", UserWarning)
        options: list[tuple[str, Any]] = common.GRPC_OPTIONS
        options[:] = [
            (name, _KEEPALIVE_MS if name in ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms") else value)
            for name, value in options
        ]
        self._ray = ray
        if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
            logger.warning(
                "Ray at %s is used without a token: whoever reaches one of its ports runs code on every node; see"
                " docs/security.md, Ray",
                self.address,
            )
        elif os.environ.get("RAY_USE_TLS", "").lower() not in ("1", "true"):
            logger.info("Ray at %s is used without TLS (RAY_USE_TLS): speech travels unencrypted", self.address)
        return ray

    def _result(self, future: Any) -> Any:
        error = future.exception()
        return future.result() if error is None else engine_error(self.address, error)


def _versions() -> tuple[str, str, str]:
    """Versions of Ray, Python and trio-stt; runs on a node."""
    import platform  # noqa: PLC0415 - the function travels without its module
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - as above

    try:
        own = version("trio-stt")
    except PackageNotFoundError:
        own = ""
    return version("ray"), platform.python_version(), own
