"""The Whisper family for Transformers: windows of 30 s, language, prompt, and Whisper's rule for silence.

It must not import torch or Transformers: an opened checkpoint brings them along.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, TimedText, Transcript
from trio_stt.lanes.engines.common import Clip
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.selection import ENGLISH_ONLY, choose_language
from trio_stt.lanes.engines.torch.family import CheckpointFamily, DecodeOptions
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint
from trio_stt.lanes.engines.whisper.windows import LOG_PROBABILITY_THRESHOLD, NO_SPEECH_THRESHOLD, WINDOW_S
from trio_stt.lanes.engines.word_times import timed_text

_SILENCE = {
    "no_speech_threshold": NO_SPEECH_THRESHOLD,
    "logprob_threshold": LOG_PROBABILITY_THRESHOLD,
    "temperature": 0.0,  # decoded once, without a second attempt at another temperature
}
"""Arguments of `generate` for Whisper's rule for silence."""


class WhisperFamily(CheckpointFamily):
    """A Whisper checkpoint. A clip longer than a window is decoded alone, window after window, by its own times."""

    options = frozenset({"generate", "timestamps"})
    prompt = True
    supports_batching = True  # every clip is padded to a whole window, whatever else is in the batch

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        super().__init__(checkpoint, {"num_beams": decode_options.beam_size, **decode_options.generate})
        self._timestamps = decode_options.timestamps
        config = self._model.generation_config
        self._codes: dict[int, str] = {}
        if getattr(config, "is_multilingual", False):
            self._codes = {number: token.strip("<|>") for token, number in config.lang_to_id.items()}
        known = tuple(sorted(self._codes.values())) or ENGLISH_ONLY
        self.languages = LanguageSupport(
            known=known,
            loaded=choose_language(decode_options.language, known, engine=checkpoint.engine, model=checkpoint.name),
            per_request=bool(self._codes),
            detects=True,
        )
        self.translates = bool(self._codes)
        self.times = "segments" if decode_options.timestamps else "none"
        self._silence = _SILENCE if getattr(config, "no_timestamps_token_id", None) else {}

    def transcribe(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `CheckpointFamily.transcribe`; the prompt primes each clip."""
        if len(clips) > 1 and any(clip.size > WINDOW_S * SAMPLE_RATE_HZ for clip in clips):
            return [
                self.transcribe([clip], [duration_s], hints)[0]
                for clip, duration_s in zip(clips, durations_s, strict=True)
            ]
        long = clips[0].size > WINDOW_S * SAMPLE_RATE_HZ
        features = self._moved(
            self._processor.feature_extractor(
                list(clips),
                sampling_rate=SAMPLE_RATE_HZ,
                return_tensors="pt",
                return_attention_mask=True,
                truncation=not long,
                padding="longest" if long else "max_length",
            )
        )
        languages = self._languages(features["input_features"], self.languages.of_request(hints.language))
        task = "translate" if hints.translate else "transcribe"
        call: dict[str, Any] = {"language": languages, "task": task} if self._codes else {}
        if hints.prompt:
            call["prompt_ids"] = self._processor.get_prompt_ids(hints.prompt, return_tensors="pt").to(
                self._model.device
            )
        timed = self._timestamps or long
        output = self._model.generate(
            **features,
            return_timestamps=timed,
            return_segments=True,
            **{**self._silence, **call, **self._generate},
        )
        return [
            Transcript(
                text=" ".join(" ".join(self._text(segment) for segment in segments).split()),
                language=language,
                segments=tuple(self._timed(segments, duration_s)) if timed else (),
            )
            for segments, language, duration_s in zip(output["segments"], languages, durations_s, strict=True)
        ]

    def _languages(self, features: Any, language: str | None) -> list[str]:
        """The language of each clip: the given one, or the one that the model detects."""
        if language is not None:
            return [language] * len(features)
        return [self._codes[number] for number in self._model.detect_language(features).tolist()]

    def _text(self, segment: Any) -> str:
        text: str = self._processor.tokenizer.decode(segment["tokens"], skip_special_tokens=True)
        return text.strip()

    def _timed(self, segments: Sequence[Any], duration_s: float) -> Iterator[TimedText]:
        for segment in segments:
            if text := self._text(segment):
                yield timed_text(text, float(segment["start"]), float(segment["end"]), duration_s=duration_s)
