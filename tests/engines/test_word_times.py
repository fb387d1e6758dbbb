"""Words from tokens: their confidences."""

import math
from types import SimpleNamespace

import pytest

from trio_stt.lanes.engines.word_times import words

TOKENS = {"tokens": [" one", " t", "wo"], "timestamps": [0.1, 0.5, 0.6]}


@pytest.mark.parametrize("name", ["ys_log_probs", "ys_probs"])
def test_confidence_is_the_geometric_mean_of_the_tokens(name: str) -> None:
    result = SimpleNamespace(**TOKENS, **{name: [math.log(0.9), math.log(0.8), math.log(0.2)]})
    one, two = words(result, text="one two", duration_s=1.0)
    assert (one.text, two.text) == ("one", "two")
    assert one.confidence == pytest.approx(0.9)
    assert two.confidence == pytest.approx(0.4)


@pytest.mark.parametrize("figures", [[], [-0.1], [math.nan, -0.1, math.inf]])
def test_confidence_is_none_if_the_model_gives_none(figures: list[float]) -> None:
    pieces = words(SimpleNamespace(**TOKENS, ys_log_probs=figures), text="one two", duration_s=1.0)
    assert [piece.confidence for piece in pieces] == [None, None]
