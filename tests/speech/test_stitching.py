"""Hypotheses of the last seconds are joined to the text before. See docs/protocol.md, Audio of a partial."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.speech.stitching import Stitcher
from trio_stt.speech.text import normalized_text

WORD_SAMPLES = 4800  # 0.3 s


def stitch(*hypotheses: tuple[str, int, int]) -> list[str]:
    """The full text after each hypothesis, given with the first and the end position of its clip, in words."""
    stitcher = Stitcher()
    return [
        stitcher.stitch(text, clip_start_sample=start * WORD_SAMPLES, clip_end_sample=end * WORD_SAMPLES)
        for text, start, end in hypotheses
    ]


def test_clip_from_the_start_is_used_unchanged() -> None:
    assert stitch(("One, two", 0, 2), (" Won too three. ", 0, 3)) == ["One, two", "Won too three."]


def test_clip_from_the_start_between_later_clips_replaces_the_text() -> None:
    seen = stitch(
        ("the first time of times it was the worst of times", 3, 14),
        ("it was the worst of times it was", 8, 16),
        ("it was the best of times it was the worst of times it was the", 0, 17),
        ("worst of times it was the age of", 11, 19),
    )
    assert seen[2:] == [
        "it was the best of times it was the worst of times it was the",
        "it was the best of times it was the worst of times it was the age of",
    ]


def test_words_before_the_clip_are_kept() -> None:
    seen = stitch(("It was the best of times,", 0, 6), ("the best of times, it was.", 2, 8))
    assert seen[-1] == "It was the best of times, it was."


def test_wrong_first_word_of_a_clip_gives_way_to_the_earlier_word() -> None:
    seen = stitch(("we had everything before us", 0, 5), ("sat everything before us we", 1, 6))
    assert seen[-1] == "we had everything before us we"


def test_corrected_last_word_replaces_the_earlier_word() -> None:
    seen = stitch(("the epoch of belief it was ink", 0, 6), ("of belief it was incredulity today", 2, 7))
    assert seen[-1] == "the epoch of belief it was incredulity today"


def test_retracted_words_are_removed() -> None:
    seen = stitch(("one two three four five six maybe", 0, 7), ("three four five six", 2, 8))
    assert seen[-1] == "one two three four five six"


def test_recurring_phrases_are_separated_by_time() -> None:
    seen = stitch(
        ("it was the age of wisdom it was the age of fool", 0, 12),
        ("wisdom it was the age of foolishness it was", 5, 14),
        ("it was the age of foolishness it was the epoch", 6, 16),
    )
    assert seen[-1] == "it was the age of wisdom it was the age of foolishness it was the epoch"


def test_clip_that_begins_at_the_end_of_the_last_one_is_appended() -> None:
    assert stitch(("One two.", 0, 2), ("three four", 2, 4), ("three four five", 2, 5))[-1] == "One two. three four five"


def test_clip_of_one_word_overlaps_by_that_word() -> None:
    seen = stitch(("well one two no", 0, 4), ("no", 3, 5), ("no yes", 3, 6))
    assert seen[1:] == ["well one two no", "well one two no yes"]


def test_scripts_without_spaces_are_joined() -> None:
    assert stitch(("今天天气很好", 0, 6), ("天气很好我们去", 2, 9))[-1] == "今天天气很好我们去"


@pytest.mark.parametrize("empty", ["", " ... ", "—"])
def test_hypothesis_without_words_gives_no_text_and_changes_nothing(empty: str) -> None:
    seen = stitch(("one two three four", 0, 4), (empty, 1, 5), ("two three four five", 1, 6))
    assert seen == ["one two three four", "", "one two three four five"]


def test_hypothesis_that_fits_nothing_gives_no_text_and_changes_nothing() -> None:
    known = ("one two three four five", 0, 5)
    outlier, next_one = ("completely unrelated banana", 1, 6), ("three four five six seven", 2, 7)
    assert stitch(known, outlier, next_one)[1:] == ["", "one two three four five six seven"]


def test_two_outliers_that_fit_each_other_replace_the_text() -> None:
    outlier = ("alpha beta gamma delta", 0, 4)
    seen = stitch(outlier, ("three four five six seven", 2, 7), ("four five six seven eight", 3, 8))
    assert seen[1:] == ["", "alpha beta three four five six seven eight"]


made_up = st.integers(12, 60).map(lambda count: [f"word{number}" for number in range(count)])
recurring = st.lists(st.integers(0, 10**6), min_size=4, max_size=15, unique=True).map(
    lambda nouns: [word for noun in nouns for word in ("it", "was", "the", f"noun{noun}")]
)


@given(
    spoken=made_up | recurring,
    window=st.integers(10, 20),
    step=st.integers(1, 3),
    wrong_words=st.lists(st.integers(0, 2), min_size=60, max_size=60),
    wrong_end=st.booleans(),
)
def test_text_is_complete_with_any_window(
    spoken: list[str], window: int, step: int, wrong_words: list[int], wrong_end: bool
) -> None:
    stitcher = Stitcher()
    text = ""
    for end in [*range(1, len(spoken), step), len(spoken)]:
        start = max(0, end - window)
        hypothesis = spoken[start:end]
        if start > 0:
            hypothesis[: wrong_words[end - 1]] = ["noise"] * wrong_words[end - 1]
        if wrong_end and end < len(spoken):
            hypothesis[-1] = f"guess{end}"
        text = stitcher.stitch(
            " ".join(hypothesis), clip_start_sample=start * WORD_SAMPLES, clip_end_sample=end * WORD_SAMPLES
        )
        assert text.split()[:-1] == spoken[: end - 1]
    assert text.split() == spoken


@given(st.lists(st.tuples(st.text(max_size=30), st.integers(0, 9000), st.integers(0, 9000)), max_size=12))
def test_any_text_at_any_position_is_accepted(hypotheses: list[tuple[str, int, int]]) -> None:
    stitcher, start, end = Stitcher(), 0, 1
    for text, later_start, later_end in hypotheses:
        end += later_end
        start = min(start + later_start, end - 1)
        full = stitcher.stitch(text, clip_start_sample=start, clip_end_sample=end)
        assert full == full.strip()
        assert not full or normalized_text(full).normal.endswith(normalized_text(text).normal[-1:])
