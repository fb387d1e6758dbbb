"""The checkpoint families that generate text freely: Moonshine and its like, Granite Speech, Cohere and Qwen3-ASR.

It must not import torch or Transformers: an opened checkpoint brings them along.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trio_stt.errors import SettingError, first_line
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, Transcript
from trio_stt.lanes.engines.common import Clip
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.torch.family import CheckpointFamily, DecodeOptions
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint
from trio_stt.languages import language_code
from trio_stt.models.model_languages import COHERE, QWEN3

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
        language = language_code(decode_options.language or "") or None
        named = decode_options.name_language
        self.languages = LanguageSupport(
            loaded=language if named else None, assumed=language, per_request=named, detects=True
        )

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt follows the instruction as context."""
        del durations_s
        (clip,) = clips
        instruction = f"{self._processor.audio_token}{self._prompt}"
        if language := self.languages.of_request(hints.language):
            instruction += f" The language is {language}."
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
        self._punctuation = decode_options.punctuation
        language = language_code(decode_options.language or "")
        if not language:
            raise SettingError(f"engine {checkpoint.engine}: Cohere Transcribe needs a language")
        self.languages = LanguageSupport(known=COHERE, loaded=language, per_request=True)
        try:
            self._processor.get_decoder_prompt_ids(language=language, punctuation=self._punctuation)
        except ValueError as error:
            raise _unknown_language(checkpoint, decode_options, error) from None

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the processor cuts a clip that is too long, and joins the texts."""
        del durations_s
        language = self.languages.of_request(hints.language)
        features = self._processor(
            list(clips), sampling_rate=SAMPLE_RATE_HZ, language=language, punctuation=self._punctuation
        )
        cuts = features.pop("audio_chunk_index", None)
        features = self._moved(features)
        ids = self._model.generate(**features, **self._generate)
        texts = self._processor.decode(
            ids[:, features["decoder_input_ids"].shape[-1] :],
            skip_special_tokens=True,
            audio_chunk_index=cuts,
            language=language,
        )
        return _transcripts(texts, language=language)


class Qwen3Family(CheckpointFamily):
    """Qwen3-ASR: a language model with a chat format of its own; it detects the language unless one is given."""

    prompt = True

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, _arguments(decode_options, new_tokens=DEFAULT_NEW_TOKENS))
        language = language_code(decode_options.language or "") or None
        self.languages = LanguageSupport(known=QWEN3, loaded=language, per_request=True, detects=True)
        try:
            self._processor.apply_transcription_request(np.zeros(1, np.float32), language=language, tokenize=False)
        except ValueError as error:
            raise _unknown_language(checkpoint, decode_options, error) from None

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt becomes the context of its chat."""
        del durations_s
        (clip,) = clips
        features = self._moved(
            self._processor.apply_transcription_request(
                clip, language=self.languages.of_request(hints.language), prompt=hints.prompt
            )
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
