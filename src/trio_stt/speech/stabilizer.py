"""Stable text: the words of a running utterance that successive partials agree on.

Local agreement in the sense of Liu et al. (2020), "Low-latency sequence-to-sequence speech recognition and translation
by partial hypothesis selection": a word is committed when every hypothesis of the last stretch of audio begins with the
same words up to it. Committed text only grows. It owns text of one utterance and must not know where hypotheses come
from.
"""

import re
import unicodedata
from collections import deque
from dataclasses import dataclass

from trio_stt.dsp import SAMPLE_RATE_HZ

_AGREEMENT_SAMPLES = round(0.6 * SAMPLE_RATE_HZ)
"""Hypotheses must agree over this much audio: contract, 6.1, for all but the first commit."""
_LEAST_HYPOTHESES = 3
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StableText:
    """A partial, split for display.

    Attributes:
        sequence: Number of the observation in its utterance, from 1.
        raw: The hypothesis itself, stripped.
        stable: Committed words; they are never taken back within the utterance.
        delta: What this observation added to `stable`.
        unstable: The rest of the hypothesis, to be shown after `stable`, with its leading space.
    """

    sequence: int
    raw: str
    stable: str
    delta: str
    unstable: str

    @property
    def display(self) -> str:
        """Stable and unstable text together."""
        return (self.stable + self.unstable).strip() or self.raw


def _key(word: str) -> str:
    """What two spellings of a word share: no case, no punctuation at its edges."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    return folded.strip("".join(c for c in folded if unicodedata.category(c).startswith("P"))) or folded


def _common(first: list[str], second: list[str]) -> int:
    """Length of the common prefix."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


class Stabilizer:
    """Follows the hypotheses of one utterance; each covers the utterance from its start."""

    def __init__(self) -> None:
        self._sequence = 0
        self._stable = ""
        self._stable_keys: list[str] = []
        self._recent: deque[tuple[int, list[str]]] = deque()  # (audio end, word keys)

    def observe(self, text: str, *, audio_end_sample: int) -> StableText:
        """Take the next hypothesis.

        Args:
            text: What the engine heard from the start of the utterance; may be empty.
            audio_end_sample: Position up to which it heard; does not decrease.
        """
        self._sequence += 1
        raw = " ".join(text.split())
        words = _WORD.findall(raw)
        keys = [_key(word) for word in words]
        agreed = self._agreement(keys, audio_end_sample)
        follows = _common(self._stable_keys, keys) == len(self._stable_keys)
        delta = ""
        if follows and agreed > len(self._stable_keys):
            added = " ".join(words[len(self._stable_keys) : agreed])
            delta = f" {added}" if self._stable else added
            self._stable += delta
            self._stable_keys = keys[:agreed]
        tail = words[len(self._stable_keys) :]
        unstable = " ".join(tail)
        if unstable and self._stable:
            unstable = f" {unstable}"
        return StableText(sequence=self._sequence, raw=raw, stable=self._stable, delta=delta, unstable=unstable)

    def _agreement(self, keys: list[str], audio_end_sample: int) -> int:
        """How many leading words the hypotheses of the agreement stretch share, the newest one's last word aside."""
        if self._recent and self._recent[-1][0] == audio_end_sample:
            self._recent.pop()  # the same audio decoded again is no second witness
        self._recent.append((audio_end_sample, keys))
        # Keep one hypothesis that is as old as the stretch, so that agreement spans all of it.
        while len(self._recent) > 1 and self._recent[1][0] <= audio_end_sample - _AGREEMENT_SAMPLES:
            self._recent.popleft()
        spans = audio_end_sample - self._recent[0][0] >= _AGREEMENT_SAMPLES
        if not spans or len(self._recent) < _LEAST_HYPOTHESES:
            return 0
        agreed = max(len(keys) - 1, 0)
        for _, other in self._recent:
            agreed = min(agreed, _common(keys, other))
        return agreed
