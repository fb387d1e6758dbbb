"""The checkpoint families that generate text freely: Moonshine and its like, Granite Speech, Cohere and Qwen3-ASR.

It must not import torch or Transformers: an opened checkpoint brings them along.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trio_stt.errors import SettingError, first_line
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, Transcript
from trio_stt.lanes.engines.common import Clip
from trio_stt.lanes.engines.torch.family import CheckpointFamily, DecodeOptions
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint

DEFAULT_NEW_TOKENS = 256
"""Tokens that a clip may become if neither the checkpoint nor the user sets a limit. Source: the reference server."""

_GRANITE_NEW_TOKENS = 200
"""The same for Granite Speech. Source: the reference server."""

_TOKENS_PER_S = 6.5
"""Tokens per second of audio. Moonshine repeats itself when it may write more. Source: the model's card."""


class Seq2SeqFamily(CheckpointFamily):
    """Any model that turns features into a sequence of tokens without further input, such as Moonshine."""

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, _arguments(decode_options))
        self._limited = not {"max_length", "max_new_tokens"}.isdisjoint(decode_options.generate)
        self._rated = self._model.config.model_type.startswith("moonshine")

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; ignores hints."""
        del hints
        features = self._processor(list(clips), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        limit = {} if self._limited else {"max_new_tokens": self._new_tokens(max(durations_s))}
        ids = self._model.generate(**self._moved(features), **limit, **self._generate)
        return _transcripts(self._processor.tokenizer.batch_decode(ids, skip_special_tokens=True))

    def _new_tokens(self, duration_s: float) -> int:
        return max(1, int(duration_s * _TOKENS_PER_S)) if self._rated else DEFAULT_NEW_TOKENS


class GraniteFamily(CheckpointFamily):
    """Granite Speech: a language model that is instructed in its own chat format to transcribe the audio."""

    options = frozenset({"generate", "prompt", "include_language_in_prompt"})
    prompt = True

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, _arguments(decode_options, new_tokens=_GRANITE_NEW_TOKENS))
        self._prompt = decode_options.prompt
        if decode_options.name_language and decode_options.language:
            self._prompt += f" The language is {decode_options.language}."

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt follows the instruction as context."""
        del durations_s
        (clip,) = clips
        instruction = f"{self._processor.audio_token}{self._prompt}"
        if hints.prompt:
            instruction += f" Context: {hints.prompt}"
        tokenizer = self._processor.tokenizer
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": instruction}], tokenize=False, add_generation_prompt=True
        )
        features = self._moved(self._processor([chat], [clip], device=str(self._model.device), return_tensors="pt"))
        ids = self._model.generate(**features, **self._generate)
        answer = ids[:, features["input_ids"].shape[-1] :]
        return _transcripts(tokenizer.batch_decode(answer, skip_special_tokens=True))


class CohereFamily(CheckpointFamily):
    """Cohere Transcribe: needs a language, and takes no prompt."""

    options = frozenset({"generate", "punctuation"})

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, _arguments(decode_options, new_tokens=DEFAULT_NEW_TOKENS))
        self._language = (decode_options.language or "").strip().lower()
        self._prompt_options = {"language": self._language, "punctuation": decode_options.punctuation}
        if not self._language:
            raise SettingError(f"engine {checkpoint.engine}: Cohere Transcribe needs a language")
        try:
            self._processor.get_decoder_prompt_ids(**self._prompt_options)
        except ValueError as error:
            raise _unknown_language(checkpoint, decode_options, error) from None

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the processor cuts a clip that is too long, and joins the texts."""
        del durations_s, hints
        features = self._processor(list(clips), sampling_rate=SAMPLE_RATE_HZ, **self._prompt_options)
        cuts = features.pop("audio_chunk_index", None)
        features = self._moved(features)
        ids = self._model.generate(**features, **self._generate)
        texts = self._processor.decode(
            ids[:, features["decoder_input_ids"].shape[-1] :],
            skip_special_tokens=True,
            audio_chunk_index=cuts,
            language=self._language,
        )
        return _transcripts(texts, language=self._language)


class Qwen3Family(CheckpointFamily):
    """Qwen3-ASR: a language model with a chat format of its own; it detects the language unless one is given."""

    prompt = True

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, _arguments(decode_options, new_tokens=DEFAULT_NEW_TOKENS))
        self._language = (decode_options.language or "").strip() or None
        try:
            self._processor.apply_transcription_request(
                np.zeros(1, np.float32), language=self._language, tokenize=False
            )
        except ValueError as error:
            raise _unknown_language(checkpoint, decode_options, error) from None

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt becomes the context of its chat."""
        del durations_s
        (clip,) = clips
        features = self._moved(
            self._processor.apply_transcription_request(clip, language=self._language, prompt=hints.prompt)
        )
        ids = self._model.generate(**features, **self._generate)
        answer = ids[:, features["input_ids"].shape[-1] :]
        return _transcripts(self._processor.decode(answer, return_format="transcription_only"))


def _arguments(decode_options: DecodeOptions, *, new_tokens: int | None = None) -> dict[str, Any]:
    """Arguments of `generate`; the user's win. Without `new_tokens` the caller adds the limit."""
    limit = {} if new_tokens is None else {"max_new_tokens": new_tokens}
    return {**limit, "do_sample": False, "num_beams": decode_options.beam_size, **decode_options.generate}


def _transcripts(texts: Sequence[str], *, language: str | None = None) -> list[Transcript]:
    return [Transcript(text=" ".join(text.split()), language=language) for text in texts]


def _unknown_language(checkpoint: Checkpoint, decode_options: DecodeOptions, error: ValueError) -> SettingError:
    return SettingError(
        f"engine {checkpoint.engine}: language {decode_options.language!r} is unknown to {checkpoint.name}:"
        f" {first_line(error)}"
    )
