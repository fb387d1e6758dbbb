"""One engine of a worker, from its load to its end: calls within a deadline, and the decision that it is lost."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor

logger = logging.getLogger(__name__)

MAX_FAILED_JOBS = 5
"""An engine that fails this many jobs in a row is replaced: it is unlikely that all the clips are at fault."""

_AUDIO_PER_DEADLINE_S = 10.0
"""A call may take `job_deadline_s`, and the same again for every 10 s of audio in it."""

_MIN_REMOTE_DEADLINE_S = 660.0
"""Seconds that a call to a remote engine may take at least. Such an engine has a timeout of its own, of 600 s at most,
and its error says more than ours."""

_WARM_UP_DEADLINE_FACTOR = 10.0
"""The first call may compile kernels, so it has this many times the deadline."""


class WorkerEngine:
    """An engine behind an executor.

    It is lost when a call exceeds its deadline, when job after job fails, when it reports that it cannot go on, or when
    its executor reports its end.

    Args:
        lane: The lane's name, for messages.
        executor: Of this engine alone.
        on_lost: Called when the executor reports the end of the loaded engine.
        job_deadline_s: Called before every call: seconds that it may take, apart from its audio; may be infinite.
        warmup_clips: Transcribed after the load; may be empty.

    Attributes:
        lost: Why the engine is lost; None while it is not.
        hung: Whether it is lost because it does not return from a call.
    """

    def __init__(
        self,
        lane: str,
        executor: EngineExecutor,
        *,
        on_lost: Callable[[], None],
        job_deadline_s: Callable[[], float],
        warmup_clips: Sequence[NDArray[np.float32]],
    ) -> None:
        self.lost: EngineUnavailable | None = None
        self.hung = False
        self._lane = lane
        self._executor = executor
        self._on_lost = on_lost
        self._job_deadline_s = job_deadline_s
        self._warmup_clips = warmup_clips
        self._is_remote = self._is_loaded = False
        self._failed_jobs = 0

    async def load(self) -> EngineInfo:
        """Load the engine and warm it up.

        Raises:
            EngineUnavailable: It could not be loaded, or was lost in the warm-up. Another failure of the warm-up says
                little about real clips, so it is only logged.
        """
        info = await self._executor.start(self._note_loss)
        self._is_remote = info.device == "remote"
        for clip in self._warmup_clips:
            try:
                await self.transcribe([Request(samples=clip)], deadline_factor=_WARM_UP_DEADLINE_FACTOR)
            except TranscriptionFailed as error:
                logger.warning("%s lane: warm-up failed: %s", self._lane, error, exc_info=error.__cause__)
        if self.lost is not None:
            raise self.lost
        self._is_loaded = True
        return info

    async def transcribe(self, batch: Sequence[Request], *, deadline_factor: float = 1.0) -> list[Transcript]:
        """Make one call within its deadline.

        Raises:
            TranscriptionFailed: The engine failed this batch.
            EngineUnavailable: The engine is lost.
        """
        audio_s = sum(request.samples.size for request in batch) / SAMPLE_RATE_HZ
        limit_s = self._job_deadline_s() * (1.0 + audio_s / _AUDIO_PER_DEADLINE_S)
        if self._is_remote:
            limit_s = max(limit_s, _MIN_REMOTE_DEADLINE_S)
        limit_s *= deadline_factor
        try:
            # The deadline cancels only the wait: a native call cannot be interrupted and keeps its thread.
            with trio.move_on_after(limit_s):
                return await self._executor.transcribe(batch)
        except EngineUnavailable as error:
            self.lost = error
            raise
        # Only an exceeded deadline gets here: when the lane is cancelled, `Cancelled` passes through `move_on_after`.
        self.hung = True
        self.lost = EngineUnavailable(f"the engine did not answer within {limit_s:g} s (see job_deadline_s)")
        raise self.lost

    def count_completed(self) -> None:
        """Count a job that succeeded."""
        self._failed_jobs = 0

    def count_failed(self, error: TranscriptionFailed) -> None:
        """Count a job that failed, after all its attempts."""
        self._failed_jobs += 1
        if self._failed_jobs >= MAX_FAILED_JOBS and self.lost is None:
            self.lost = EngineUnavailable(f"{self._failed_jobs} jobs failed in a row; the last one: {error}")

    def _note_loss(self, error: EngineUnavailable) -> None:
        if self.lost is None:
            self.lost = error
            if self._is_loaded:
                self._on_lost()

    async def release(self, on_return: Callable[[], None]) -> None:
        """Free the engine, also in a cancelled scope, within the executor's own time limit.

        Args:
            on_return: Called when an engine that hangs has returned and is freed after all.
        """
        if self.hung:
            # The executor is busy for good; closing would only wait in vain.
            self._executor.abandon(on_return)
        else:
            await self._executor.aclose(discard=self.lost is not None)
