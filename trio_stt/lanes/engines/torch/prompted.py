"""The checkpoint families with a prompt format of their own: Cohere Transcribe and Qwen3-ASR.

It owns what they are fed and how their output is read. It must not import torch or Transformers: an opened checkpoint
brings them along.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trio_stt.errors import SettingError, first_line
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, Times, Transcript
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint
from trio_stt.lanes.engines.torch.seq2seq import DEFAULT_NEW_TOKENS, Clip, DecodeOptions


class CohereFamily:
    """Cohere Transcribe: needs a language, and takes no prompt."""

    options = frozenset({"generate", "punctuation"})
    prompt = False
    languages: tuple[str, ...] = ()
    times: Times = "none"

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        self._model = checkpoint.model
        self._processor = checkpoint.processor
        self._prompt_options = {
            "language": (decode_options.language or "").strip().lower(),
            "punctuation": decode_options.punctuation,
        }
        if not self._prompt_options["language"]:
            raise SettingError(f"engine {checkpoint.engine}: Cohere Transcribe needs a language")
        try:
            self._processor.get_decoder_prompt_ids(**self._prompt_options)
        except ValueError as error:
            raise _unknown_language(checkpoint, decode_options, error) from None
        self._generate = _defaults(decode_options)

    @property
    def supports_batching(self) -> bool:
        """No: whether clips of a batch change each other was not measured."""
        return False

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the processor cuts a clip that is too long, and joins the texts."""
        del durations_s, hints
        features = self._processor(list(clips), sampling_rate=SAMPLE_RATE_HZ, **self._prompt_options)
        cuts = features.pop("audio_chunk_index", None)
        features = features.to(self._model.device, dtype=self._model.dtype)
        ids = self._model.generate(**features, **self._generate)
        language = self._prompt_options["language"]
        texts = self._processor.decode(
            ids[:, features["decoder_input_ids"].shape[-1] :],
            skip_special_tokens=True,
            audio_chunk_index=cuts,
            language=language,
        )
        return [Transcript(text=" ".join(text.split()), language=str(language)) for text in texts]


class Qwen3Family:
    """Qwen3-ASR: a language model with a chat format of its own; it detects the language unless one is given."""

    options = frozenset({"generate"})
    prompt = True
    languages: tuple[str, ...] = ()
    times: Times = "none"

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        self._model = checkpoint.model
        self._processor = checkpoint.processor
        self._language = (decode_options.language or "").strip() or None
        try:
            self._processor.apply_transcription_request(
                np.zeros(1, np.float32), language=self._language, tokenize=False
            )
        except ValueError as error:
            raise _unknown_language(checkpoint, decode_options, error) from None
        self._generate = _defaults(decode_options)

    @property
    def supports_batching(self) -> bool:
        """No: whether clips of a batch change each other was not measured."""
        return False

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt becomes the context of its chat."""
        del durations_s
        (clip,) = clips
        features = self._processor.apply_transcription_request(clip, language=self._language, prompt=hints.prompt)
        features = features.to(self._model.device, dtype=self._model.dtype)
        ids = self._model.generate(**features, **self._generate)
        answers = self._processor.decode(ids[:, features["input_ids"].shape[-1] :], return_format="transcription_only")
        return [Transcript(text=" ".join(answer.split())) for answer in answers]


def _unknown_language(checkpoint: Checkpoint, decode_options: DecodeOptions, error: ValueError) -> SettingError:
    return SettingError(
        f"engine {checkpoint.engine}: language {decode_options.language!r} is unknown to {checkpoint.name}:"
        f" {first_line(error)}"
    )


def _defaults(decode_options: DecodeOptions) -> dict[str, Any]:
    defaults = {"max_new_tokens": DEFAULT_NEW_TOKENS, "do_sample": False, "num_beams": decode_options.beam_size}
    return defaults | dict(decode_options.generate)
