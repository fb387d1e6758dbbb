"""Who makes fewer partials while a lane falls behind, and when they are made as before.

It owns that decision only: sessions ask for their pause and keep it. Pure and synchronous: times come in as numbers of
one monotonic clock. It must not know jobs, queues, engines or trio.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

MAX_PAUSE_S = 2.0
"""No pause is made longer than this."""

_LEAST_PAUSE_S = 0.125
"""A shorter pause counts as this when it is doubled: beside what the engine takes, twice as little frees nothing."""

_STEP_S = 1.0
"""Between two steps, down or up: about as long as the queue needs to show what the last one did."""

_CALM_S = 5.0
"""How long the delay stays low before the first step up, so that a load at the edge does not go to and fro."""

_CALM_SHARE = 0.5
"""Low is a delay of at most this share of the threshold."""

_MEMORY_S = 10.0
"""Use of the engine counts by its age: after this long it weighs 1/e."""

_LEAST_USE_S = 0.001
"""A session that used less engine time of late makes no partials."""

_ROUNDING_S = 1e-9


@dataclass(slots=True)
class _Use:
    """Engine time of one session's partials, as it weighed at a moment."""

    engine_s: float
    at_s: float
    pause_s: float

    def weight_s(self, now_s: float) -> float:
        return self.engine_s * math.exp(-max(0.0, now_s - self.at_s) / _MEMORY_S)


class OverloadThrottle:
    """Slows the partials of one lane's sessions, the heaviest first.

    Each step down doubles the pause of the sessions that it names. The first names the heaviest sessions that together
    make half of the partials' use of the engine. The next name the same until their pause is `MAX_PAUSE_S`, or until
    they hold less than a quarter of what can still be slowed; only then others join. Steps up undo the steps down, last
    first.

    Args:
        threshold_s: Asked at every observation: the queue delay in seconds beyond which partials slow down.
    """

    def __init__(self, threshold_s: Callable[[], float]) -> None:
        self._threshold_s = threshold_s
        self._uses: dict[str, _Use] = {}
        self._steps: list[set[str]] = []  # the sessions that each step slowed; none of them empty
        self._observed_s: float | None = None
        self._down_from_s = -math.inf  # the next step down comes no earlier
        self._up_from_s: float | None = None  # the next step up, while the delay is low

    def observe(self, now_s: float, queue_delay_s: float) -> None:
        """Take note of the lane's queue delay: how long its oldest waiting job has waited, 0.0 without one.

        Call it when a job is taken and while audio comes in, so that a queue that stands still and one that ran dry are
        both seen. A stretch without any call counts as calm when it ends low: no job was taken in it.
        """
        threshold_s = self._threshold_s()
        before_s = now_s if self._observed_s is None else self._observed_s
        self._observed_s = now_s
        if queue_delay_s > threshold_s:
            self._up_from_s = None
            if now_s >= self._down_from_s:
                self._step_down(now_s)
                self._down_from_s = now_s + _STEP_S
        elif queue_delay_s <= threshold_s * _CALM_SHARE:
            if self._up_from_s is None:
                self._up_from_s = before_s + _CALM_S
            while self._steps and now_s >= self._up_from_s:
                self._steps.pop()
                self._up_from_s += _STEP_S
        else:
            self._up_from_s = None

    def used(self, session_id: str, *, now_s: float, inference_s: float, pause_s: float) -> None:
        """A partial of a session came back from the engine.

        Args:
            session_id: Whose it was.
            now_s: When.
            inference_s: What the engine took for it.
            pause_s: The session's own pause between partials.
        """
        use = self._uses.get(session_id)
        before_s = 0.0 if use is None else use.weight_s(now_s)
        self._uses[session_id] = _Use(before_s + inference_s, now_s, pause_s)

    def pause_s(self, session_id: str, base_s: float) -> float:
        """The pause that a session keeps between partials where its own would be `base_s`: never shorter than that."""
        level = self._level(session_id)
        if not level:
            return base_s
        return max(base_s, min(MAX_PAUSE_S, max(base_s, _LEAST_PAUSE_S) * (1 << level)))

    def is_degraded(self, session_id: str) -> bool:
        """Whether a session is slowed down."""
        return self._level(session_id) > 0

    def forget(self, session_id: str) -> None:
        """A session left."""
        self._uses.pop(session_id, None)
        for step in self._steps:
            step.discard(session_id)
        self._steps = [step for step in self._steps if step]

    def _level(self, session_id: str) -> int:
        return sum(session_id in step for step in self._steps)

    def _step_down(self, now_s: float) -> None:
        weights_s = {
            session_id: weight_s
            for session_id, use in self._uses.items()
            if (weight_s := use.weight_s(now_s)) >= _LEAST_USE_S and self.pause_s(session_id, use.pause_s) < MAX_PAUSE_S
        }
        total_s = sum(weights_s.values())
        slower = {session_id for session_id in weights_s if self.is_degraded(session_id)}
        if sum(weights_s[session_id] for session_id in slower) < total_s / 4:
            slower = _heaviest_half(weights_s)
        if slower:
            self._steps.append(slower)


def _heaviest_half(weights_s: dict[str, float]) -> set[str]:
    """The fewest sessions that together weigh half of all."""
    chosen: set[str] = set()
    left_s = sum(weights_s.values()) / 2
    for session_id in sorted(weights_s, key=lambda each: weights_s[each], reverse=True):
        if left_s <= _ROUNDING_S:
            break
        chosen.add(session_id)
        left_s -= weights_s[session_id]
    return chosen
