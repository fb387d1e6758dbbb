"""What Wyoming's clients ask for, and its limits on their texts. Pure."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from trio_stt.api.wyoming.messages import Context
from trio_stt.errors import LanguageUnavailable
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.protocol.commands import Start
from trio_stt.settings import Settings

_MAX_PROMPT_CHARACTERS = 800
"""Names and terms beyond this are left out: Whisper's prompt has 224 tokens, and would keep the last of them."""
_SILENCE_S = {"aggressive": 0.25, "default": 0.7, "relaxed": 1.25}
"""Silence that ends a command, by sensitivity: as Home Assistant's own detector."""


class Transcribe(msgspec.Struct, frozen=True, kw_only=True):
    """A request to transcribe the audio that follows.

    Attributes:
        name: Of a model; there is only one.
        language: Of the speech.
        context: Of a conversation; the transcript returns it as it is.
        vad_sensitivity: How soon a silence ends a command, with `wyoming_endpointing`.
        transcript_names: Names that are likely to be said.
        transcript_terms: Other such words.
    """

    name: str | None = None
    language: str | None = None
    context: Context | None = None
    vad_sensitivity: str | None = None
    transcript_names: Sequence[str] | None = None
    transcript_terms: Sequence[str] | None = None

    @property
    def prompt(self) -> str:
        """Names, then terms, as a text that primes the engine; empty without any."""
        parts: list[str] = []
        left = _MAX_PROMPT_CHARACTERS
        for part in (*(self.transcript_names or ()), *(self.transcript_terms or ())):
            word = " ".join(part.split())
            left -= len(word) + 2
            if left < 0:
                break
            if word:
                parts.append(word)
        return ", ".join(parts)

    def changes(self, settings: Settings) -> dict[str, object]:
        """What this request changes in the settings of its session."""
        if not settings.wyoming_endpointing:
            return {}
        silence_s = _SILENCE_S.get(self.vad_sensitivity or "default", _SILENCE_S["default"])
        return {"post_speech_silence_duration": silence_s}

    def start(self, languages: LanguageSupport) -> Start:
        """The beginning of its session, without partials; a language that the model does not have is left out."""
        try:
            language = languages.choose(self.language) if self.language else None
        except LanguageUnavailable:
            language = None
        return Start(language=language or UNSET, prompt=self.prompt or UNSET, interim=False)


class Detect(msgspec.Struct, frozen=True, kw_only=True):
    """A request to detect wake words in the audio that follows; `names` chooses some of them."""

    names: Sequence[str] | None = None
