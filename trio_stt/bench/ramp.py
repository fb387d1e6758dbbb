"""The search for the knee: the highest number of clients with which a server stays within its limits.

It owns the order of the runs and the limits. Pure: it must not start anything.
"""

from collections.abc import Mapping

from trio_stt.bench.figures import Figures

_MAX_PARTIAL_INTERVAL_MS = 2000.0
"""95th percentile between two partials of an utterance: beyond it, live text seems to stand still."""
_MAX_ADDED_WORD_ERROR_RATE = 0.01
"""One point above the rate of the run with the fewest clients."""
_FINENESS = 8
"""The search ends when the gap is this fraction of the knee."""


def next_clients(kept: Mapping[int, bool], *, most: int) -> int | None:
    """How many clients the next run should have.

    Doubles from one while runs stay within the limits, then halves the gap to the first run that did not, down to an
    eighth.

    Args:
        kept: Whether earlier runs stayed within the limits, by their number of clients.
        most: Upper limit of the search, at least 1.

    Returns:
        The number, or None when the knee is known.
    """
    if not kept:
        return 1
    good = knee(kept)
    broken = min((clients for clients, good_enough in kept.items() if not good_enough), default=None)
    if broken is None:
        return min(2 * good, most) if good < most else None
    if good == 0 or broken - good <= max(1, good // _FINENESS):
        return None
    return (good + broken) // 2


def knee(kept: Mapping[int, bool]) -> int:
    """The most clients of a run within the limits, below the first run outside them; 0 if there is none."""
    broken = min((clients for clients, good in kept.items() if not good), default=float("inf"))
    return max((clients for clients, good in kept.items() if good and clients < broken), default=0)


def violated_limits(result: Figures, *, alone: Figures | None, slack_ms: float) -> list[str]:
    """List the limits that a run violated, as messages.

    Args:
        result: The run.
        alone: The run with the fewest clients, whose word error rate is the reference; None for that run itself.
        slack_ms: Milliseconds by which the 95th percentile of finals may exceed the server's silence setting.
    """
    limit_ms = result.silence_ms + slack_ms
    rules = {
        f"{result.clients - result.connected} clients were not admitted": result.connected < result.clients,
        f"p95 of finals is {result.final.p95_ms:.0f} ms, above {limit_ms:.0f}": result.final.p95_ms > limit_ms,
        f"p95 between partials is {result.partial_interval.p95_ms:.0f} ms, above {_MAX_PARTIAL_INTERVAL_MS:.0f}": (
            result.partial_interval.p95_ms > _MAX_PARTIAL_INTERVAL_MS
        ),
        f"{result.dropped_s:g} s of audio were dropped": result.dropped_s > 0,
        f"{result.unfinished_segments} utterances have no final": result.unfinished_segments > 0,
        f"failures: {'; '.join(result.failures)}": bool(result.failures),
    }
    words = (result.word_error_rate, alone.word_error_rate if alone else None)
    if words[0] is not None and words[1] is not None:
        text = f"word error rate is {words[0]:.1%}, with the fewest clients {words[1]:.1%}"
        rules[text] = words[0] > words[1] + _MAX_ADDED_WORD_ERROR_RATE
    return [text for text, broken in rules.items() if broken]
