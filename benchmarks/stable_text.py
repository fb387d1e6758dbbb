"""Delay and errors of stable text, on recorded hypotheses of Moonshine.

    uv run --group bench python -m benchmarks.stable_text record HYPOTHESES FILE…
    uv run --group bench python -m benchmarks.stable_text measure HYPOTHESES

`record` transcribes sound files as a session with default settings does, with a partial for every 96 ms of audio, and
writes the hypotheses of each utterance as JSON. `measure` runs the stabiliser on all partials, on every second and on
every third. It prints the share of committed words that the final contradicts, and the time from the first hypothesis
that has a word in its place until it is committed. Time is audio time, so a slow machine gives the same figures.
"""

import argparse
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.support.speech import read_16k
from tests.words.test_stable_text import contradictions, matched_words, transcribe
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES, kernels
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.silero import SileroModel
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.settings import Settings
from trio_stt.speech.events import SilenceConfirmed, SpeculationDue, SpeechResumed, UtteranceEnded, UtteranceStarted
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.repetition import rejected_text
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.stabilizer import Stabilizer
from trio_stt.speech.text import normalized_text, words

STEP_WINDOWS = 3
LEAD_SAMPLES, TAIL_SAMPLES = SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ * 5 // 4
"""Silence before and after each file, so that its last utterance ends."""


class Hypothesis(msgspec.Struct, frozen=True, array_like=True):
    """Text of a clip; `complete` for a speculative final."""

    text: str
    end_sample: int
    complete: bool = False


class Utterance(msgspec.Struct):
    """What a session would see of one utterance."""

    hypotheses: list[Hypothesis]
    start_sample: int
    silent: bool = False
    final: str = ""


def record(engine: Engine, model: SileroModel, samples: NDArray[np.float32]) -> list[Utterance]:
    """The utterances of float32 samples, shape (n,), 16 kHz."""
    settings = Settings()
    detector = SpeechDetector(
        model, energy_threshold=settings.vad_energy_threshold, webrtc_mode=settings.webrtc_sensitivity
    )
    pipeline = SpeechPipeline(SegmenterConfig.from_settings(settings), detector)
    padded = kernels.to_int16(np.pad(samples, (LEAD_SAMPLES, TAIL_SAMPLES)))
    found: list[Utterance] = []
    for number, start in enumerate(range(0, padded.size, WINDOW_SAMPLES)):
        for event in pipeline.push(padded[start : start + WINDOW_SAMPLES], SAMPLE_RATE_HZ):
            match event:
                case UtteranceStarted():
                    found.append(Utterance([], event.start_sample))
                case SilenceConfirmed() | SpeechResumed():
                    found[-1].silent = isinstance(event, SilenceConfirmed)
                case SpeculationDue(start_sample=first, end_sample=end):
                    text = transcribe(engine, pipeline.clip(first, end))
                    found[-1].hypotheses.append(Hypothesis(text, end, complete=True))
                case UtteranceEnded():
                    found[-1].final = transcribe(engine, pipeline.clip(event.start_sample, event.clip_end_sample))
        if pipeline.spoken and not found[-1].silent and number % STEP_WINDOWS == 0:
            end = pipeline.position_sample
            text = transcribe(engine, pipeline.clip(found[-1].start_sample, end))
            found[-1].hypotheses.append(Hypothesis(text, end))
    return [utterance for utterance in found if utterance.final and rejected_text(utterance.final) is None]


def spoken_words(text: str) -> list[str]:
    """Normalised words."""
    normal = normalized_text(text).normal
    return [normal[start:end] for start, end in words(normal)]


def measure(utterances: list[Utterance], every: int) -> str:
    """The figures, with every `every`-th partial."""
    delays_s: list[float] = []
    committed_words = contradicted = final_words = 0
    for utterance in utterances:
        final, stabilizer, stable, partials = spoken_words(utterance.final), Stabilizer(), "", 0
        first_seen: dict[int, int] = {}
        committed: dict[int, int] = {}
        for hypothesis in utterance.hypotheses:
            partials += not hypothesis.complete
            if (partials % every and not hypothesis.complete) or rejected_text(hypothesis.text) is not None:
                continue
            end = hypothesis.end_sample
            seen = stabilizer.observe(hypothesis.text, audio_end_sample=end, complete=hypothesis.complete)
            stable = seen.stable
            for times, text in ((first_seen, hypothesis.text), (committed, stable)):
                for index in matched_words(final, spoken_words(text)):
                    times.setdefault(index, end)
        delays_s += [(end - first_seen.get(index, end)) / SAMPLE_RATE_HZ for index, end in committed.items()]
        committed_words += len(spoken_words(stable))
        contradicted += contradictions(spoken_words(stable), final)
        final_words += len(final)
    middle, late = np.percentile(delays_s, [50, 95])
    share = f"{committed_words} of {final_words} words committed, {contradicted / committed_words:.1%} contradicted"
    return f"every {every * STEP_WINDOWS * 32} ms: {share}; after {middle:.2f} s, 95 % within {late:.2f} s"


def main() -> None:
    """Record or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["record", "measure"])
    parser.add_argument("hypotheses", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    options = parser.parse_args()
    if options.action == "record":
        engine, model = registry.load(EngineConfig(engine="sherpa_onnx_moonshine")), SileroModel()
        found = [utterance for path in options.files for utterance in record(engine, model, read_16k(path))]
        options.hypotheses.write_bytes(msgspec.json.encode(found))
        return
    utterances = msgspec.json.decode(options.hypotheses.read_bytes(), type=list[Utterance])
    for every in (1, 2, 3):
        print(measure(utterances, every))


if __name__ == "__main__":
    main()
