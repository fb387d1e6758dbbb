from hypothesis import given
from hypothesis import strategies as st

from trio_stt.bench.words import kept_words, plain_words, word_errors

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


def slow_distance(one: list[str], other: list[str]) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        slow_distance(one[1:], other) + 1,
        slow_distance(one, other[1:]) + 1,
        slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(st.lists(st.sampled_from("abc"), max_size=5), st.lists(st.sampled_from("abc"), max_size=5))
def test_word_errors_are_the_edit_distance(one: list[str], other: list[str]) -> None:
    assert word_errors(one, other) == slow_distance(one, other)


@given(WORDS, WORDS)
def test_kept_words_are_in_both_in_order(before: list[str], after: list[str]) -> None:
    kept = kept_words(before, after)
    assert 0 <= kept <= min(len(before), len(after))
    assert kept_words(before, before) == len(before)


def test_changed_word_revises_that_word_only() -> None:
    assert kept_words(plain_words("it was the string of"), plain_words("it was the spring of hope")) == 4


def test_case_and_punctuation_are_ignored() -> None:
    assert plain_words("Don\N{RIGHT SINGLE QUOTATION MARK}t, he said; STOP!") == ["don't", "he", "said", "stop"]
