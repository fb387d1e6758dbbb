"""How often the sessions of a lane may ask for partials, and of how much audio.

Two rules share one record of what each session's partials cost:

- Pacing keeps room for finals: partials take at most `PARTIAL_ENGINE_SHARE` of the lane's engines, and all speaking
  sessions take turns in rounds, so that each gets a partial as often as every other.
- Degradation reacts when jobs queue all the same: it lengthens the pauses of the sessions that use the engines most,
  step by step, and undoes the steps when the queue is short again.

Pure and synchronous: times come in as numbers of one monotonic clock. Sessions keep the times that they are given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

PARTIAL_ENGINE_SHARE = 0.4
"""Share of the engines' time that partials may take, and the largest share of one engine that one session may take.
Measured with 24 simulated speakers on two cores, as the 95th percentile of the time between two partials of a session:
2.0 s. With 0.45 the engines were full and it was 2.9 s, with 0.38 it was 2.1 s.
"""

MAX_PARTIAL_INTERVAL_S = 2.0
"""Longest interval in seconds that pacing puts between two partials of a session, however many sessions speak."""

PARTIAL_ROUND_S = 1.4
"""Seconds in which every speaking session should get one partial. Where a round would take longer, long partials get
less audio. Not longer, because finals come in between, and some sessions then wait half as long again. A session that
has waited this long may also use an idle engine.
"""

MIN_PARTIAL_WINDOW_S = 6.0
"""Seconds of audio that a partial may always have, however busy the lane. Measured with Moonshine, a partial every
1.4 s on seven spans of 10 s of a reading: with 6 s, 0.8 % of the words differed from those of the whole span, with 5 s
4.1 %, with 4 s 4.6 %.
"""

_IN_ROUND_S = 3.0
"""A session whose latest partial is older than this many seconds no longer counts as speaking."""

MAX_DEGRADED_PAUSE_S = 2.0
"""Degradation lengthens no pause beyond this many seconds."""

_MIN_DOUBLED_PAUSE_S = 0.125
"""A shorter pause is doubled from here. Doubling a pause that is short beside the inference time would free nothing."""

_STEP_INTERVAL_S = 1.0
"""Seconds between two steps in either direction: the queue needs about as long to show the effect of the last one."""

_RECOVERY_DELAY_S = 5.0
"""Seconds for which the delay must stay low before the first step up, so that a load at the edge does not oscillate."""

_LOW_DELAY_SHARE = 0.5
"""The delay counts as low at or below this share of the threshold."""

_USE_DECAY_S = 10.0
"""Time constant of the recent engine time: after this many seconds, what was used weighs 1/e."""

_MIN_USE_S = 0.001
"""A session with less recent engine time than this is not worth slowing down."""

_ROUNDING_S = 1e-9
"""Seconds of engine time below which a remainder is a rounding error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPartial:
    """When a session may ask for its next partial.

    Attributes:
        at_s: In any case from this time on.
        if_idle_at_s: Already from this time on while an engine of the lane is idle.
    """

    at_s: float
    if_idle_at_s: float


@dataclass(slots=True, kw_only=True)
class _Usage:
    """What the partials of one session cost.

    Attributes:
        at_s: When the latest one came back.
        inference_s: Engine time of the latest one.
        real_time_factor: Engine seconds of the latest one for each second of its audio.
        whole_s: Audio that the latest one would have had on an idle lane.
        usual_pause_s: The session's own pause between partials.
        recent_s: Engine time of all, exponentially weighted, as of `at_s`.
        in_round: Whether the session speaks, and so shares the rounds.
    """

    at_s: float
    inference_s: float
    real_time_factor: float
    whole_s: float
    usual_pause_s: float
    recent_s: float
    in_round: bool = True

    def recent_at(self, now_s: float) -> float:
        return self.recent_s * math.exp(-max(0.0, now_s - self.at_s) / _USE_DECAY_S)


class PartialPolicy:
    """Paces the partials of one lane, and degrades them while the lane is overloaded.

    Each step down doubles the pauses of a set of sessions. The first step takes the heaviest sessions that together
    make half of the recent engine time. The next steps take the same ones until their pauses are
    `MAX_DEGRADED_PAUSE_S`, or until they hold less than a quarter of what can still be slowed; only then others join.
    Steps up undo the steps down, the last one first.

    Args:
        threshold_s: Called at every observation: the queue delay in seconds beyond which partials are degraded.
        workers: Engines that work at the same time.
    """

    def __init__(self, *, threshold_s: Callable[[], float] = lambda: math.inf, workers: int = 1) -> None:
        self._threshold_s = threshold_s
        self.resize(workers)
        self._usage: dict[str, _Usage] = {}
        self._steps: list[set[str]] = []  # the sessions that each step slowed; none of them empty
        self._observed_s: float | None = None
        self._down_from_s = -math.inf  # no step down before this time
        self._up_from_s: float | None = None  # the time of the next step up, while the delay is low

    def resize(self, workers: int) -> None:
        """Change the number of engines that work at the same time."""
        self._share = PARTIAL_ENGINE_SHARE * workers

    @property
    def any_degraded(self) -> bool:
        """Whether any session is slowed down, and the queue delay is to be observed until none is."""
        return bool(self._steps)

    def is_degraded(self, session_id: str) -> bool:
        """Whether a session is slowed down."""
        return self._level(session_id) > 0

    def next_partial(self, session_id: str, *, now_s: float, begun_s: float) -> NextPartial:
        """When a session may ask for its next partial.

        Args:
            session_id: The session.
            now_s: The time now.
            begun_s: When it requested its previous partial.
        """
        usage = self._round(now_s)
        own = usage.get(session_id)
        own_s = own.inference_s / PARTIAL_ENGINE_SHARE if own else 0.0  # even a lone session leaves room for finals
        round_s = sum(each.inference_s for each in usage.values()) / self._share
        at_s = begun_s + min(MAX_PARTIAL_INTERVAL_S, max(own_s, round_s))
        if_idle_at_s = begun_s + max(PARTIAL_ROUND_S, own_s)
        if level := self._level(session_id):
            # An idle engine is not offered: the pauses are to shorten the queue for finals that come next.
            at_s = if_idle_at_s = max(at_s, now_s + _doubled(self._usage[session_id].usual_pause_s, level))
        return NextPartial(at_s=at_s, if_idle_at_s=if_idle_at_s)

    def window_s(self, now_s: float) -> float:
        """Seconds of newest audio for one partial: at least `MIN_PARTIAL_WINDOW_S`, infinite while there is room.

        It is the longest window with which a round of all speaking sessions fits into `PARTIAL_ROUND_S`; what sessions
        with shorter utterances leave over goes to the others.
        """
        usage = self._round(now_s).values()
        left_s = PARTIAL_ROUND_S * self._share
        total_factor = sum(each.real_time_factor for each in usage)
        # Shortest utterances first: while this one and all longer ones can have as much audio as this one, it gets all
        # of its audio. Otherwise what is left is shared out among them by an equal window.
        for each in sorted(usage, key=lambda usage: usage.whole_s):
            if total_factor * each.whole_s > left_s:
                return max(MIN_PARTIAL_WINDOW_S, left_s / total_factor)
            left_s -= each.real_time_factor * each.whole_s
            total_factor -= each.real_time_factor
        return math.inf

    def record(
        self,
        session_id: str,
        *,
        now_s: float,
        inference_s: float,
        clip_s: float,
        whole_s: float,
        usual_pause_s: float,
    ) -> None:
        """Account for a partial that came back from the engine.

        Args:
            session_id: The session of the partial.
            now_s: The time now.
            inference_s: Engine time that it took.
            clip_s: Seconds of its audio, above 0.
            whole_s: Seconds of audio that it would have had on an idle lane.
            usual_pause_s: The session's own pause between partials in seconds.
        """
        before = self._usage.get(session_id)
        self._usage[session_id] = _Usage(
            at_s=now_s,
            inference_s=inference_s,
            real_time_factor=inference_s / clip_s,
            whole_s=whole_s,
            usual_pause_s=usual_pause_s,
            recent_s=inference_s + (before.recent_at(now_s) if before else 0.0),
        )

    def leave_round(self, session_id: str) -> None:
        """Take a session that no longer speaks out of the rounds. Calling it again does nothing."""
        if usage := self._usage.get(session_id):
            usage.in_round = False

    def forget(self, session_id: str) -> None:
        """Remove everything about a session that ended."""
        self._usage.pop(session_id, None)
        for step in self._steps:
            step.discard(session_id)
        self._steps = [step for step in self._steps if step]

    def observe_delay(self, now_s: float, queue_delay_s: float) -> None:
        """Degrade partials or let them recover, by the time for which the oldest queued job has waited.

        To be called several times a second while jobs are queued or sessions are degraded. A longer stretch without a
        call counts as low when it ends low.
        """
        threshold_s = self._threshold_s()
        before_s = now_s if self._observed_s is None else self._observed_s
        self._observed_s = now_s
        if queue_delay_s > threshold_s:
            self._up_from_s = None
            if now_s >= self._down_from_s:
                self._step_down(now_s)
                self._down_from_s = now_s + _STEP_INTERVAL_S
        elif queue_delay_s <= threshold_s * _LOW_DELAY_SHARE:
            if self._up_from_s is None:
                self._up_from_s = before_s + _RECOVERY_DELAY_S
            while self._steps and now_s >= self._up_from_s:  # several at once after a time without observations
                self._steps.pop()
                self._up_from_s += _STEP_INTERVAL_S
        else:
            self._up_from_s = None

    def _round(self, now_s: float) -> dict[str, _Usage]:
        """The sessions that speak."""
        return {
            session_id: usage
            for session_id, usage in self._usage.items()
            if usage.in_round and now_s - usage.at_s <= _IN_ROUND_S
        }

    def _level(self, session_id: str) -> int:
        """How often the session's pause is doubled."""
        return sum(session_id in step for step in self._steps)

    def _step_down(self, now_s: float) -> None:
        """Double the pauses of the sessions in the next step; see the class for the choice of them."""
        candidates_s = {
            session_id: recent_s
            for session_id, usage in self._usage.items()
            if (recent_s := usage.recent_at(now_s)) >= _MIN_USE_S
            and _doubled(usage.usual_pause_s, self._level(session_id)) < MAX_DEGRADED_PAUSE_S
        }
        chosen = {session_id for session_id in candidates_s if self.is_degraded(session_id)}
        if sum(candidates_s[session_id] for session_id in chosen) < sum(candidates_s.values()) / 4:
            chosen = _heaviest_half(candidates_s)
        if chosen:
            self._steps.append(chosen)


def _doubled(pause_s: float, level: int) -> float:
    """A pause doubled `level` times, up to `MAX_DEGRADED_PAUSE_S`, and never shorter than it was."""
    if not level:
        return pause_s
    return max(pause_s, min(MAX_DEGRADED_PAUSE_S, max(pause_s, _MIN_DOUBLED_PAUSE_S) * (1 << level)))


def _heaviest_half(weights_s: dict[str, float]) -> set[str]:
    """The fewest sessions that together make half of the total weight."""
    chosen: set[str] = set()
    left_s = sum(weights_s.values()) / 2
    for session_id in sorted(weights_s, key=lambda each: weights_s[each], reverse=True):
        if left_s <= _ROUNDING_S:
            break
        chosen.add(session_id)
        left_s -= weights_s[session_id]
    return chosen
