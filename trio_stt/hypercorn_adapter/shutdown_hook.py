"""The moment in which one of Hypercorn's workers is told to end, before it closes anything.

It owns that one moment. It must not know what follows from it.

Hypercorn 0.18 then listens no more, leaves its sockets `graceful_timeout` to end by themselves (3 s unless its command
line says otherwise), and breaks off what is left. Its apps hear of the end only after that.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from hypercorn.asyncio import run as asyncio_worker
from hypercorn.trio import run as trio_worker


def on_worker_shutdown(tell: Callable[[], None]) -> None:
    """Have `tell` called on the loop of each worker of this process that is told to end; call it before they serve."""
    for worker in (asyncio_worker, trio_worker):
        worker.WorkerContext = partial(_telling, worker.WorkerContext, tell)  # type: ignore[attr-defined]  # imported there, and looked up at start


def _telling(make: Callable[..., Any], tell: Callable[[], None], *args: Any) -> Any:
    context = make(*args)
    terminate = context.terminated.set

    async def tell_and_terminate() -> None:
        tell()
        await terminate()

    context.terminated.set = tell_and_terminate
    return context
