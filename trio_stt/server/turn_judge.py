"""Runs the turn model for all sessions, off the event loop: one clip at a time, in a thread of Trio's pool."""

import logging
from pathlib import Path

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp.turn_model import TurnModel
from trio_stt.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_MOST_WAITING = 2
"""Live sessions that wait for the model: a judgement takes about 0.1 s of CPU, and later than 0.4 s it is of no use."""


class TurnJudge:
    """Loads the model with the first question, and gives the probability that a talker is done.

    Args:
        path: The model file; None judges nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._model: TurnModel | None = None
        self._limiter = trio.CapacityLimiter(1)

    @property
    def available(self) -> bool:
        """Whether there is a model."""
        return self._path is not None

    async def probability(self, clip: NDArray[np.float32], *, patient: bool) -> float | None:
        """See `SessionHost.turn_probability`. A cancelled call returns at once; its thread finishes it."""
        if self._path is None or (not patient and self._limiter.statistics().tasks_waiting >= _MOST_WAITING):
            return None
        try:
            return await trio.to_thread.run_sync(
                self._judge, self._path, clip, limiter=self._limiter, abandon_on_cancel=True
            )
        except EngineUnavailable as error:
            self._path = None
            logger.error("turn model: it is not used, pauses are judged by their text alone: %s", error)  # noqa: TRY400 - the cause is in the message
            return None

    def _judge(self, path: Path, clip: NDArray[np.float32]) -> float:
        if self._model is None:  # the limiter lets one thread in at a time
            self._model = TurnModel(path)
        return self._model.probability(clip)
