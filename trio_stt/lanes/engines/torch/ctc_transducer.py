"""The checkpoint families whose tokens lie on the encoder's frames, and so have times: CTC models and transducers.

It owns what they are fed and how their output is decoded, greedily. It must not import torch or Transformers: an opened
checkpoint brings them along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Any

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, Transcript
from trio_stt.lanes.engines.common import Clip
from trio_stt.lanes.engines.torch.family import CheckpointFamily, DecodeOptions
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint
from trio_stt.lanes.engines.word_times import words

_FRAME_MASKS = ("_get_output_attention_mask", "_get_feature_vector_attention_mask")
"""Methods that say which frames belong to a clip and which to its padding. Models have no public name for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """Tokens with times in the form that `words` reads: a space before each that begins a word, times in seconds."""

    tokens: Sequence[str]
    timestamps: Sequence[float]
    durations: Sequence[float]


class _FrameSynchronous(CheckpointFamily):
    """What CTC models and transducers share: features with a mask, and tokens that lie on frames."""

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, decode_options.generate)
        self._tokenizer = checkpoint.processor.tokenizer
        self._frame_s = _frame_s(checkpoint)
        self.times = "none" if self._frame_s is None else "words"
        extractor = checkpoint.processor.feature_extractor
        # The old Wav2Vec2 models were trained without a mask, so padding changes their output.
        self._masked = getattr(extractor, "return_attention_mask", True) is not False or "input_features" in (
            extractor.model_input_names
        )

    def _features(self, clips: Sequence[Clip]) -> Any:
        mask = {"return_attention_mask": True} if self._masked else {}
        features = self._processor(list(clips), sampling_rate=SAMPLE_RATE_HZ, padding=True, return_tensors="pt", **mask)
        return self._moved(features)

    def _frame_counts(self, mask: Any, frames: int) -> list[int]:
        """How many of the model's frames belong to each clip of a batch."""
        if hasattr(self._model, _FRAME_MASKS[0]):
            reaching = self._model._get_output_attention_mask(mask, target_length=frames)  # noqa: SLF001 - see `_FRAME_MASKS`
        else:
            reaching = self._model._get_feature_vector_attention_mask(frames, mask)  # noqa: SLF001 - see `_FRAME_MASKS`
        counts: list[int] = reaching.sum(-1).tolist()
        return counts

    def _transcript(self, placed: Sequence[tuple[int, int, int]], duration_s: float) -> Transcript:
        """Turn tokens, each with its first frame and the one after its last, into a transcript.

        `group_tokens` is off because a CTC tokenizer would join equal neighbours, which were separated already.
        """
        ids = [token for token, _, _ in placed]
        text = " ".join(self._tokenizer.decode(ids, skip_special_tokens=True, group_tokens=False).split())
        if self._frame_s is None:
            return Transcript(text=text)
        special = set(self._tokenizer.all_special_ids)
        delimiter = getattr(self._tokenizer, "word_delimiter_token", None)
        tokens: list[str] = []
        kept: list[tuple[int, int]] = []
        begins = True
        for token, start, end in placed:
            piece = self._tokenizer.convert_ids_to_tokens(token)
            if piece == delimiter:
                begins = True
            if piece == delimiter or token in special:
                continue
            spelled = piece.replace("▁", " ")
            tokens.append(f" {spelled.lstrip(' ')}" if begins else spelled)
            kept.append((start, end))
            begins = False
        timed = _Tokens(
            tokens=tokens,
            timestamps=[start * self._frame_s for start, _ in kept],
            durations=[(end - start) * self._frame_s for start, end in kept],
        )
        return Transcript(text=text, segments=words(timed, text=text, duration_s=duration_s))


class CtcFamily(_FrameSynchronous):
    """Any CTC model, read greedily: Wav2Vec2 and its relatives, Parakeet CTC."""

    options = frozenset[str]()

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, decode_options)
        self._blank = self._model.config.pad_token_id
        # Only if a mask reaches the model's frames.
        self.supports_batching = self._masked and any(hasattr(self._model, name) for name in _FRAME_MASKS)

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; ignores hints."""
        del hints
        features = self._features(clips)
        logits = self._model(**features).logits
        best = logits.argmax(dim=-1).cpu()
        frames = [best.shape[1]] * len(clips)
        if len(clips) > 1:
            frames = self._frame_counts(features["attention_mask"], best.shape[1])
        return [
            self._transcript(_runs(row[:count].tolist(), self._blank), duration_s)
            for row, count, duration_s in zip(best, frames, durations_s, strict=True)
        ]


class TransducerFamily(_FrameSynchronous):
    """Parakeet's transducers, with or without durations, read greedily."""

    supports_batching = True  # their features and encoders are masked

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; ignores hints."""
        del hints
        config = self._model.config
        features = self._features(clips)
        # Transformers would take the same limit, but with a warning.
        frames = ceil(features["input_features"].shape[1] / config.encoder_config.subsampling_factor)
        limit = {"max_new_tokens": config.max_symbols_per_step * frames}
        output = self._model.generate(**features, **{**limit, **self._generate})
        silent = {config.blank_token_id, config.pad_token_id}
        starts = (output.durations.cumsum(dim=-1) - output.durations).tolist()
        # Without durations, a step is 0 or 1 and says nothing about the token's length.
        timed = hasattr(config, "durations")
        transcripts: list[Transcript] = []
        ends = self._frame_counts(features["attention_mask"], frames)
        rows = zip(output.sequences.tolist(), starts, output.durations.tolist(), ends, durations_s, strict=True)
        for ids, firsts, lasts, end, duration_s in rows:
            placed = [
                (token, first, first + (max(1, last) if timed else 1))
                for token, first, last in zip(ids, firsts, lasts, strict=True)
                if token not in silent and first < end  # a clip produces tokens until the longest one ends
            ]
            transcripts.append(self._transcript(placed, duration_s))
        return transcripts


def _runs(ids: Sequence[int], blank: int) -> list[tuple[int, int, int]]:
    """Greedy CTC: equal neighbours are one token, blanks none. Returns (token, first frame, frame after its last)."""
    placed: list[tuple[int, int, int]] = []
    at = 0
    for token, run in groupby(ids):
        length = sum(1 for _ in run)
        if token != blank:
            placed.append((token, at, at + length))
        at += length
    return placed


def _frame_s(checkpoint: Checkpoint) -> float | None:
    """Duration of a frame of the encoder's output in seconds; None if the configuration does not say."""
    config = checkpoint.model.config
    ratio = getattr(config, "inputs_to_logits_ratio", None)
    if ratio is None:
        subsampling = getattr(getattr(config, "encoder_config", None), "subsampling_factor", None)
        hop = getattr(checkpoint.processor.feature_extractor, "hop_length", None)
        ratio = subsampling * hop if subsampling and hop else None
    return None if ratio is None else ratio / SAMPLE_RATE_HZ
