"""The engine protocol: what a lane needs of a recogniser, and the frozen data that passes between them.

It must not import a speech library, trio or threading: the adapters import the library, the lane owns the threads. An
engine is created, used and closed on one OS thread, which its lane owns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trio_stt.lanes.engines.language_support import UNKNOWN_LANGUAGES, LanguageSupport
from trio_stt.speech.sound_tags import pieces_without_sound_tags, without_sound_tags

SAMPLE_RATE_HZ = 16_000
"""Every engine receives mono audio at this rate, in Hz."""

Times = Literal["none", "segments", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """The settings of one lane's engine.

    Attributes:
        engine: Canonical engine name, as the registry spells it.
        model: Model name or path; empty for the engine's default.
        language: Two-letter language code, or None to let the model decide.
        download_root: Folder in which relative model names are looked up, or None.
        device: `auto`, `cpu` or `cuda`.
        gpu_device_index: Which CUDA device, counted from 0; ignored without CUDA.
        compute_type: Precision, as CTranslate2 names it (`default`, `int8`, `float16` ...); an engine may not have all.
        beam_size: Beam width, at least 1; engines without beam search ignore it.
        normalize_audio: Scale each clip's peak to 0.95 before inference.
        num_threads: CPU threads that one inference may use, at least 1.
        num_workers: Threads that may call `Engine.transcribe` at the same time, at least 1; more only for engines that
            the registry calls shared.
        offline: Use only models that are on this machine; others raise `ModelMissing`.
        options: The engine's own options, as the user gave them.
    """

    engine: str
    model: str = ""
    language: str | None = "en"
    download_root: Path | None = None
    device: str = "auto"
    gpu_device_index: int = 0
    compute_type: str = "default"
    beam_size: int = 1
    normalize_audio: bool = False
    num_threads: int = 1
    num_workers: int = 1
    offline: bool = False
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What was loaded, for people: shown at start-up and in `/health`.

    Attributes:
        engine: Canonical engine name.
        model: Name or folder of the loaded model.
        device: Where it runs, `cpu`, `cuda` or `remote`.
        max_batch: Clips that are worth a batch; 1 if a batch only delays its first clip.
        notice: One line that a user should see, such as a fallback, or None.
        streaming: Whether it transcribes an utterance incrementally, see `StreamingEngine`; else whole clips.
        devices: Where it could run here.
        languages: The languages that it transcribes, and what a request may choose of them.
        prompt: Whether it takes `Hints.prompt`.
        times: What it gives times of.
        translates: Whether it translates to English where `Hints.translate` asks for it.
    """

    engine: str
    model: str
    device: str
    max_batch: int = 1
    notice: str | None = None
    streaming: bool = False
    devices: tuple[str, ...] = ("cpu",)
    languages: LanguageSupport = UNKNOWN_LANGUAGES
    prompt: bool = False
    times: Times = "none"
    translates: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """How one session wants its clips transcribed; an engine ignores what it does not have.

    Attributes:
        language: A code that `LanguageSupport.choose` returned, `auto` to detect it; None for the loaded language.
        prompt: Text that primes the model, or None. Never a transcript: no clip may influence another.
        vad_filter: The engine's own speech detector removes silence before the model sees the clip.
        translate: Translate to English, where `EngineInfo.translates`.
    """

    language: str | None = None
    prompt: str | None = None
    vad_filter: bool = False
    translate: bool = False


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class StreamKey:
    """Identity of an utterance that a streaming engine transcribes incrementally; no two are equal.

    The engine frees the state of the utterance when this object is garbage-collected.
    """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One clip for an engine.

    Attributes:
        samples: float32, shape (n,), mono, 16 kHz, range -1 to 1.
        hints: How it is to be transcribed.
        utterance: The utterance that the clip holds from its first sample on; None for a clip of its own.
        ends: Whether the utterance ends with this clip.
    """

    samples: NDArray[np.float32]
    hints: Hints = NO_HINTS
    utterance: StreamKey | None = None
    ends: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedText:
    """A word or phrase of a transcript, with its place in the clip.

    Attributes:
        text: Its words, stripped, not empty.
        start_s: Its start, in seconds from the clip's first sample.
        end_s: Its end, likewise.
        confidence: Probability, 0 to 1: the geometric mean over its tokens, or the model's own figure; None if the
            model gives none.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The transcript of one clip.

    Attributes:
        text: The words, stripped; empty when there were none.
        language: Two-letter code that the model used or detected, or None.
        segments: Timed words or phrases; empty if the model gives no times.
    """

    text: str
    language: str | None = None
    segments: tuple[TimedText, ...] = ()

    def without_sound_tags(self) -> "Transcript":
        """The transcript of what was spoken: without tags such as `[Music]`."""
        text = without_sound_tags(self.text)
        if text == self.text:
            return self
        spoken = pieces_without_sound_tags([each.text for each in self.segments])
        segments = tuple(replace(each, text=words) for each, words in zip(self.segments, spoken, strict=True) if words)
        return replace(self, text=text, segments=segments)


class Engine(Protocol):
    """A loaded recogniser."""

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips. Returns one transcript for each, in order, the same as if the clip were alone.

        Args:
            batch: At least one clip, all with equal hints. An empty clip is an error.

        Raises:
            TranscriptionFailed: The model failed; the message names the engine.
        """

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""


class EngineStream(Protocol):
    """One utterance in a streaming engine, which processes each sample once."""

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Append samples, float32, shape (n,); copied. `StreamingEngine.decode` processes them.

        Raises:
            TranscriptionFailed: A sample is not a finite number; none was appended.
        """

    def finish(self) -> None:
        """Mark the end of the utterance; appends the silence that the model needs to write its last word."""

    def result(self) -> Transcript:
        """The transcript so far.

        Raises:
            TranscriptionFailed: The model failed.
        """


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """A recogniser that can transcribe utterances incrementally; `info.streaming` says whether it does."""

    def open_stream(self) -> EngineStream:
        """Start an utterance.

        Raises:
            TranscriptionFailed: The engine was closed.
        """

    def decode(self, streams: Sequence[EngineStream]) -> None:
        """Process what was fed to these streams, all of them different, in batches of those that have enough audio.

        Raises:
            TranscriptionFailed: The model failed; none of the streams can be used any more.
        """
