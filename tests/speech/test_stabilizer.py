"""Stable text, case by case. See docs/protocol.md, Stable text; defect 26."""

from collections.abc import Iterable

import pytest

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.speech.stabilizer import Stabilizer, StableText


def observe(*hypotheses: tuple[float, str], stabilizer: Stabilizer | None = None) -> list[StableText]:
    """Results of hypotheses, each given with the end of its audio in seconds."""
    following = stabilizer or Stabilizer()
    return [following.observe(text, audio_end_sample=round(end_s * SAMPLE_RATE_HZ)) for end_s, text in hypotheses]


def repeated(text: str, *ends_s: float) -> list[tuple[float, str]]:
    return [(end_s, text) for end_s in ends_s]


def stables(seen: Iterable[StableText]) -> list[str]:
    return [text.stable for text in seen]


HELLO = repeated("hello", 1.0, 1.4, 1.85)
BAD_CARD = "I would think that the card is ready"
GOOD_CARD = "I would think that the current approach is ready"


# RealtimeSTT's own cases, on the audio clock.


@pytest.mark.contract("6.1")
def test_first_word_is_committed_by_the_third_hypothesis_over_0_85_s() -> None:
    seen = observe(*HELLO)
    assert stables(seen) == ["", "", "hello"]
    assert [text.unstable for text in seen] == ["hello", "hello", ""]
    assert [text.commit_reason for text in seen] == ["none", "none", "evidence-threshold"]
    assert seen[-1].stable_normalized_offset == 5


@pytest.mark.contract("6.1")
def test_fast_repeats_are_no_evidence_until_audio_has_passed() -> None:
    assert stables(observe(*repeated("hello", 1.0, 1.05, 1.10, 1.85))) == ["", "", "", "hello"]


@pytest.mark.contract("6.3")
def test_same_audio_again_is_no_evidence() -> None:
    assert stables(observe(*repeated("set the timer", 1.0, 1.0, 1.0, 1.7))) == [""] * 4


def test_words_need_less_evidence_the_more_words_follow() -> None:
    seen = observe(*repeated("one", 1.0, 1.4, 1.8), *repeated("one two three four five", 2.2, 2.3, 2.4, 2.6, 2.8))
    assert stables(seen)[2:] == [*["one"] * 3, "one two three", "one two three four", "one two three four five"]
    assert (seen[-2].unstable, seen[-2].display) == (" five", "one two three four five")


@pytest.mark.contract("6.1")
@pytest.mark.parametrize(
    ("ends_s", "delta"),
    [((1.0, 1.7), ""), ((1.0, 1.8), "book now"), ((1.0, 1.4, 1.7), "")],
)
def test_two_hypotheses_of_a_slow_engine_suffice(ends_s: tuple[float, ...], delta: str) -> None:
    seen = observe(*repeated("book now", *ends_s))
    assert [text.delta for text in seen] == [*[""] * (len(ends_s) - 1), delta]
    assert seen[-1].stable_normalized_offset == len(delta)


@pytest.mark.contract("6.1")
def test_space_needs_two_stable_characters_to_its_right() -> None:
    seen = observe(*repeated("book a ", 1.0, 1.3, 1.6, 1.9))
    assert seen[-1].stable == "book"
    seen = observe(*repeated("book a room now", 1.0, 1.3, 1.6, 1.9))
    assert seen[-1].stable == "book a room now"


@pytest.mark.contract("6.3")
def test_wrong_first_word_corrected_in_time_is_never_committed() -> None:
    wrong = [(1.0, "M now talking"), (1.15, "M now talking"), (1.3, "M now talking into")]
    seen = observe(*wrong, *repeated("I am now talking into", 1.45, 1.85, 2.25, 2.65))
    assert not any(text.is_outlier for text in seen)
    assert not any(text.stable.startswith("M") for text in seen)
    assert seen[-1].stable == "I am now talking into"


@pytest.mark.contract("6.3")
def test_one_unrelated_hypothesis_is_an_outlier_and_the_history_recovers() -> None:
    seen = observe((1.0, "turnon"), (1.4, "turnon"), (1.8, "completely unrelated banana"), (1.95, "turnon"))
    assert [text.is_outlier for text in seen] == [False, False, True, False]
    assert (seen[2].raw, seen[2].unstable) == ("completely unrelated banana", "turnon")
    assert seen[3].delta == "turnon"


@pytest.mark.contract("6.3")
def test_unrelated_hypotheses_after_a_commit_stay_outliers() -> None:
    seen = observe(*HELLO, (2.0, "goodbye now"), (2.2, "goodbye now please"))
    for outlier in seen[3:]:
        assert outlier.is_outlier
        assert outlier.stable_prefix_conflict
        assert (outlier.stable, outlier.display) == ("hello", "hello")


@pytest.mark.contract("6.3")
def test_second_similar_outlier_before_any_consensus_replaces_the_accepted_ones() -> None:
    seen = observe((1.0, "turnon"), (1.4, "big yellow banana"), (1.8, "big yellow banana"), (2.3, "big yellow banana"))
    assert [text.is_outlier for text in seen] == [False, True, False, False]
    assert seen[-1].stable == "big yellow banana"  # the outlier that was confirmed counts as evidence


@pytest.mark.contract("6.3", "6.4")
def test_wrong_stable_text_stays_and_the_consensus_is_corrected() -> None:
    seen = observe(*repeated(BAD_CARD, 1.0, 1.3, 1.6, 1.9), *repeated(GOOD_CARD, 2.2, 2.5, 2.8, 3.1))
    assert seen[3].stable == BAD_CARD
    first, last = seen[4], seen[-1]
    assert first.internal_revision
    assert all(text.stable_prefix_conflict and not text.is_outlier for text in seen[4:])
    assert all((text.stable, text.delta) == (BAD_CARD, "") for text in seen[4:])
    assert (last.consensus, last.consensus_unstable, last.consensus_display) == (GOOD_CARD, "", GOOD_CARD)
    assert not last.public_consensus_aligned
    assert last.unstable == " ... current approach is ready"
    assert last.display == f"{BAD_CARD} ... current approach is ready"


@pytest.mark.contract("6.3")
def test_unpublished_observations_are_evidence_and_keep_their_delta() -> None:
    stabilizer = Stabilizer()
    ends = [round(end_s * SAMPLE_RATE_HZ) for end_s in (1.0, 1.4, 1.85)]
    hidden = [stabilizer.observe("hello", audio_end_sample=end, publishable=False) for end in ends]
    assert [text.delta for text in hidden] == ["", "", ""]
    assert hidden[-1].stable == "hello"
    shown = stabilizer.observe("hello", audio_end_sample=2 * SAMPLE_RATE_HZ)
    assert (shown.stable, shown.delta) == ("hello", "hello")


# More than RealtimeSTT requires of a word.


def test_only_words_ended_alike_by_all_hypotheses_are_committed() -> None:
    seen = observe((1.0, "book"), (1.3, "books"), (1.6, "booking the"), (1.9, "booking the"), (2.2, "booking the room"))
    assert stables(seen) == [""] * 5


def test_one_differing_hypothesis_resets_the_evidence_of_a_word() -> None:
    seen = observe((1.0, "the spring of"), (1.3, "the string of"), (1.6, "the spring of"), (1.9, "the spring of"))
    assert seen[-1].stable == "the"


@pytest.mark.contract("6.1")
def test_evidence_older_than_8_s_does_not_count() -> None:
    assert observe((1.0, "hello"), (9.1, "hello"))[-1].stable == ""
    assert observe((1.0, "hello"), (8.9, "hello"))[-1].stable == "hello"


def test_longer_form_of_the_last_stable_word_continues_it() -> None:
    seen = observe(*repeated("inter", 1.0, 1.4, 1.85), *repeated("international", 2.2, 2.6, 3.05))
    assert [text.delta for text in seen] == ["", "", "inter", "", "", "national"]


def test_evidence_that_a_flicker_interrupts_counts_again_after_three_more_hypotheses() -> None:
    spring, string = "the spring of a year", "the string of a year"
    seen = observe(*repeated(spring, 1.0, 1.1), (1.2, string), *repeated(spring, 1.6, 1.7, 1.8))
    assert stables(seen) == ["", "", "", "", "", "the spring of a year"]


def test_hypothesis_that_a_silence_ends_is_committed_at_once() -> None:
    stabilizer = Stabilizer()
    observe(*HELLO, stabilizer=stabilizer)
    whole = stabilizer.observe("Hello, it is I.", audio_end_sample=2 * SAMPLE_RATE_HZ, complete=True)
    assert (whole.stable, whole.delta, whole.unstable) == ("hello, it is I", ", it is I", ".")
    contradicting = stabilizer.observe("Hello, it is me.", audio_end_sample=3 * SAMPLE_RATE_HZ, complete=True)
    assert (contradicting.stable, contradicting.delta) == ("hello, it is I", "")


# Text that a client shows.


def test_hypothesis_that_ends_earlier_is_no_conflict() -> None:
    seen = observe(*repeated("one two three", 1.0, 1.3, 1.6, 1.9), (2.2, "one two"))
    assert (seen[-1].stable, seen[-1].unstable) == ("one two three", "")
    assert not seen[-1].stable_prefix_conflict
    assert not seen[-1].public_consensus_aligned
    assert seen[-1].internal_revision


def test_contradicting_hypothesis_without_further_words_leaves_no_unstable_text() -> None:
    seen = observe(*repeated("one two three", 1.0, 1.3, 1.6, 1.9), (2.2, "one two threes"), (2.5, "one to"))
    assert seen[-2].unstable == "s"
    assert (seen[-1].unstable, seen[-1].stable_prefix_conflict) == (" ... to", True)


@pytest.mark.contract("6.3")
@pytest.mark.parametrize("blank", ["", "  \n", " ... ", ",,"])
def test_blank_hypothesis_takes_a_number_and_changes_nothing(blank: str) -> None:
    seen = observe(*repeated("one two three", 1.0, 1.3, 1.6), (1.7, blank), (1.9, "one two three"))
    assert (seen[3].sequence, seen[3].raw, seen[3].delta) == (4, blank.strip(), "")
    assert (seen[3].stable, seen[3].unstable) == (seen[2].stable, seen[2].unstable)
    assert seen[4].stable == "one two three"


@pytest.mark.contract("6.4")
def test_new_stabilizer_is_empty() -> None:
    assert Stabilizer().observe("", audio_end_sample=0) == StableText(sequence=1)


# Defect 26 of RealtimeSTT's server (docs/protocol.md, Stable text).


@pytest.mark.contract("6.5", "11/26")
def test_punctuation_and_inner_apostrophes_are_kept() -> None:
    text = "“Don\u2019t go,” she said: it's half-past five"
    seen = observe(*repeated(f"{text}.", 1.0, 1.3, 1.6, 1.9))
    assert (seen[-1].stable, seen[-1].unstable) == (text, ".")
    assert "".join(part.delta for part in seen) == text


def test_changes_of_punctuation_and_case_are_no_disagreement() -> None:
    seen = observe((1.0, "hello world"), (1.4, "Hello world"), (1.8, "hello, world!"))
    assert stables(seen) == ["", "", "hello, world"]
    assert seen[-1].unstable == "!"
    longer = observe((1.0, "Well."), (1.4, "Well,"), (1.85, "Well."), *repeated("Well, then now", 2.0, 2.3, 2.6, 2.9))
    assert (longer[2].stable, longer[2].unstable, longer[-1].stable) == ("Well", ".", "Well, then now")


@pytest.mark.contract("6.5", "11/26")
def test_no_space_is_lost_between_commits() -> None:
    seen = observe(*repeated("number", 1.0, 1.4, 1.85), *repeated("number 5 please", 2.0, 2.3, 2.6, 2.9))
    assert seen[-1].stable == "number 5 please"
    assert "".join(text.delta for text in seen) == "number 5 please"


@pytest.mark.contract("6.5", "11/26")
def test_characters_that_fold_to_several_are_not_repeated() -> None:
    text = "Die große Straße ist ½ offen für ﬁve"
    seen = observe(*repeated(text, 1.0, 1.3, 1.6, 1.9))
    assert seen[-1].stable == text


def test_words_of_scripts_without_spaces_are_committed_one_character_at_a_time() -> None:
    seen = observe((1.0, "今天"), (1.3, "今天天"), (1.6, "今天天气很"), (1.9, "今天天气很好。"))
    assert stables(seen) == ["", "", "", "今天"]


# The final's relation to the stable text.


@pytest.mark.parametrize(
    ("final", "agreed"),
    [
        ("Hello, world again.", True),
        ("hello world", True),
        ("Hello worlds.", False),
        ("Yellow world.", False),
        ("Hello.", False),
        ("", False),
    ],
)
def test_final_agrees_if_it_begins_with_the_stable_words(final: str, agreed: bool) -> None:
    stabilizer = Stabilizer()
    observe(*repeated("hello world", 1.0, 1.3, 1.6, 1.9), stabilizer=stabilizer)
    assert stabilizer.agrees_with(final) is agreed


def test_every_final_agrees_without_stable_text() -> None:
    assert Stabilizer().agrees_with("Anything.")


def test_unpublished_text_cannot_be_contradicted() -> None:
    stabilizer = Stabilizer()
    for end_s in (1.0, 1.4, 1.9):
        stabilizer.observe("hello", audio_end_sample=round(end_s * SAMPLE_RATE_HZ), publishable=False)
    assert stabilizer.agrees_with("Yellow.")
