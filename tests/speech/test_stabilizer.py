from hypothesis import given
from hypothesis import strategies as st

from trio_stt.speech.stabilizer import Stabilizer, StableText

STEP_SAMPLES = 4800  # 0.3 s


def observe(*hypotheses: str, step_samples: int = STEP_SAMPLES) -> list[StableText]:
    stabilizer = Stabilizer()
    return [
        stabilizer.observe(text, audio_end_sample=step_samples * number) for number, text in enumerate(hypotheses, 1)
    ]


def test_words_that_three_hypotheses_over_half_a_second_agree_on_are_committed_but_not_the_last() -> None:
    seen = observe("please", "please book", "please book the blue")
    assert [text.stable for text in seen] == ["", "", "please"]
    assert seen[-1].unstable == " book the blue"


def test_agreement_needs_its_stretch_of_audio() -> None:
    seen = observe(*["please book the room"] * 4, step_samples=1600)
    assert [text.stable for text in seen] == [""] * 4


def test_decoding_the_same_audio_again_is_no_second_witness() -> None:
    stabilizer = Stabilizer()
    for _ in range(5):
        text = stabilizer.observe("please book the room", audio_end_sample=16000)
    assert text.stable == ""


def test_punctuation_and_case_do_not_disagree_and_are_kept() -> None:
    seen = observe("Don't go", "Don't, go now", "Don't go now please", "Don't go now, please stay")
    assert seen[-1].stable.startswith("Don't go")


def test_a_contradiction_leaves_the_stable_text_and_shows_the_rest() -> None:
    seen = observe(*["one two three"] * 3, "other words entirely here")
    assert seen[-1].stable == "one two"
    assert seen[-1].delta == ""
    assert seen[-1].unstable == " entirely here"


def test_an_empty_hypothesis_changes_nothing() -> None:
    seen = observe(*["one two three"] * 3, "")
    assert (seen[-1].stable, seen[-1].unstable, seen[-1].sequence) == ("one two", "", 4)


@given(st.lists(st.lists(st.sampled_from(["a", "B", "c,", "don't", "é"]), max_size=6).map(" ".join), max_size=30))
def test_stable_text_only_grows_and_its_deltas_join_to_it(hypotheses: list[str]) -> None:
    joined = ""
    for number, text in enumerate(observe(*hypotheses), 1):
        assert text.sequence == number
        assert text.stable.startswith(joined)
        joined += text.delta
        assert text.stable == joined
        assert text.display == (text.stable + text.unstable).strip()
