"""Texts with times inside their clip, also built from the tokens of a model that gives each token's start.

It must not know any backend.
"""

import math
from itertools import pairwise
from statistics import fmean
from typing import Any

from trio_stt.lanes.engines.base import TimedText

_TOKEN_S = 0.08
"""Assumed duration of a token, in seconds, if the model gives none: one frame of NeMo's encoders, the coarsest ones."""


def timed_text(
    text: str, start_s: float, end_s: float, *, duration_s: float, confidence: float | None = None
) -> TimedText:
    """A text whose times, as a model gave them, are moved into a clip of `duration_s`."""
    start_s = min(max(0.0, start_s), duration_s)
    return TimedText(text=text, start_s=start_s, end_s=max(start_s, min(end_s, duration_s)), confidence=confidence)


def words(result: Any, *, text: str, duration_s: float, times_scale: float = 1.0) -> tuple[TimedText, ...]:
    """Join a result's tokens to words with times inside the clip.

    A word begins with its first token and ends with its last one, but not after the next word begins. The result is
    empty if the model gives no times, or if the tokens do not spell the text because a rule has rewritten it.

    Args:
        result: An object with sherpa-onnx's attributes: `tokens`, with a space before each that begins a word,
            `timestamps` in seconds, `durations` in seconds, and the tokens' log probabilities as `ys_log_probs` or
            `ys_probs`. Any of them may be missing.
        text: The words of the transcript.
        duration_s: The clip's length.
        times_scale: Factor for all times.
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
    texts: list[str] = []
    scores: list[list[float]] = []
    times_s: list[tuple[float, float]] = []
    for token, start_s, lasts_s, log_probability in zip(tokens, starts_s, durations_s, log_probabilities, strict=True):
        if token.startswith(" ") or not texts:
            texts.append("")
            scores.append([])
            times_s.append((start_s, start_s))
        texts[-1] += token
        scores[-1].append(log_probability)
        times_s[-1] = (times_s[-1][0], start_s + lasts_s)
    if " ".join(word.strip() for word in texts) != text:
        return ()
    limits_s = [min(following[0], duration_s) for _, following in pairwise(times_s)] + [duration_s]
    return tuple(
        timed_text(word.strip(), start_s, end_s, duration_s=limit_s, confidence=_confidence(word_scores))
        for word, (start_s, end_s), limit_s, word_scores in zip(texts, times_s, limits_s, scores, strict=True)
    )


def _confidence(log_probabilities: list[float]) -> float | None:
    """The geometric mean of the tokens' probabilities; None where one is not known."""
    mean = fmean(log_probabilities)
    return min(1.0, math.exp(mean)) if math.isfinite(mean) else None
