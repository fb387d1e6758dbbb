"""The answer to `describe`: what this server offers to Home Assistant. Pure.

Home Assistant offers the service only for pipelines in its languages, so no list of them may be empty.
"""

from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from trio_stt.api.wyoming.framing import encode
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.languages import KNOWN_CODES


class _Attribution(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    url: str


class _Artifact(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    attribution: _Attribution = _Attribution(name="trio-stt", url="https://pypi.org/project/trio-stt/")
    installed: bool = True
    description: str | None
    version: str | None


class _AsrModel(_Artifact, frozen=True, kw_only=True):
    languages: Sequence[str]


class _WakeModel(_AsrModel, frozen=True, kw_only=True):
    phrase: str


class _AsrProgram(_Artifact, frozen=True, kw_only=True):
    models: Sequence[_AsrModel]
    supports_transcript_streaming: bool = True
    requires_external_vad: bool
    prefers_auto_gain_enabled: bool = True
    prefers_noise_reduction_enabled: bool = True


class _WakeProgram(_Artifact, frozen=True, kw_only=True):
    models: Sequence[_WakeModel]


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    asr: Sequence[_AsrProgram]
    wake: Sequence[_WakeProgram]
    tts: Sequence[object] = ()
    handle: Sequence[object] = ()
    intent: Sequence[object] = ()
    mic: Sequence[object] = ()
    snd: Sequence[object] = ()


def offered_languages(languages: LanguageSupport) -> Sequence[str]:
    """Codes of the languages that a client may ask for; all, where nothing is known of the model."""
    if languages.in_force and not languages.per_request:
        return [languages.in_force]
    return languages.known or KNOWN_CODES


def info(*, model: str, languages: Sequence[str], wake_words: Sequence[str], endpointing: bool) -> bytes:
    """The event.

    Args:
        model: Name of the model for finals.
        languages: Codes of the languages that a client may ask for.
        wake_words: Those that the server detects.
        endpointing: Whether the server decides where a command ends.
    """
    asr = _AsrProgram(
        name="trio-stt",
        description="Speech-to-text server",
        version=version("trio-stt"),
        models=[_AsrModel(name=model, description=model, version=None, languages=languages)],
        requires_external_vad=not endpointing,
    )
    wake = _WakeProgram(
        name="trio-stt",
        description="Wake words",
        version=version("trio-stt"),
        models=[
            _WakeModel(name=word, description=word, version=None, languages=["en"], phrase=word) for word in wake_words
        ],
    )
    return encode("info", _Info(asr=[asr], wake=[wake] if wake_words else []))
