"""How often sessions may ask a lane for partials, and of how much audio, so that the engine has room for finals.

It owns that arithmetic only. Pure: times come in as numbers of one monotonic clock, and it must not know jobs, queues,
engines or trio. Slowing down when a lane falls behind in spite of it is the throttle's business.
"""

import math
from dataclasses import dataclass

SHARE = 0.4
"""Part of an engine's time that partials may take; and the most that those of one session take of all engines. With 24
people talking on two cores 0.45 filled the engines: 95 of 100 partials came within 2.9 s of the one before, with 0.4
within 2.0 s, and within 2.1 s with 0.38.
"""

LONGEST_S = 2.0
"""No session waits longer than this between two partials for the sake of others."""

PARTIAL_ROUND_S = 1.4
"""Before a round takes longer, long partials hear less: behind finals, some sessions wait half as long again. And who
has waited for so long may have an engine that nobody wants."""

LEAST_PARTIAL_WINDOW_S = 6.0
"""However full a lane is, partials hear so much. Of partials every 1.4 s on seven spans of 10 s of a reading, Moonshine
heard 0.8 % of the words otherwise than on the whole with 6 s, 4.1 % with 5 s and 4.6 % with 4 s.
"""

_FORGOTTEN_S = 3.0
"""Whose last partial is older than this asks for none at the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A session's latest partial: what the engine took for it and for each second of it, and when."""

    inference_s: float
    cost: float
    whole_s: float
    at_s: float


class PartialPacer:
    """Every session that speaks gets a partial as often as every other: in one round all together take their share.

    Where that would be too seldom, long partials hear less, so that a round fits into `PARTIAL_ROUND_S`.

    Args:
        workers: Engines that work at the same time.
    """

    def __init__(self, *, workers: int = 1) -> None:
        self._share = SHARE * workers
        self._uses: dict[str, _Use] = {}

    def used(self, session_id: str, *, now_s: float, inference_s: float, clip_s: float, whole_s: float) -> None:
        """A partial of a session came back.

        Args:
            session_id: Whose it was.
            now_s: When.
            inference_s: What the engine took for it.
            clip_s: Audio that it heard, above 0.
            whole_s: Audio that it would have heard had nobody else been there.
        """
        self._uses[session_id] = _Use(inference_s=inference_s, cost=inference_s / clip_s, whole_s=whole_s, at_s=now_s)

    def rests(self, session_id: str) -> None:
        """A session asks for no partials for now; again does nothing."""
        self._uses.pop(session_id, None)

    def interval_s(self, session_id: str, now_s: float) -> float:
        """Seconds from one partial of a session's utterance to its next, at most `LONGEST_S`."""
        self._forget(now_s)
        everybody_s = sum(use.inference_s for use in self._uses.values()) / self._share
        return min(LONGEST_S, max(self._own_s(session_id), everybody_s))

    def gap_after_s(self, session_id: str) -> float:
        """Seconds after a partial from which a session may have its next as soon as an engine has nothing to do."""
        return max(PARTIAL_ROUND_S, self._own_s(session_id))

    def window_s(self, now_s: float) -> float:
        """Seconds of newest audio for one partial: at least `LEAST_PARTIAL_WINDOW_S`, infinite while there is room.

        The longest window with which a round of all sessions fits: those who have said less leave theirs to the others.
        """
        self._forget(now_s)
        left_s = PARTIAL_ROUND_S * self._share
        cost = sum(use.cost for use in self._uses.values())
        for use in sorted(self._uses.values(), key=lambda use: use.whole_s):
            if cost * use.whole_s > left_s:
                return max(LEAST_PARTIAL_WINDOW_S, left_s / cost)
            left_s -= use.cost * use.whole_s
            cost -= use.cost
        return math.inf

    def _own_s(self, session_id: str) -> float:
        """The interval of a session that is alone."""
        own = self._uses.get(session_id)
        return own.inference_s / SHARE if own else 0.0

    def _forget(self, now_s: float) -> None:
        for session_id in [each for each, use in self._uses.items() if now_s - use.at_s > _FORGOTTEN_S]:
            del self._uses[session_id]
