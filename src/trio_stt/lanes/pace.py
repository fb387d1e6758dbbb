"""How often sessions may ask a lane for partials, so that all of them together leave the engine room for finals.

It owns that arithmetic only. Pure: times come in as numbers of one monotonic clock, and it must not know jobs, queues,
engines or trio. Slowing down when a lane falls behind in spite of it is the throttle's business.
"""

from dataclasses import dataclass

SHARE = 0.45
"""Part of an engine's time that partials may take."""

LONGEST_S = 2.0
"""No session waits longer than this between two partials for the sake of others."""

_FORGOTTEN_S = 3.0
"""Whose last partial is older than this asks for none at the moment."""


@dataclass(frozen=True, slots=True)
class _Use:
    """What a session's latest partial took, and when."""

    inference_s: float
    at_s: float


class Pace:
    """Every session that speaks gets a partial as often as every other: in one round all together take their share.

    Args:
        workers: Engines that work at the same time.
    """

    def __init__(self, *, workers: int = 1) -> None:
        self._share = SHARE * workers
        self._uses: dict[str, _Use] = {}

    def used(self, session_id: str, *, now_s: float, inference_s: float) -> None:
        """A partial of a session came back, for which the engine took `inference_s`."""
        self._uses[session_id] = _Use(inference_s, now_s)

    def rests(self, session_id: str) -> None:
        """A session asks for no partials for now; again does nothing."""
        self._uses.pop(session_id, None)

    def interval_s(self, now_s: float) -> float:
        """Seconds from one partial of an utterance to its next, at most `LONGEST_S`."""
        for session_id in [each for each, use in self._uses.items() if now_s - use.at_s > _FORGOTTEN_S]:
            del self._uses[session_id]
        return min(LONGEST_S, sum(use.inference_s for use in self._uses.values()) / self._share)
