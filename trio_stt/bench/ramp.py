"""The search for the knee: the most clients for whom a server still keeps its promises.

It owns the order of the runs and what keeping promises means. Pure: it must not start anything.
"""

from collections.abc import Mapping

from trio_stt.bench.figures import Figures

_MOST_SLOWNESS_MS = 2000.0
_MOST_WORSE_WORDS = 0.01
_FINENESS = 8  # the knee is known to one part in so many


def next_clients(kept: Mapping[int, bool], *, most: int) -> int | None:
    """How many clients the next run should have.

    Doubles from one while promises are kept, then halves the gap to the first run that broke them, to an eighth.

    Args:
        kept: What runs showed so far, by their number of clients.
        most: Never more than this, at least 1.

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
    """The most clients for whom promises were kept, below the fewest for whom they were not; 0 for none."""
    broken = min((clients for clients, good in kept.items() if not good), default=float("inf"))
    return max((clients for clients, good in kept.items() if good and clients < broken), default=0)


def violated_limits(result: Figures, *, alone: Figures | None, slack_ms: float) -> list[str]:
    """What a run did not keep, in words; nothing when all is well.

    Args:
        seen: The run.
        alone: The run with the fewest clients, against whose words its words are judged; None for that run itself.
        slack_ms: How much later than the server's silence setting a final may come, at the 95th percentile.
    """
    limit_ms = result.silence_ms + slack_ms
    rules = {
        f"{result.clients - result.connected} clients were not let in": result.connected < result.clients,
        f"p95 of finals is {result.final.p95_ms:.0f} ms, above {limit_ms:.0f}": result.final.p95_ms > limit_ms,
        f"p95 between partials is {result.partial_interval.p95_ms:.0f} ms, above {_MOST_SLOWNESS_MS:.0f}": (
            result.partial_interval.p95_ms > _MOST_SLOWNESS_MS
        ),
        f"{result.dropped_s:g} s of audio were dropped": result.dropped_s > 0,
        f"{result.unfinished_segments} utterances have no final": result.unfinished_segments > 0,
        f"failures: {'; '.join(result.failures)}": bool(result.failures),
    }
    words = (result.word_error_rate, alone.word_error_rate if alone else None)
    if words[0] is not None and words[1] is not None:
        text = f"word error rate is {words[0]:.1%}, with the fewest clients {words[1]:.1%}"
        rules[text] = words[0] > words[1] + _MOST_WORSE_WORDS
    return [text for text, broken in rules.items() if broken]
