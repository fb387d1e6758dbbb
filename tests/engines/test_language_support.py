"""What one session may choose of an engine's languages."""

import pytest

from trio_stt.errors import LanguageUnavailable
from trio_stt.lanes.engines.language_support import UNKNOWN_LANGUAGES, LanguageSupport

WHISPER = LanguageSupport(known=("de", "en", "fr"), loaded="en", per_request=True, detects=True)
DETECTING_WHISPER = LanguageSupport(known=("de", "en", "fr"), per_request=True, detects=True)
COHERE = LanguageSupport(known=("de", "en"), loaded="en", per_request=True)
SENSE_VOICE = LanguageSupport(known=("en", "zh"), loaded="zh")
PARAKEET = LanguageSupport(known=("de", "en"))
MOONSHINE = LanguageSupport(known=("en",), loaded="en")
REMOTE = LanguageSupport(per_request=True, detects=True)
UNKNOWN = LanguageSupport(assumed="en")


@pytest.mark.parametrize(
    ("engine", "wanted", "hint", "used"),
    [
        (WHISPER, "en-US", None, "en"),
        (WHISPER, "German", "de", "de"),
        (WHISPER, "auto", "auto", None),
        (DETECTING_WHISPER, "auto", None, None),
        (DETECTING_WHISPER, "de", "de", "de"),
        (COHERE, "de_DE", "de", "de"),
        (SENSE_VOICE, "zh-CN", None, "zh"),
        (PARAKEET, "de", None, None),  # it detects German
        (PARAKEET, "", None, None),
        (MOONSHINE, "English", None, "en"),
        (MOONSHINE, "auto", None, "en"),
        (REMOTE, "xx", "xx", "xx"),
        (REMOTE, "auto", None, None),
        (UNKNOWN, "en", None, None),
        (UNKNOWN, "auto", None, None),
        (UNKNOWN_LANGUAGES, "auto", None, None),
    ],
)
def test_language_that_the_session_can_have(
    engine: LanguageSupport, wanted: str, hint: str | None, used: str | None
) -> None:
    assert engine.choose(wanted) == hint
    assert engine.of_request(hint) == used


@pytest.mark.parametrize(
    ("engine", "wanted", "message"),
    [
        (WHISPER, "tlh", "does not have 'tlh'; it has de, en, fr"),
        (COHERE, "auto", r"does not detect the language; it transcribes en \(setting language\)"),
        (SENSE_VOICE, "en", r"loaded for zh \(setting language\); 'en' can be chosen by the setting language only"),
        (SENSE_VOICE, "auto", "does not detect the language"),
        (PARAKEET, "ja", "does not have 'ja'; it has de, en"),
        (MOONSHINE, "x" * 64, f"does not have '{'x' * 40}'"),
        (UNKNOWN, "de", r"transcribes en \(setting language\); 'de' cannot be chosen"),
        (UNKNOWN_LANGUAGES, "de", "transcribes what it detects; 'de' cannot be chosen"),
    ],
)
def test_language_that_the_session_cannot_have(engine: LanguageSupport, wanted: str, message: str) -> None:
    with pytest.raises(LanguageUnavailable, match=message):
        engine.choose(wanted)


def test_first_possible_language_of_several_is_chosen() -> None:
    assert WHISPER.choose_first([]) is None
    assert WHISPER.choose_first(["tlh", "fr", "de"]) == "fr"
    with pytest.raises(LanguageUnavailable, match="'tlh'"):
        WHISPER.choose_first(["tlh", "xx"])


@pytest.mark.parametrize(
    ("engine", "chosen", "used"),
    [(MOONSHINE, "de", "en"), (COHERE, "auto", "en"), (COHERE, "xx", "en"), (SENSE_VOICE, "en", "zh")],
)
def test_choice_from_before_the_load_is_ignored_where_it_is_impossible(
    engine: LanguageSupport, chosen: str, used: str
) -> None:
    assert engine.of_request(chosen) == used
