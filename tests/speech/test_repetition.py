"""Rejected text: loops and punctuation. `tests/words` tests real loops and real speech."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.speech.repetition import RejectedText, rejected_text

SENTENCE = "I am going to the store because I need some milk"


@pytest.mark.parametrize("text", ["", "  \n", ",,", "...", " - ", "♪♪♪♪", "♪ ♪ ♪", "?!", "“”"])
def test_text_without_a_letter_or_number_is_rejected(text: str) -> None:
    assert rejected_text(text) is RejectedText.NO_WORDS


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no, no.",
        "No no no no no no no!",
        "Ha ha ha.",
        "Ha-ha-ha-ha-ha-ha-ha-ha.",
        "One two one two, one two one two, testing.",
        "one two three four five six seven eight nine ten",
        "Zero zero zero zero zero zero zero zero seven",
        "555 555 555 555",
        "1000000000000",
        "Never, never, never, never, never!",
        "Come on, come on, come on, come on, come on.",
        "Thank you. Thank you. Thank you. Thank you.",
        "I love you. I love you. I love you.",
        "That that is is that that is not is not.",
        f"{SENTENCE}. {SENTENCE}. {SENTENCE}.",
        "Yes.",
        "5",
        "你好",
        "哈哈哈哈哈",
    ],
)
def test_repetitions_of_natural_speech_pass(text: str) -> None:
    assert rejected_text(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "you " * 12,
        "Thank you. " * 8,
        "thank you, THANK YOU. Thank, you; " * 3,
        "Mm-mm-mm-mm-mm-mm-mm-mm-mm-mm-mm",
        "2022, " * 25,
        "The top of" + " top of" * 15,
        f"{SENTENCE}. " * 5,
        "We begin well and then it was, it was, it was, it was, it was, it was, it was, it was, and so on",
        "字幕由志愿者提供。" * 6,
    ],
)
def test_loop_is_rejected(text: str) -> None:
    assert rejected_text(text) is RejectedText.REPETITION


word = st.text(alphabet="abcdefgh", min_size=1, max_size=6)
phrases = st.lists(word, min_size=1, max_size=30)


@given(phrases, st.integers(10, 40), st.lists(word, max_size=5), st.lists(word, max_size=5))
def test_phrase_repeated_ten_times_is_a_loop(
    phrase: list[str], times: int, before: list[str], after: list[str]
) -> None:
    assert rejected_text(" ".join([*before, *phrase * times, *after])) is RejectedText.REPETITION


@given(st.lists(st.integers(0, 10**9), unique=True, min_size=1, max_size=80))
def test_words_without_repetition_pass(numbers: list[int]) -> None:
    assert rejected_text(" ".join(f"word{number}" for number in numbers)) is None


@pytest.mark.parametrize("text", ["You", "you.", "Thank you!", "Thanks for watching.", "Bye-bye.", "Mm-hmm,", "Uh?"])
def test_phrase_invented_for_noise_is_rejected_only_for_doubtful_sound(text: str) -> None:
    assert rejected_text(text, doubtful=True) is RejectedText.PHANTOM
    assert rejected_text(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "\u00a9 transcript Emily Beynon",
        "Transcript Emily Beynon.",
        "\u00a9 BBC 2014",
        "Subtitles by the Amara.org community",
        "Transcribed by https://otter.ai",
    ],
)
def test_credits_of_subtitles_are_rejected_for_any_sound(text: str) -> None:
    assert rejected_text(text) is RejectedText.PHANTOM


@pytest.mark.parametrize("text", ["Copyright of Emily Beynon.", "Subtitles by the community", "Uh, stop."])
def test_words_like_credits_and_pauses_pass(text: str) -> None:
    assert rejected_text(text) is None


@pytest.mark.parametrize("text", ["Stop.", "Thank you, that is all.", "You too", "Yeah.", "Oh.", "Um, no."])
def test_other_words_of_doubtful_sound_pass(text: str) -> None:
    assert rejected_text(text, doubtful=True) is None
