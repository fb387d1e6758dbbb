"""Names of languages as clients write them: `en`, `en-US`, `pt_BR`, `English`."""

from collections.abc import Sequence

from trio_stt.api.openai.errors import RequestError

_NAMES = {
    "ar": "arabic",
    "bg": "bulgarian",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "he": "hebrew",
    "hi": "hindi",
    "hr": "croatian",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "lt": "lithuanian",
    "lv": "latvian",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sk": "slovak",
    "sl": "slovenian",
    "sr": "serbian",
    "sv": "swedish",
    "th": "thai",
    "tr": "turkish",
    "uk": "ukrainian",
    "vi": "vietnamese",
    "zh": "chinese",
}
"""English names of the most used languages, in lower case; other languages are known by their codes only."""

_CODES = {name: code for code, name in _NAMES.items()}
_CHOSEN_BY_MODEL = frozenset({"", "auto"})


def language_code(name: str) -> str:
    """The code of a language: `en` for `en-US`, `EN_us` and `English`."""
    lower = name.strip().lower()
    return _CODES.get(lower, lower.replace("_", "-").partition("-")[0])


def language_name(code: str) -> str:
    """The English name in lower case, as OpenAI gives it, or the code; `auto` where the model decides."""
    return _NAMES.get(code, code or "auto")


def check_language(wanted: Sequence[str], configured: str) -> None:
    """Refuse a language that the server does not transcribe. Of several, one is enough.

    Args:
        wanted: As the client wrote them; none means any.
        configured: The setting `language`; empty or `auto` means that the model decides.

    Raises:
        RequestError: None of them is the configured one.
    """
    code = language_code(configured)
    if code in _CHOSEN_BY_MODEL:
        return
    codes = {language_code(name) for name in wanted} - _CHOSEN_BY_MODEL
    if codes and code not in codes:
        shown = ", ".join(name[:40] for name in wanted)
        raise RequestError(
            400,
            f"language: this server transcribes {language_name(code)} (setting language={configured}), not {shown}",
            param="language",
            code="unsupported_value",
        )
