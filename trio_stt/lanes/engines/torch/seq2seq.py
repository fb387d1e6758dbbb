"""The protocol of a checkpoint family, and the families that generate text freely: Moonshine, Granite Speech, others.

It owns what they are fed and how their output is read; `ctc_transducer`, `whisper` and `prompted` do so for other
families. It must not import torch or Transformers: an opened checkpoint brings them along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, Times, Transcript
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint

Clip = NDArray[np.float32]

FAMILY_OPTIONS = ("generate", "timestamps", "prompt", "include_language_in_prompt", "punctuation")
"""Options that only some families use; the others refuse them."""

DEFAULT_NEW_TOKENS = 256
"""Tokens that a clip may become if neither the checkpoint nor the user sets a limit. Source: the reference server."""

_TOKENS_PER_S = 6.5
"""Tokens per second of audio. Moonshine repeats itself when it may write more. Source: the model's card."""


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


class CheckpointFamily(Protocol):
    """An opened checkpoint, with the knowledge of what it is fed."""

    @property
    def supports_batching(self) -> bool:
        """Whether clips of different lengths can share a batch without changing each other's words."""

    @property
    def options(self) -> frozenset[str]:
        """Those of `FAMILY_OPTIONS` that it uses."""

    @property
    def prompt(self) -> bool:
        """Whether it takes `Hints.prompt`."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that can be chosen; empty if the model decides alone."""

    @property
    def times(self) -> Times:
        """What it gives times of."""

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """Transcribe clips; one at a time unless `supports_batching`.

        Args:
            clips: float32, shape (n,), 16 kHz, long enough for any encoder.
            durations_s: How long each was before it was padded.
            hints: How they are to be transcribed.
        """


class Seq2SeqFamily:
    """Any model that turns features into a sequence of tokens without further input, such as Moonshine."""

    options = frozenset({"generate"})
    prompt = False
    languages: tuple[str, ...] = ()
    times: Times = "none"

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        self._model = checkpoint.model
        self._processor = checkpoint.processor
        self._generate = {"num_beams": decode_options.beam_size, "do_sample": False} | dict(decode_options.generate)
        self._limited = not {"max_length", "max_new_tokens"}.isdisjoint(decode_options.generate)
        self._rated = self._model.config.model_type.startswith("moonshine")

    @property
    def supports_batching(self) -> bool:
        """No: their encoders mix neighbours in time, including the padding."""
        return False

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; ignores hints."""
        del hints
        features = self._processor(list(clips), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        limit = {} if self._limited else {"max_new_tokens": self._new_tokens(max(durations_s))}
        ids = self._model.generate(
            **features.to(self._model.device, dtype=self._model.dtype), **limit, **self._generate
        )
        return [Transcript(text=" ".join(text.split())) for text in _decoded(self._processor, ids)]

    def _new_tokens(self, duration_s: float) -> int:
        return max(1, int(duration_s * _TOKENS_PER_S)) if self._rated else DEFAULT_NEW_TOKENS


class GraniteFamily:
    """Granite Speech: a language model that is instructed in its own chat format to transcribe the audio."""

    options = frozenset({"generate", "prompt", "include_language_in_prompt"})
    prompt = True
    languages: tuple[str, ...] = ()
    times: Times = "none"

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        self._model = checkpoint.model
        self._processor = checkpoint.processor
        self._language = decode_options.language
        self._prompt = decode_options.prompt
        if decode_options.name_language and decode_options.language:
            self._prompt += f" The language is {decode_options.language}."
        defaults = {"max_new_tokens": 200, "do_sample": False, "num_beams": decode_options.beam_size}
        self._generate = defaults | dict(decode_options.generate)

    @property
    def supports_batching(self) -> bool:
        """No: its encoder has no mask."""
        return False

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt follows the instruction as context."""
        del durations_s
        (clip,) = clips
        instruction = f"{self._processor.audio_token}{self._prompt}"
        if hints.prompt:
            instruction += f" Context: {hints.prompt}"
        chat = self._processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": instruction}], tokenize=False, add_generation_prompt=True
        )
        features = self._processor([chat], [clip], device=str(self._model.device), return_tensors="pt")
        features = features.to(self._model.device, dtype=self._model.dtype)
        ids = self._model.generate(**features, **self._generate)
        answer = ids[:, features["input_ids"].shape[-1] :]
        return [Transcript(text=" ".join(text.split())) for text in _decoded(self._processor, answer)]


def _decoded(processor: Any, ids: Any) -> list[str]:
    texts: list[str] = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return texts
