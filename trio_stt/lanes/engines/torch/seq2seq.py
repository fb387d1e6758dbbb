"""What a family of checkpoints for Transformers is, and those that write freely: Moonshine, Granite Speech, others.

It owns how they are fed and how their answers are read; `transformers_frames`, `transformers_whisper` and
`transformers_asked` do so for other families. It must not import trio, torch or Transformers: an opened checkpoint
brings them along.
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
"""Options that only some families take."""

DEFAULT_NEW_TOKENS = 256
"""Where neither checkpoint nor user says how many tokens a clip may become: what the reference server takes."""

_TOKENS_PER_S = 6.5
"""Moonshine repeats itself when it may write more than this. Source: the model's card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """What the user asked of a model, as far as a family takes it.

    Attributes:
        language: Language code, or None to let the model decide.
        beam_size: Beam width, at least 1.
        timestamps: Ask Whisper for times, which cost it more tokens.
        generate: Further arguments of `generate`; they win.
        prompt: Granite's instruction.
        name_language: Tell Granite the language, too.
        punctuation: Whether Cohere Transcribe shall write it.
    """

    language: str | None = None
    beam_size: int = 1
    timestamps: bool = False
    generate: Mapping[str, object] = field(default_factory=dict)
    prompt: str = ""
    name_language: bool = False
    punctuation: bool = True


class Family(Protocol):
    """An opened checkpoint that knows how it is fed."""

    @property
    def together(self) -> bool:
        """Whether clips of different lengths may share a batch without changing each other's words."""

    @property
    def options(self) -> frozenset[str]:
        """Those of `FAMILY_OPTIONS` that make a difference to it."""

    @property
    def prompt(self) -> bool:
        """Whether it takes `Hints.prompt`."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that can be asked of it; empty where that is the model's own affair."""

    @property
    def times(self) -> Times:
        """What it gives times of."""

    def hear(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """Transcribe clips; with one only unless `together`.

        Args:
            clips: float32, shape (n,), 16 kHz, long enough for any encoder.
            durations_s: How long each was before it was filled up.
            hints: How they are to be heard.
        """


class Sequences:
    """A model that turns features into a sequence of tokens and needs to be told nothing else, such as Moonshine."""

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
    def together(self) -> bool:
        """Their encoders mix neighbours in time, padding included."""
        return False

    def hear(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `Family.hear`; hints mean nothing here."""
        del hints
        features = self._processor(list(clips), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        limit = {} if self._limited else {"max_new_tokens": self._new_tokens(max(durations_s))}
        ids = self._model.generate(
            **features.to(self._model.device, dtype=self._model.dtype), **limit, **self._generate
        )
        return [Transcript(text=" ".join(text.split())) for text in _decoded(self._processor, ids)]

    def _new_tokens(self, duration_s: float) -> int:
        return max(1, int(duration_s * _TOKENS_PER_S)) if self._rated else DEFAULT_NEW_TOKENS


class Granite:
    """Granite Speech: a language model that is asked in its own chat to write down what it hears."""

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
    def together(self) -> bool:
        """Its encoder has no mask."""
        return False

    def hear(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `Family.hear`; the prompt follows the instruction as context."""
        del durations_s
        (clip,) = clips
        question = f"{self._processor.audio_token}{self._prompt}"
        if hints.prompt:
            question += f" Context: {hints.prompt}"
        chat = self._processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        features = self._processor([chat], [clip], device=str(self._model.device), return_tensors="pt")
        features = features.to(self._model.device, dtype=self._model.dtype)
        ids = self._model.generate(**features, **self._generate)
        answer = ids[:, features["input_ids"].shape[-1] :]
        return [Transcript(text=" ".join(text.split())) for text in _decoded(self._processor, answer)]


def _decoded(processor: Any, ids: Any) -> list[str]:
    texts: list[str] = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return texts
