"""One worker's engine, loaded anew as often as it takes.

Owns the host of the engine that is loaded now, the deadline of each call, and what makes an engine unfit. It must not
know jobs, nor decide what runs, and never logs what was said.
"""

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engine_pool import EngineLease
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor

logger = logging.getLogger(__name__)

MAX_FAILED_JOBS = 5
"""An engine that fails this many jobs in a row is given up: so many clips are not at fault."""

FIRST_PAUSE_S = 1.0
"""Before an engine is loaded again; doubled each time until one of its jobs succeeds."""

LONGEST_PAUSE_S = 60.0

_AUDIO_PER_DEADLINE_S = 10.0
"""A call may take the setting's seconds, and as long again for each such stretch of audio in it."""

_LONGEST_OWN_DEADLINE_S = 660.0
"""A remote engine gives a clip up by itself, after 600 s at most: it knows more about why."""

_WARM_UP_FACTOR = 10.0
"""A first call may compile kernels."""


class EngineSupervisor:
    """Loads an engine, runs batches on it, and notices when it is of no use any more.

    Args:
        lane: The lane's name, for messages.
        new_host: Makes what runs one engine.
        source: Where the engines come from.
        job_deadline_s: Asked before every call: seconds that an engine may take for one of next to no audio; infinite
            if it may take for ever.
        warmup_clips: Transcribed after each load; may be empty.

    Attributes:
        on_return: Called when an engine that was left behind came back after all.
    """

    def __init__(
        self,
        lane: str,
        *,
        new_executor: Callable[[], EngineExecutor],
        lease: EngineLease,
        job_deadline_s: Callable[[], float] = lambda: math.inf,
        warmup_clips: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._lane = lane
        self._new_executor = new_executor
        self._lease = lease
        self._job_deadline_s = job_deadline_s
        self._warmup_clips = warmup_clips
        self.on_return: Callable[[], None] = lambda: None
        self._host: EngineExecutor | None = None
        self._remote = False
        self._lost: EngineUnavailable | None = None
        self._hangs = False
        self._failed_jobs = 0
        self._pause_s = FIRST_PAUSE_S

    @property
    def lost(self) -> EngineUnavailable | None:
        """Why the engine is not to be asked any more, or None."""
        return self._lost

    @property
    def hangs(self) -> bool:
        """Whether the engine did not come back from a call."""
        return self._hangs

    async def start(self) -> EngineInfo:
        """Load an engine and warm it up; `aclose` is due afterwards, also when this raises.

        Raises:
            EngineUnavailable: It could not be loaded, or its first call hangs or says that it is unfit. Another failure
                of that call says little about the next clip: it is logged, and the jobs show what is wrong.
        """
        self._lost, self._hangs, self._failed_jobs = None, False, 0
        self._host = host = self._new_executor()
        info = await host.start(self._lease.load)
        self._remote = info.device == "remote"
        for clip in self._warmup_clips:
            try:
                await self._ask(host, [Request(samples=clip)], patience=_WARM_UP_FACTOR)
            except TranscriptionFailed as error:
                logger.warning("%s lane: warm-up failed: %s", self._lane, error, exc_info=error.__cause__)
        return info

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip, as `Engine.transcribe` says, within the deadline.

        Raises:
            TranscriptionFailed: The engine raised, or returned rubbish.
            EngineUnavailable: It is lost.
        """
        if self._host is None:
            raise EngineUnavailable(f"the {self._lane} lane has no engine")
        return await self._ask(self._host, batch)

    def job_done(self) -> None:
        """The engine transcribed a job."""
        self._failed_jobs = 0
        self._pause_s = FIRST_PAUSE_S

    def job_failed(self, error: TranscriptionFailed) -> None:
        """The engine failed a job that it had for itself."""
        self._failed_jobs += 1
        if self._failed_jobs >= MAX_FAILED_JOBS and self._lost is None:
            self._lost = EngineUnavailable(f"{self._failed_jobs} jobs failed in a row; the last one: {error}")

    async def aclose(self) -> None:
        """Free what was loaded, within the host's deadline and even in a cancelled scope; `start` may follow.

        An engine that hangs is left behind instead.
        """
        host, self._host = self._host, None
        if self._lost is not None:
            self._lease.discard()
        if host is None:
            return
        if self._hangs:
            host.abandon(self.on_return)
        else:
            await host.aclose()

    async def pause(self) -> None:
        """Wait before the next load, longer each time."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        await trio.sleep(pause_s)

    async def _ask(self, host: EngineExecutor, batch: Sequence[Request], *, patience: float = 1.0) -> list[Transcript]:
        limit_s = self._limit_s(batch) * patience
        try:
            with trio.move_on_after(limit_s):
                return await host.transcribe(batch)
        except EngineUnavailable as error:
            self._lost = error
            raise
        self._hangs = True
        self._lost = EngineUnavailable(f"the engine did not answer within {limit_s:g} s (see job_deadline_s)")
        raise self._lost

    def _limit_s(self, batch: Sequence[Request]) -> float:
        audio_s = sum(request.samples.size for request in batch) / SAMPLE_RATE_HZ
        limit_s = self._job_deadline_s() * (1.0 + audio_s / _AUDIO_PER_DEADLINE_S)
        return max(limit_s, _LONGEST_OWN_DEADLINE_S) if self._remote else limit_s
