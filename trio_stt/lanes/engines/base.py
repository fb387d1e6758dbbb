"""The engine protocol: what a lane needs from a recogniser, and the frozen data that passes between them.

It must not import any speech library, trio or threading: adapters beside this file do the first, the lane the rest.
An engine is created, used and closed on one OS thread, the one that its lane owns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Every engine receives mono audio at this rate."""

Times = Literal["none", "segments", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What the settings say about one lane's engine.

    Attributes:
        engine: Canonical engine name, as the registry spells it.
        model: Model name or path; empty for the engine's default.
        language: Two-letter language code, or None to let the model decide.
        download_root: Folder in which relative model names are looked up, or None.
        device: `auto`, `cpu` or `cuda`.
        gpu_device_index: Which CUDA device, counted from 0; without CUDA it means nothing.
        compute_type: Precision, as CTranslate2 names it (`default`, `int8`, `float16` ...); a wish, see the engine.
        beam_size: Beam width, at least 1; engines without beam search ignore it.
        normalize_audio: Scale each clip's peak to 0.95 before inference.
        num_threads: CPU threads that one inference may use, at least 1.
        num_workers: How many threads may call `Engine.transcribe` at once, at least 1; more than 1 only where the
            registry says that an engine is shared.
        offline: Take only models that are on this machine; what is missing is a `ModelMissing`.
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
    """What was really loaded, for people: shown at start-up and in `/health`.

    Attributes:
        engine: Canonical engine name.
        model: Name or folder of the loaded model.
        device: Where it runs, `cpu`, `cuda` or `remote`.
        max_batch: Clips that it takes at once with profit; 1 where a batch would only make the first of them wait.
        notice: One line a user should see (a fallback, say), or None.
        streaming: Whether it hears an utterance as it grows, see `StreamingEngine`; else each clip anew.
        devices: Where it could run here.
        languages: Codes of the languages that can be asked of it; empty where that is the model's own affair.
        prompt: Whether it takes `Hints.prompt`.
        times: What it gives times of.
    """

    engine: str
    model: str
    device: str
    max_batch: int = 1
    notice: str | None = None
    streaming: bool = False
    devices: tuple[str, ...] = ("cpu",)
    languages: tuple[str, ...] = ()
    prompt: bool = False
    times: Times = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """How one session wants its clips heard; an engine that has no such notion ignores it.

    Attributes:
        prompt: Text that primes the model, or None. Never what somebody was heard to say.
        vad_filter: The engine's own speech detector cuts away what holds no speech before the model hears it.
    """

    prompt: str | None = None
    vad_filter: bool = False


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class StreamKey:
    """Stands for an utterance of which an engine hears more with each clip; no two are equal.

    What an engine keeps of it is given up when nobody else holds this object any more.
    """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One clip for an engine.

    Attributes:
        samples: float32, shape (n,), mono, 16 kHz, range -1 to 1.
        hints: How it is to be heard.
        utterance: The utterance from whose first sample on the clip is all that was said; None for a clip of its own.
        ends: Whether nothing follows in that utterance.
    """

    samples: NDArray[np.float32]
    hints: Hints = NO_HINTS
    utterance: StreamKey | None = None
    ends: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedText:
    """A piece of a transcript, a word or a phrase, with its place in the clip.

    Attributes:
        text: Its words, stripped, not empty.
        start_s: Where it begins, in seconds from the clip's first sample.
        end_s: Where it ends there.
        confidence: How probable the model found it, 0 to 1: the geometric mean over its tokens, or the model's own
            figure; None where the model gives none.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What an engine heard in one clip.

    Attributes:
        text: The words, stripped; empty when there were none.
        language: Two-letter code that the model used or found, or None.
        segments: Timed pieces where the model gives them, else empty.
    """

    text: str
    language: str | None = None
    segments: tuple[TimedText, ...] = ()


class Engine(Protocol):
    """A loaded recogniser."""

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, in order; one transcript for each, the same as if the clip were alone.

        Args:
            batch: At least one clip, all with equal hints. An empty clip is an error.

        Raises:
            TranscriptionFailed: The model could not; the message names the engine.
        """

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""


class EngineStream(Protocol):
    """One utterance in a streaming engine, which hears each sample once."""

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Take the samples that follow, float32, shape (n,); copied. They are heard by `StreamingEngine.decode`.

        Raises:
            TranscriptionFailed: A sample is not a finite number; none was taken.
        """

    def finish(self) -> None:
        """Take the end of the utterance, and whatever the model needs behind it to tell the last word."""

    def result(self) -> Transcript:
        """What was heard so far.

        Raises:
            TranscriptionFailed: The model could not say.
        """


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """A recogniser that also hears utterances as they grow. Its `info` says whether it does so as it was loaded."""

    def open_stream(self) -> EngineStream:
        """Begin an utterance.

        Raises:
            TranscriptionFailed: It was closed.
        """

    def decode(self, streams: Sequence[EngineStream]) -> None:
        """Hear what was fed to these streams, all of them different, as many at once as have something to hear.

        Raises:
            TranscriptionFailed: The model could not; none of the streams can be used any more.
        """
