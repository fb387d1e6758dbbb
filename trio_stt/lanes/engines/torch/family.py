"""Base of the checkpoint families: what a checkpoint is fed, and how its output is read.

`generative`, `ctc_transducer` and `whisper` hold the families. None of them may import torch or Transformers: an opened
checkpoint brings them along.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trio_stt.lanes.engines.base import Hints, Times, Transcript
from trio_stt.lanes.engines.common import Clip
from trio_stt.lanes.engines.language_support import UNKNOWN_LANGUAGES
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint

FAMILY_OPTIONS = ("generate", "timestamps", "prompt", "include_language_in_prompt", "punctuation")
"""Options that only some families use; the others refuse them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How a model is to decode, as far as its family can.

    Attributes:
        language: Language code, or None to let the model decide.
        beam_size: Beam width, at least 1.
        timestamps: Whether Whisper gives times, which cost more tokens.
        generate: Further arguments of `generate`, which win over ours.
        prompt: Granite's instruction.
        name_language: Whether Granite's instruction names the language.
        punctuation: Whether Cohere Transcribe writes punctuation.
    """

    language: str | None = None
    beam_size: int = 1
    timestamps: bool = False
    generate: Mapping[str, object] = field(default_factory=dict)
    prompt: str = ""
    name_language: bool = False
    punctuation: bool = True


class CheckpointFamily(ABC):
    """An opened checkpoint, with the knowledge of what it is fed.

    Attributes:
        options: Those of `FAMILY_OPTIONS` that it uses.
        prompt: Whether it takes `Hints.prompt`.
        languages: The languages that it transcribes, and what a request may choose of them.
        times: What it gives times of.
        translates: Whether it follows `Hints.translate`.
        supports_batching: Whether clips of different lengths can share a batch without changing each other's words. Off
            where an encoder mixes neighbours in time, including the padding, and where it was not measured.
    """

    options: frozenset[str] = frozenset({"generate"})
    prompt = False
    languages = UNKNOWN_LANGUAGES
    times: Times = "none"
    translates = False
    supports_batching = False

    def __init__(self, checkpoint: Checkpoint, generate: Mapping[str, object]) -> None:
        """Keep the checkpoint, and the arguments of its method `generate`."""
        self._model = checkpoint.model
        self._processor = checkpoint.processor
        self._generate = generate

    @abstractmethod
    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """Transcribe clips; one at a time unless `supports_batching`.

        Args:
            clips: float32, shape (n,), 16 kHz, long enough for any encoder.
            durations_s: How long each was before it was padded.
            hints: How they are to be transcribed.
        """

    def _moved(self, features: Any) -> Any:
        """Features on the model's device, in its precision."""
        return features.to(self._model.device, dtype=self._model.dtype)
