"""Invariants and cost of stable text, whatever the engine returns. See docs/protocol.md, Stable text; defect 37."""

import pickle
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.speech.stabilizer import CommitReason, Stabilizer, StableText

Observation = tuple[str, int, bool]
some_words = st.lists(st.sampled_from(["a", "B", "c,", "don't", "é", "Straße", "“yes”", "-", "今天", "5"]), max_size=6)
observations = st.lists(st.tuples(some_words.map(" ".join), st.integers(0, 8000), st.booleans()), max_size=40)


@pytest.mark.contract("6.4")
@given(observations)
def test_stable_text_only_grows_and_equals_its_published_deltas(observed: list[Observation]) -> None:
    stabilizer, end_sample, before, joined = Stabilizer(), 0, "", ""
    for number, (text, step_samples, publishable) in enumerate(observed, 1):
        end_sample += step_samples
        seen = stabilizer.observe(text, audio_end_sample=end_sample, publishable=publishable)
        assert seen.sequence == number
        assert seen.raw == text.strip()
        assert seen.stable.startswith(before)
        assert seen.stable == seen.stable.strip()
        assert (seen.commit_reason is CommitReason.EVIDENCE) == (seen.stable != before)
        before = seen.stable
        joined += seen.delta
        assert seen.stable.startswith(joined)
        if publishable and any(c.isalnum() for c in text):
            assert joined == seen.stable
        else:
            assert seen.delta == ""


@pytest.mark.contract("6.3")
@given(observations)
def test_fields_of_an_observation_are_consistent(observed: list[Observation]) -> None:
    stabilizer, end_sample = Stabilizer(), 0
    previous = StableText()
    for text, step_samples, _ in observed:
        end_sample += step_samples
        seen = stabilizer.observe(text, audio_end_sample=end_sample)
        assert seen.display == ((seen.stable + seen.unstable).strip() or seen.raw)
        if seen.is_outlier or not any(c.isalnum() for c in text):
            shown = ("stable", "unstable", "consensus", "consensus_unstable", "stable_normalized_offset")
            assert all(getattr(seen, name) == getattr(previous, name) for name in shown)
        else:
            assert seen.consensus + seen.consensus_unstable == seen.raw
            if not seen.stable_prefix_conflict and seen.unstable:
                assert seen.raw.endswith(seen.unstable)
        previous = seen


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8).map(" ".join), st.integers(2, 40))
def test_unchanging_words_are_all_committed(text: str, cadence_hundredths: int) -> None:
    count = max(5, 100 // cadence_hundredths + 2)
    ends = [1.0 + cadence_hundredths / 100 * number for number in range(count)]
    stabilizer = Stabilizer()
    for end_s in ends:
        last = stabilizer.observe(text, audio_end_sample=round(end_s * SAMPLE_RATE_HZ))
    alone = len(text) > 1 and text[-2] == " "
    assert last.stable == (text[:-2] if alone else text)  # one letter does not commit the space before it


@pytest.mark.contract("6.5", "11/37")
def test_evidence_is_bounded_for_any_length_of_utterance() -> None:
    def size_after(observations: int) -> int:
        stabilizer = Stabilizer()
        for number in range(observations):
            stabilizer.observe(f"hello world {number % 7}", audio_end_sample=320 * number)
        return len(pickle.dumps(stabilizer))

    assert size_after(5000) <= size_after(500) + 100


@pytest.mark.contract("11/37")
def test_cost_of_an_observation_is_linear_in_its_text() -> None:
    def steps(word_count: int, spoken: list[str]) -> int:
        """Lines of Python that one hypothesis runs when the history is full of hypotheses that differ at the start."""
        stabilizer = Stabilizer()
        for number in range(200):
            words = [spoken[number % len(spoken)], *(f"word{i}" for i in range(word_count))]
            stabilizer.observe(" ".join(words), audio_end_sample=320 * number)
        return lines_run(lambda: stabilizer.observe(" ".join(words), audio_end_sample=320 * 200))

    for spoken in (["same"], ["one", "other", "third"]):
        assert steps(800, spoken) < 4.5 * steps(200, spoken)


def lines_run(call: Callable[[], object]) -> int:
    count = 0

    def trace(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count
