"""Words out of tokens: how sure the model was of each."""

import math
from types import SimpleNamespace

import pytest

from trio_stt.lanes.engines.word_times import words

TOKENS = {"tokens": [" one", " t", "wo"], "timestamps": [0.1, 0.5, 0.6]}


@pytest.mark.parametrize("name", ["ys_log_probs", "ys_probs"])
def test_a_word_is_as_sure_as_its_tokens_on_the_geometric_mean(name: str) -> None:
    result = SimpleNamespace(**TOKENS, **{name: [math.log(0.9), math.log(0.8), math.log(0.2)]})
    one, two = words(result, text="one two", duration_s=1.0)
    assert (one.text, two.text) == ("one", "two")
    assert one.confidence == pytest.approx(0.9)
    assert two.confidence == pytest.approx(0.4)


@pytest.mark.parametrize("figures", [[], [-0.1], [math.nan, -0.1, math.inf]])
def test_what_a_model_does_not_say_nobody_knows(figures: list[float]) -> None:
    pieces = words(SimpleNamespace(**TOKENS, ys_log_probs=figures), text="one two", duration_s=1.0)
    assert [piece.confidence for piece in pieces] == [None, None]
