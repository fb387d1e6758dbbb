"""Words with times, put together from the tokens of a model that says when each of them began.

It must not know any backend, and must not import trio.
"""

import math
from itertools import pairwise
from statistics import fmean
from typing import Any

from trio_stt.lanes.engines.base import TimedText

_TOKEN_S = 0.08
"""How long a token is taken to sound where the model does not say: one frame of NeMo's encoders, the coarsest ones."""


def words(result: Any, *, text: str, duration_s: float, times_scale: float = 1.0) -> tuple[TimedText, ...]:
    """Put a result's tokens together to words with times inside the clip.

    A word begins at its first token's time and ends after its last one's, but not after the next word begins. There
    are none where the model gives no times, or where the tokens do not spell the text (a rule has rewritten it).

    Args:
        result: What the model gave, as sherpa-onnx names it: `tokens`, with a space before each that begins a word,
            `timestamps` in seconds, `durations` in seconds, and the tokens' log probabilities as `ys_log_probs` or
            `ys_probs`; all or some of them may be missing.
        text: The words of the transcript.
        duration_s: The clip's length.
        times_scale: By what the times must be multiplied.
    """
    tokens = list(getattr(result, "tokens", ()))
    starts_s = [start_s * times_scale for start_s in getattr(result, "timestamps", ())]
    if not tokens or len(tokens) != len(starts_s):
        return ()
    durations_s = list(getattr(result, "durations", ()))
    if len(durations_s) != len(tokens):
        durations_s = [_TOKEN_S] * len(tokens)
    log_probabilities = list(getattr(result, "ys_log_probs", ()) or getattr(result, "ys_probs", ()))
    if len(log_probabilities) != len(tokens):
        log_probabilities = [math.nan] * len(tokens)
    spelled: list[str] = []
    sure: list[list[float]] = []
    times_s: list[tuple[float, float]] = []
    for token, start_s, lasts_s, log_probability in zip(tokens, starts_s, durations_s, log_probabilities, strict=True):
        if token.startswith(" ") or not spelled:
            spelled.append("")
            sure.append([])
            times_s.append((start_s, start_s))
        spelled[-1] += token
        sure[-1].append(log_probability)
        times_s[-1] = (times_s[-1][0], start_s + lasts_s)
    if " ".join(word.strip() for word in spelled) != text:
        return ()
    limits_s = [min(following[0], duration_s) for _, following in pairwise(times_s)] + [duration_s]
    return tuple(
        TimedText(
            text=word.strip(),
            start_s=(start := min(start_s, limit_s)),
            end_s=max(start, min(end_s, limit_s)),
            confidence=_confidence(tokens_of_word),
        )
        for word, (start_s, end_s), limit_s, tokens_of_word in zip(spelled, times_s, limits_s, sure, strict=True)
    )


def _confidence(log_probabilities: list[float]) -> float | None:
    """The geometric mean of the tokens' probabilities; None where one is not known."""
    mean = fmean(log_probabilities)
    return min(1.0, math.exp(mean)) if math.isfinite(mean) else None
