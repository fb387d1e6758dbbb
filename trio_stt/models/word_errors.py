"""Word error rates of the catalogue's models, as others published them. Data only: nothing here was measured by us.

The files of the catalogue are often quantized, which costs some tenths of a point.
"""

from dataclasses import dataclass

from trio_stt.models.spec import ModelSpec

LEADERBOARD = "Open ASR Leaderboard"
"""Mean of eight English test sets: AMI, Earnings-22, GigaSpeech, LibriSpeech clean and other, SPGISpeech, TED-LIUM,
VoxPopuli."""
FLEURS = "FLEURS"
"""Read sentences in many languages, without punctuation and capitals."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """A published word error rate.

    Attributes:
        percent: Words that are wrong, in percent of the words spoken.
        test: The test set.
        source: Where it was published.
    """

    percent: float
    test: str
    source: str


_LEADERBOARD_PAPER = "https://arxiv.org/abs/2510.06961 and hf-audio/open_asr_leaderboard, as of May 2026"
_MOONSHINE_README = "README of usefulsensors/moonshine"
_PARAKEET_V3_CARD = "https://huggingface.co/nvidia/parakeet-tdt-0.6b-v3"
_PARAKEET_V3 = "nvidia/parakeet-tdt-0.6b-v3"

_ENGLISH = {
    "CohereLabs/cohere-transcribe-03-2026": WordErrors(5.42, LEADERBOARD, _LEADERBOARD_PAPER),
    "nvidia/parakeet-tdt-0.6b-v2": WordErrors(6.05, LEADERBOARD, _LEADERBOARD_PAPER),
    _PARAKEET_V3: WordErrors(6.34, LEADERBOARD, _PARAKEET_V3_CARD),
    "large-v3": WordErrors(7.44, LEADERBOARD, _LEADERBOARD_PAPER),
    "large-v3-turbo": WordErrors(7.75, LEADERBOARD, _LEADERBOARD_PAPER),
    "small.en": WordErrors(8.59, LEADERBOARD, _LEADERBOARD_PAPER),
    "sherpa-onnx-moonshine-base-en-int8": WordErrors(10.07, LEADERBOARD, _MOONSHINE_README),
    "sherpa-onnx-moonshine-base-en-quantized-2026-02-27": WordErrors(10.07, LEADERBOARD, _MOONSHINE_README),
    "base.en": WordErrors(10.32, LEADERBOARD, _MOONSHINE_README),
    "sherpa-onnx-moonshine-tiny-en-int8": WordErrors(12.66, LEADERBOARD, _MOONSHINE_README),
    "moonshine-tiny-en": WordErrors(12.66, LEADERBOARD, _MOONSHINE_README),
    "tiny.en": WordErrors(12.81, LEADERBOARD, _MOONSHINE_README),
}
"""By name of the model, whichever engine runs it."""

_FLEURS_OF_PARAKEET_V3 = {
    "bg": 12.64,
    "cs": 11.01,
    "da": 18.41,
    "de": 5.04,
    "el": 20.70,
    "es": 3.45,
    "et": 17.73,
    "fi": 13.21,
    "fr": 5.15,
    "hr": 12.46,
    "hu": 15.72,
    "it": 3.00,
    "lt": 20.35,
    "lv": 22.84,
    "mt": 20.46,
    "nl": 7.48,
    "pl": 7.31,
    "pt": 4.76,
    "ro": 12.44,
    "ru": 5.51,
    "sk": 8.82,
    "sl": 24.03,
    "sv": 15.08,
    "uk": 6.79,
}


def word_errors(entry: ModelSpec, language: str) -> WordErrors | None:
    """The published word error rate of a model in a language, or None if none is known here."""
    if language == "en":
        return _ENGLISH.get(entry.name)
    if entry.name == _PARAKEET_V3 and language in _FLEURS_OF_PARAKEET_V3:
        return WordErrors(_FLEURS_OF_PARAKEET_V3[language], FLEURS, _PARAKEET_V3_CARD)
    return None
