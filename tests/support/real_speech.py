"""Recordings of real people and of sounds without speech, and how many of their words were recognised.

The folder that TRIO_STT_TEST_SPEECH names has `manifest.tsv` (path, language, kind) and `transcripts.json`. Only
English is judged: the engine of the tests knows no other language.
"""

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.support.changed_speech import Change
from tests.support.dictation import Dictation, at_rate, dictate, pcm, texts
from tests.support.real import missing
from tests.support.wer import normalise
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import to_int16
from trio_stt.lanes.engines.base import Engine, Request
from trio_stt.server.server_state import ServerState

NO_SPEECH = "nonspeech"
"""Kind of the sounds that hold no word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One sound file, its kind and its words; without words for sounds that are no speech."""

    path: Path
    kind: str
    words: str

    @property
    def half(self) -> int:
        """0 or 1: the half of the recordings that it belongs to, so that one can be tuned on and the other judged."""
        return hashlib.sha256(self.path.name.encode()).digest()[0] & 1

    def read(self) -> tuple[NDArray[np.int16], int]:
        """Its samples, shape (frames, channels), and its sample rate in Hz, as `trio-stt transcribe` reads them."""
        samples, rate_hz = soundfile.read(self.path, dtype="float32", always_2d=True)
        return to_int16(samples.reshape(-1)).reshape(samples.shape), rate_hz

    def changed(self, change: Change) -> tuple[NDArray[np.int16], int]:
        """As `read`, in one channel and changed."""
        samples, rate_hz = self.read()
        return pcm(change(samples.mean(axis=1), rate_hz))[:, np.newaxis], rate_hz


def real_recordings() -> list[Recording]:
    """All English recordings and all sounds that are no speech, in the order of the manifest."""
    folder = os.environ.get("TRIO_STT_TEST_SPEECH")
    if not folder:
        missing("TRIO_STT_TEST_SPEECH names no folder of recordings")
    transcripts = json.loads((Path(folder) / "transcripts.json").read_text(encoding="utf-8"))
    with (Path(folder) / "manifest.tsv").open(encoding="utf-8", newline="") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    return [
        Recording(path=Path(folder) / row["path"], kind=row["kind"], words=transcripts.get(row["path"], ""))
        for row in rows
        if row["kind"] == NO_SPEECH or (row["language"] == "en" and transcripts.get(row["path"]))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordComparison:
    """The recognised words of one recording, compared with its transcript.

    Attributes:
        heard: Number of recognised words.
        spoken: Words of the reference.
        wrong: Words substituted, missing or added.
        right: Words that are right.
        first: Whether the first word is right.
        last: Whether the last word is right.
    """

    recognised: int
    spoken: int
    wrong: int
    right: int
    first: bool
    last: bool


def compare_words(reference: str, hypothesis: str) -> WordComparison:
    """Compare two texts after Whisper's normaliser."""
    spoken, recognised = normalise(reference).split(), normalise(hypothesis).split()
    if not spoken or not recognised:
        wrong = len(spoken) + len(recognised)
        return WordComparison(
            recognised=len(recognised), spoken=len(spoken), wrong=wrong, right=0, first=False, last=False
        )
    compared = jiwer.process_words(" ".join(spoken), " ".join(recognised))
    right = {
        index
        for chunk in compared.alignments[0]
        if chunk.type == "equal"
        for index in range(chunk.ref_start_idx, chunk.ref_end_idx)
    }
    return WordComparison(
        recognised=len(recognised),
        spoken=len(spoken),
        wrong=compared.substitutions + compared.insertions + compared.deletions,
        right=len(right),
        first=0 in right,
        last=len(spoken) - 1 in right,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One recording: the engine alone on the whole clip, and the product."""

    recording: Recording
    engine: WordComparison
    product: WordComparison
    engine_text: str
    product_text: str
    duration_s: float

    @property
    def deaf(self) -> bool:
        """Whether the product recognised no word although the engine alone has at least half of the words right."""
        return not self.product.recognised and 0 < self.engine.spoken <= 2 * self.engine.right


Padding = Callable[[NDArray[np.int16], int], NDArray[np.int16]]
"""Puts something before and after the samples, shape (frames, channels), at a sample rate in Hz."""


async def compare(
    server_state: ServerState,
    engine: Engine,
    recordings: Iterable[Recording],
    padding: Padding = lambda samples, _: samples,
    change: Change | None = None,
) -> list[Comparison]:
    """Run the recordings, changed if asked for, through sessions of `server_state`, and each whole through `engine`."""
    compared = []
    for recording in recordings:
        samples, rate_hz = recording.changed(change) if change else recording.read()
        finals = await dictate(server_state, Dictation(padding(samples, rate_hz), rate_hz, packet_ms=100))
        text = texts(finals)
        alone = whole_clip_text(engine, samples, rate_hz) if recording.words else ""
        compared.append(
            Comparison(
                recording=recording,
                engine=compare_words(recording.words, alone),
                product=compare_words(recording.words, text),
                engine_text=alone,
                product_text=text,
                duration_s=len(samples) / rate_hz,
            )
        )
    return compared


def whole_clip_text(engine: Engine, samples: NDArray[np.int16], rate_hz: int) -> str:
    """The engine's text for a whole clip, shape (frames, channels)."""
    mono = at_rate(samples.mean(axis=1).astype(np.int16), rate_hz, SAMPLE_RATE_HZ)
    return engine.transcribe([Request(samples=(mono / np.float32(32768)).astype(np.float32))])[0].text


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Sums over recordings of one kind."""

    clips: int
    spoken: int
    engine_wrong: int
    product_wrong: int
    deaf: int
    engine_first: int
    product_first: int
    engine_last: int
    product_last: int
    recognised: int
    duration_s: float

    @property
    def engine_wer(self) -> float:
        """Word error rate of the engine alone."""
        return self.engine_wrong / max(1, self.spoken)

    @property
    def product_wer(self) -> float:
        """Word error rate of the product."""
        return self.product_wrong / max(1, self.spoken)


def total(compared: Sequence[Comparison]) -> Total:
    """The sums of some recordings."""
    counts: Counter[str] = Counter()
    for each in compared:
        counts.update(
            clips=1,
            spoken=each.engine.spoken,
            engine_wrong=each.engine.wrong,
            product_wrong=each.product.wrong,
            deaf=int(each.deaf),
            engine_first=int(each.engine.first),
            product_first=int(each.product.first),
            engine_last=int(each.engine.last),
            product_last=int(each.product.last),
            recognised=each.product.recognised,
        )
    names = Total.__dataclass_fields__.keys() - {"duration_s"}
    return Total(**{name: counts[name] for name in names}, duration_s=sum(each.duration_s for each in compared))
