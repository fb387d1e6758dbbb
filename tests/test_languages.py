"""Every spelling of a language, as settings, commands and requests have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.languages import language_code, language_name
from trio_stt.models.model_languages import COHERE, PARAKEET_V3, QWEN3, SENSE_VOICE, WHISPER_V3
from trio_stt.settings import load_settings


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["en", "EN", "en-US", "en_GB", "English", " english ", "eng", "en_US.UTF-8", "en-GB-oed"], "en"),
        (["zh", "zh_CN", "zh-TW", "zh-Hant-HK", "Chinese", "Mandarin", "cmn", "zho", "chi", "中文"], "zh"),
        (["yue", "Cantonese", "zh-yue"], "yue"),
        (["de", "de_AT@euro", "German", "deu", "ger", "Deutsch"], "de"),
        (["no", "nb", "nb-NO", "Norwegian", "Bokmål"], "no"),
        (["nn", "nynorsk"], "nn"),
        (["he", "iw", "Hebrew"], "he"),
        (["ht", "Haitian Creole", "haitian"], "ht"),
        (["es-419", "Castilian", "spanish"], "es"),
        (["fil", "Filipino"], "fil"),
        (["tlh", "TLH"], "tlh"),
        (["", " ", "auto", "AUTO"], ""),
    ],
)
def test_every_spelling_gives_one_code(names: list[str], code: str) -> None:
    assert {language_code(name) for name in names} == {code}


@pytest.mark.parametrize("code", sorted({*WHISPER_V3, *QWEN3, *COHERE, *PARAKEET_V3, *SENSE_VOICE}))
def test_languages_of_models_have_a_name_that_gives_their_code(code: str) -> None:
    assert language_name(code) != code
    assert language_code(language_name(code)) == language_code(code) == code


@given(st.text())
def test_code_of_a_code_is_itself(name: str) -> None:
    assert language_code(language_code(name)) == language_code(name)


@pytest.mark.parametrize(
    ("given_", "shown", "code"),
    [("en-US", "en", "en"), ("German", "de", "de"), ("Auto", "auto", None), ("", "", None), ("tlh", "tlh", "tlh")],
)
def test_setting_takes_every_spelling(given_: str, shown: str, code: str | None) -> None:
    settings = load_settings({"language": given_})
    assert (settings.language, settings.language_code) == (shown, code)
