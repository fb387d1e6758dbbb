"""All models that can be downloaded, and the search for one by name. It downloads nothing."""

from trio_stt.errors import ModelError
from trio_stt.models.sherpa_releases import SHERPA_RELEASES, STREAMING_MODELS
from trio_stt.models.spec import ModelSpec
from trio_stt.models.turn_models import SMART_TURN
from trio_stt.models.wake_word_models import OPENWAKEWORD
from trio_stt.models.whisper_ct2 import WHISPER_CT2
from trio_stt.models.whisper_ggml import WHISPER_GGML
from trio_stt.runtime.similar import did_you_mean

NOT_ENGINES: tuple[ModelSpec, ...] = (OPENWAKEWORD, SMART_TURN)
"""Models that transcribe nothing: for wake words, and for the end of a turn."""

ENTRIES: tuple[ModelSpec, ...] = (*SHERPA_RELEASES, *STREAMING_MODELS, *WHISPER_GGML, *WHISPER_CT2, *NOT_ENGINES)

FIRST_CHOICES = {
    ("sherpa_onnx_parakeet", "nvidia/parakeet-tdt-0.6b-v3"): "25 European languages",
    ("funasr", "iic/SenseVoiceSmall"): "Chinese, Cantonese, Japanese, Korean",
    ("faster_whisper", "small"): "99 languages",
    ("sherpa_onnx_moonshine", "moonshine-tiny-en"): "English",
}
"""Engine and name of the models to try first, and for which languages. The first that has a language is the best for it
that a few CPU cores run live: Parakeet's published rates are lower than those of any Whisper model of its cost.
Moonshine is the fastest, and the default for English."""


def find(engine: str, name: str) -> ModelSpec | None:
    """The model of an engine with this name, or None.

    Args:
        engine: Canonical engine name.
        name: Value of `--model`.
    """
    return next((entry for entry in ENTRIES if entry.engine == engine and name in entry.names), None)


def languages_of(engine: str, *names: str) -> tuple[str, ...]:
    """Codes of the languages of a model by its names, or that of its file or folder; empty if they are not known."""
    return next(
        (
            entry.languages
            for entry in ENTRIES
            if entry.engine == engine and not {*entry.names, entry.place}.isdisjoint(names)
        ),
        (),
    )


def choose(name: str, *, engine: str | None = None) -> ModelSpec:
    """The one model with this name, of one engine or of all.

    Raises:
        ModelError: No model has this name, or models of several engines do.
    """
    found = [entry for entry in ENTRIES if name in entry.names and engine in (None, entry.engine)]
    if not found:
        of_engine = f" of {engine}" if engine else ""
        known = [other for entry in ENTRIES if engine in (None, entry.engine) for other in entry.names]
        similar = did_you_mean(name, known) or ";"
        raise ModelError(
            f"the catalogue has no model {name!r}{of_engine}{similar} `trio-stt models list` shows what it has"
        )
    if len(found) > 1:
        engines = " and of ".join(entry.engine for entry in found)
        raise ModelError(f"{name} is a model of {engines}; choose one with --engine")
    return found[0]
