"""Ray's errors as those of trio-stt: one line each, of the class that decides what a lane does."""

from trio_stt.errors import ClusterUnavailable, EngineError, EngineUnavailable, TranscriptionFailed, first_line


def refusal(address: str, error: Exception) -> str:
    """Why a cluster refused the connection, in one line.

    Args:
        address: Of the cluster.
        error: Raised by `ray.init`.
    """
    text = " ".join(str(error).split())
    if "timeout" in text or isinstance(error, TimeoutError):
        return (
            f"{address} (ray_address) accepts connections but no call: it is no Ray cluster, or asks for a token"
            " (RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH)"
        )
    if "ersion mismatch" in text or "was started with" in text:
        return f"the Ray cluster at {address} needs the same Ray and Python as this server: {text}"
    if "Starting Ray client server failed" in text:
        return (
            f"the head of the Ray cluster at {address} could not start a process for this server; does it run with"
            " GRPC_ENABLE_FORK_SUPPORT=0, as `trio-stt cluster up` does? See docs/scale.md"
        )
    # A failure on the server's side has a traceback below it, whose last line is the reason.
    lines = str(error).strip().splitlines()
    reason = lines[-1].strip() if "nitialization failure" in text else first_line(error)
    return f"the Ray cluster at {address} refused the connection: {reason}"


def engine_error(address: str, error: BaseException) -> EngineError:
    """The error of a call to an actor, with Ray's as the cause.

    Args:
        address: Of the cluster.
        error: Raised by Ray.
    """
    from ray import exceptions  # noqa: PLC0415 - only a connected `ray_client` calls this, so Ray is imported already

    cause = getattr(error, "cause", None)
    mapped: EngineError
    if isinstance(cause, ModuleNotFoundError) or isinstance(error, ModuleNotFoundError):
        missing = first_line(cause or error)
        mapped = EngineUnavailable(f"the nodes of the Ray cluster lack a package: {missing}; install it on all of them")
    elif isinstance(error, exceptions.RayTaskError):
        mapped = TranscriptionFailed(f"the engine's actor raised {first_line(cause or error)}")
    elif isinstance(error, exceptions.ActorUnschedulableError):
        mapped = ClusterUnavailable(f"no node of the Ray cluster can run the engine: {first_line(error)}")
    elif isinstance(error, ConnectionError):
        mapped = ClusterUnavailable(f"the connection to the Ray cluster at {address} was lost: {first_line(error)}")
    else:
        mapped = EngineUnavailable(f"the engine's actor is lost: {first_line(error)}")
    mapped.__cause__ = error
    return mapped
