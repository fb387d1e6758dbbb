"""`trio-stt cluster`: runs Ray on this machine, as the head of a cluster or another node, until a signal.

It owns arguments, the token file and output. `serve --lane-executor ray` uses the cluster.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from trio_stt.errors import ClusterUnavailable, SettingError
from trio_stt.lanes.ray_client import TOKEN_FILE, missing_ray
from trio_stt.settings import load_settings

_OBJECT_STORE_BYTES = 256 * 2**20
"""Shared memory of a node: clips take a megabyte at most, and Ray would take 30 % of the machine's memory."""

_START_LIMIT_S = 180.0
_STOP_LIMIT_S = 20.0
_STARTED = "Ray runtime started"
NODE_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The head forks a process for each client while threads of gRPC run. gRPC's handlers of a fork abort that process:
    # now and then, and with TLS always that of the second client (ray-project/ray, issue 63202).
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    # A frozen node counts as dead after 18 s instead of 60: within that time, engines may be placed on it.
    "RAY_health_check_period_ms": "3000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


def cluster(parsed: argparse.Namespace) -> int:
    """Run a node until SIGINT or SIGTERM; return the exit status.

    Raises:
        SettingError: Ray cannot be used here, or the token or an argument is missing or wrong.
        ClusterUnavailable: Ray did not start.
    """
    if problem := missing_ray():
        raise SettingError(problem)
    if parsed.resources is not None:
        load_settings({"lane_resources": parsed.resources})  # which checks them
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN_FILE)).expanduser()
    if "RAY_AUTH_TOKEN" not in os.environ:
        require_token(path, create=parsed.action == "up")
    environment = {**NODE_ENVIRONMENT, **os.environ}
    lines = list(_head_lines(parsed, path)) if parsed.action == "up" else [f"This machine is a node of {parsed.head}."]
    if environment["RAY_AUTH_MODE"] != "token":
        lines.insert(
            0,
            "Warning: RAY_AUTH_MODE turns the token off: any client that reaches Ray can run code on all nodes.",
        )
    return _run([sys.executable, "-m", "ray.scripts.scripts", *ray_arguments(parsed)], environment, lines)


def require_token(path: Path, *, create: bool) -> None:
    """Make sure that the token file exists, and that only its owner can read it.

    Raises:
        SettingError: It is missing and not to be created, or cannot be written.
    """
    try:
        if create and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except FileNotFoundError:
        raise SettingError(f"there is no token in {path}; copy the one of the head, which `cluster up` names") from None
    except OSError as error:
        raise SettingError(f"the token {path} cannot be kept: {error.strerror}") from None


def ray_arguments(parsed: argparse.Namespace) -> Iterator[str]:
    """The arguments of Ray's own command."""
    yield from ("start", "--block", "--disable-usage-stats", f"--object-store-memory={_OBJECT_STORE_BYTES}")
    if parsed.action == "up":
        yield from ("--head", f"--port={parsed.port}", f"--ray-client-server-port={parsed.client_port}")
        yield "--include-dashboard=false"
    else:
        yield f"--address={parsed.head}"
    if parsed.host:
        yield f"--node-ip-address={parsed.host}"
    for name in ("num_cpus", "num_gpus", "resources"):
        if (value := getattr(parsed, name)) is not None:
            yield f"--{name.replace('_', '-')}={value}"


def _head_lines(parsed: argparse.Namespace, token: Path) -> Iterator[str]:
    address = f"ray://{parsed.host}:{parsed.client_port}"
    yield f"Ray is running. Servers on this machine use it with `--lane-executor ray --ray-address {address}`."
    yield f"Its token is in {token}. A client that has it and reaches Ray can run code on all nodes."
    if _is_loopback(parsed.host):
        yield "Other machines cannot join: that needs `--host` with an address of this machine."
    else:
        yield "Another machine joins with:"
        yield (
            f"    (umask 077; mkdir -p ~/.ray; ssh {parsed.host} cat {token} > ~/.ray/auth_token) &&"
            f" trio-stt cluster join {parsed.host}:{parsed.port}"
        )
    yield (
        f"Port {parsed.port} and three more of Ray listen on all interfaces, whatever the address: Ray cannot bind"
        " them. Close them with a firewall."
    )


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("localhost", "::1")


def _run(command: list[str], environment: Mapping[str, str], lines: list[str]) -> int:
    """Run Ray until a signal; print the lines once it has started.

    Raises:
        ClusterUnavailable: It did not start.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        # A session of its own keeps a terminal's Ctrl-C away from Ray's processes, which would end in any order.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            deadline_s = time.monotonic() + _START_LIMIT_S
            while not _has_started(output.fileno()):
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise ClusterUnavailable(f"Ray did not start: {_reason(output.fileno())}")
                time.sleep(0.2)
            print("\n".join(lines), flush=True)
            return process.wait()
        finally:
            process.terminate()
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _has_started(output: int) -> bool:
    return _STARTED in _text(output)


def _reason(output: int) -> str:
    """The last line of Ray's output that names an error, else its last line."""
    lines = [line.strip() for line in _text(output).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it printed nothing"])[-1]


def _text(output: int) -> str:
    return os.pread(output, 1 << 20, 0).decode(errors="replace")
