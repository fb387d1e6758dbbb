"""Normalised and finalised text. See docs/protocol.md, Stable text and Final text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.speech.text import ends_word, finalize_text, normalized_text, words


@pytest.mark.contract("6.2")
@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("", ""),
        ("  It's\t\u00a0HALF-past five!\n", "its halfpast five"),
        ("a - b", "a b"),
        ("Stra\u00dfe", "strasse"),
        ("\ufb01ve \uff15", "five 5"),
        ("\u2026", ""),
    ],
)
def test_case_punctuation_and_extra_spaces_are_removed(raw: str, normal: str) -> None:
    assert normalized_text(raw).normal == normal


def test_words_with_and_without_spaces_between_them() -> None:
    normal = normalized_text("Go to \u5317\u4eac, now").normal
    assert [normal[start:end] for start, end in words(normal)] == ["go", "to", "\u5317", "\u4eac", "now"]


@pytest.mark.contract("6.2")
@given(st.text())
def test_each_normalised_character_maps_to_its_source(text: str) -> None:
    whole = normalized_text(text)
    assert len(whole.ends) == len(whole.normal)
    assert list(whole.ends) == sorted(whole.ends)
    assert whole.normal == whole.normal.strip(" ")
    assert "  " not in whole.normal
    for length in range(len(whole.normal) + 1):
        assert normalized_text(whole.raw[: whole.raw_end(length)]).normal.startswith(whole.normal[:length].strip(" "))


@given(st.text())
def test_words_cover_everything_but_spaces(text: str) -> None:
    normal = normalized_text(text).normal
    spans = list(words(normal))
    assert "".join(normal[start:end] for start, end in spans) == normal.replace(" ", "")
    assert all(ends_word(normal, end) for _, end in spans)


@pytest.mark.contract("8.2")
@pytest.mark.parametrize(
    ("raw", "final"),
    [
        ("", ""),
        ("  \n ", ""),
        ("hello  world", "Hello world."),
        ("it is 5", "It is 5."),
        ("really?", "Really?"),
        ("élan", "Élan."),
        ("'tis so", "'tis so."),
        ("Done.", "Done."),
        ("გამარჯობა მსოფლიო", "გამარჯობა მსოფლიო."),
        ("ǆemper", "ǅemper."),
        ("你好", "你好"),
        ("第3", "第3"),
        ("今日は晴れ", "今日は晴れ"),
        ("สวัสดี", "สวัสดี"),
        ("안녕하세요", "안녕하세요."),
        ("iPhone 用 A", "IPhone 用 A."),
        ("in short,, the period ; ; so: far...", "In short, the period ; so: far..."),
    ],
)
def test_final_gets_capital_spaces_and_full_stop(raw: str, final: str) -> None:
    assert finalize_text(raw) == final
