"""How Whisper is fed through Transformers: windows of 30 s, its language, its prompt, and its rule for silence.

It must not import trio, torch or Transformers: an opened checkpoint brings them along.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Hints, TimedText, Times, Transcript
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint
from trio_stt.lanes.engines.torch.seq2seq import Clip, DecodeOptions
from trio_stt.lanes.engines.whisper.windows import WINDOW_S

_LANGUAGE_OF_ENGLISH_MODELS = "en"

_SILENCE = {"no_speech_threshold": 0.6, "logprob_threshold": -1.0, "temperature": 0.0}
"""Whisper's own rule: a window whose no-speech probability is above the first, and whose mean log probability is below
the second, holds no words. Source: the defaults of openai-whisper's `transcribe`."""


class Whisper:
    """A Whisper checkpoint; a clip longer than a window is decoded alone, window after window, by its own times."""

    options = frozenset({"generate", "timestamps"})
    prompt = True

    def __init__(self, checkpoint: Checkpoint, decode_options: DecodeOptions) -> None:
        self._model = checkpoint.model
        self._processor = checkpoint.processor
        self._timestamps = decode_options.timestamps
        self._generate = {"num_beams": decode_options.beam_size} | dict(decode_options.generate)
        config = self._model.generation_config
        self._codes: dict[int, str] = {}
        if getattr(config, "is_multilingual", False):
            self._codes = {number: token.strip("<|>") for token, number in config.lang_to_id.items()}
        self._language = _language(decode_options.language, list(self._codes.values()))
        self.languages = tuple(sorted(self._codes.values())) or (_LANGUAGE_OF_ENGLISH_MODELS,)
        self.times: Times = "segments" if decode_options.timestamps else "none"
        self._silence = _SILENCE if getattr(config, "no_timestamps_token_id", None) else {}

    @property
    def together(self) -> bool:
        """Every clip is filled up to a window, whoever is beside it."""
        return True

    def hear(self, clips: Sequence[Clip], durations_s: Sequence[float], hints: Hints) -> list[Transcript]:
        """See `Family.hear`; the prompt primes each clip."""
        if len(clips) > 1 and any(clip.size > WINDOW_S * SAMPLE_RATE_HZ for clip in clips):
            return [
                self.hear([clip], [duration_s], hints)[0] for clip, duration_s in zip(clips, durations_s, strict=True)
            ]
        long = clips[0].size > WINDOW_S * SAMPLE_RATE_HZ
        features = self._processor.feature_extractor(
            list(clips),
            sampling_rate=SAMPLE_RATE_HZ,
            return_tensors="pt",
            return_attention_mask=True,
            truncation=not long,
            padding="longest" if long else "max_length",
        ).to(self._model.device, dtype=self._model.dtype)
        languages = self._languages(features["input_features"])
        told: dict[str, Any] = {"language": languages, "task": "transcribe"} if self._codes else {}
        if hints.prompt:
            told["prompt_ids"] = self._processor.get_prompt_ids(hints.prompt, return_tensors="pt").to(
                self._model.device
            )
        timed = self._timestamps or long
        output = self._model.generate(
            **features,
            return_timestamps=timed,
            return_segments=True,
            **{**self._silence, **told, **self._generate},
        )
        return [
            Transcript(
                text=" ".join(" ".join(self._text(segment) for segment in segments).split()),
                language=language,
                segments=tuple(self._timed(segments, duration_s)) if timed else (),
            )
            for segments, language, duration_s in zip(output["segments"], languages, durations_s, strict=True)
        ]

    def _languages(self, features: Any) -> list[str]:
        """The language of each clip: the one that was told, or what the model finds."""
        if self._language is not None:
            return [self._language] * len(features)
        return [self._codes[number] for number in self._model.detect_language(features).tolist()]

    def _text(self, segment: Any) -> str:
        text: str = self._processor.tokenizer.decode(segment["tokens"], skip_special_tokens=True)
        return text.strip()

    def _timed(self, segments: Sequence[Any], duration_s: float) -> Iterator[TimedText]:
        for segment in segments:
            start_s, end_s = (min(float(segment[name]), duration_s) for name in ("start", "end"))
            if text := self._text(segment):
                yield TimedText(text=text, start_s=start_s, end_s=max(start_s, end_s))


def _language(wanted: str | None, known: Sequence[str]) -> str | None:
    """The language to decode in; None lets a multilingual model decide.

    Raises:
        SettingError: The model does not know it.
    """
    language = (wanted or "").strip().lower()
    if not known:
        if language not in ("", _LANGUAGE_OF_ENGLISH_MODELS):
            raise SettingError(f"language {wanted!r} needs a multilingual model; this one is English-only")
        return _LANGUAGE_OF_ENGLISH_MODELS
    if language and language not in known:
        raise SettingError(f"language {wanted!r} is unknown to the model")
    return language or None
