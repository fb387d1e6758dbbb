"""Stable text, sliding windows and rejected text, on real output of Moonshine.

See docs/protocol.md, Stable text.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.dictation import PART_OF_THE_CORPUS, corpus
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from tests.support.wer import normalise, word_error_rate
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.silero import SileroModel
from trio_stt.lanes.engines.base import Engine, Request
from trio_stt.settings import Settings
from trio_stt.speech.events import SilenceConfirmed, SpeechResumed, UtteranceEnded, UtteranceStarted
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.repetition import RejectedText, rejected_text
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.stabilizer import Stabilizer
from trio_stt.speech.stitching import Stitcher

Clip = NDArray[np.float32]

STEP_WINDOWS = 5  # 0.16 s between hypotheses, about what one core manages in long utterances
MAX_CONTRADICTED = 0.03
MAX_DELAY_S = 0.9


@dataclass
class Utterance:
    """One utterance as a session gets it: the partials (text, audio end) outside of silence, and the final."""

    start_sample: int
    partials: list[tuple[str, int]] = field(default_factory=list)
    silent: bool = False
    final: str = ""
    end_sample: int = 0


def transcribe(engine: Engine, clip: Clip) -> str:
    return engine.transcribe([Request(samples=clip)])[0].text


@pytest.fixture(scope="module", params=PART_OF_THE_CORPUS)
def utterances(request: pytest.FixtureRequest, moonshine: Engine) -> list[Utterance]:
    """Speech, segmented and transcribed as by a session with default settings."""
    samples, _ = corpus(whole=request.param)
    settings = Settings()
    detector = SpeechDetector(SileroModel())
    pipeline = SpeechPipeline(SegmenterConfig.from_settings(settings), detector)
    pipeline.begin()
    found: list[Utterance] = []
    for number, start in enumerate(range(0, len(samples), WINDOW_SAMPLES)):
        for event in pipeline.push(samples[start : start + WINDOW_SAMPLES], SAMPLE_RATE_HZ):
            match event:
                case UtteranceStarted():
                    found.append(Utterance(event.start_sample))
                case SilenceConfirmed():
                    found[-1].silent = True
                case SpeechResumed():
                    found[-1].silent = False
                case UtteranceEnded():
                    found[-1].final = transcribe(moonshine, pipeline.clip(event.start_sample, event.clip_end_sample))
                    found[-1].end_sample = event.end_sample
        running = found and not found[-1].end_sample and not found[-1].silent
        if running and number % STEP_WINDOWS == 0:
            end = pipeline.position_sample
            found[-1].partials.append((transcribe(moonshine, pipeline.clip(found[-1].start_sample, end)), end))
    return found


def contradictions(committed: list[str], final: list[str]) -> int:
    """Least number of words to change, remove or insert so that the final begins with the committed words."""
    row = list(range(len(final) + 1))
    for word in committed:
        above, row = row, [row[0] + 1]
        for j, other in enumerate(final):
            row.append(min(above[j] + (word != other), above[j + 1] + 1, row[j] + 1))
    return min(row)


def matched_words(final: list[str], hypothesis: list[str]) -> set[int]:
    """Indexes of the final's words that a hypothesis has in the same place."""
    blocks = SequenceMatcher(None, final, hypothesis, autojunk=False).get_matching_blocks()
    return {block.a + offset for block in blocks for offset in range(block.size)}


@pytest.mark.parametrize("every", [1, 2])
def test_committed_words_come_soon_and_are_right(utterances: list[Utterance], every: int) -> None:
    committed_words = contradicted = 0
    delays_s = []
    for utterance in utterances:
        stabilizer, stable = Stabilizer(), ""
        final = normalise(utterance.final).split()
        # A word counts as spoken when a hypothesis first has it in its place, whether or not the next one keeps it. An
        # engine needs nearly all of a word to recognise it, so this is not too early. A word that is never committed
        # waits for its final, which cannot come before the utterance's end.
        spoken = dict.fromkeys(range(len(final)), utterance.end_sample)
        committed = dict(spoken)
        for text, end in utterance.partials[::every]:
            stable = stabilizer.observe(text, audio_end_sample=end).stable
            for times, words in ((spoken, text), (committed, stable)):
                for index in matched_words(final, normalise(words).split()):
                    times[index] = min(times[index], end)
        committed_words += len(normalise(stable).split())
        contradicted += contradictions(normalise(stable).split(), final)
        delays_s += [(committed[index] - spoken[index]) / SAMPLE_RATE_HZ for index in range(len(final))]
    assert committed_words > len(delays_s) / 2
    assert contradicted / committed_words < MAX_CONTRADICTED
    assert statistics.median(delays_s) <= MAX_DELAY_S


def test_agreeing_finals_are_distinguished_from_others(utterances: list[Utterance]) -> None:
    for utterance in utterances:
        stabilizer, stable = Stabilizer(), ""
        for text, end in utterance.partials:
            stable = stabilizer.observe(text, audio_end_sample=end).stable
        agreed = contradictions(normalise(stable).split(), normalise(utterance.final).split()) == 0
        assert stabilizer.agrees_with(utterance.final) is agreed, (stable, utterance.final)


def test_real_speech_is_never_rejected(utterances: list[Utterance]) -> None:
    for utterance in utterances:
        for text in (utterance.final, *(text for text, _ in utterance.partials)):
            assert not text or rejected_text(text) is None, text


# Tail windows.

TAIL_SAMPLES = 8 * SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("from_s", "to_s", "cadence_s"),
    [(0, 12, 0.5), pytest.param(0, 25, 0.5, marks=pytest.mark.long), pytest.param(17, 42, 1.6, marks=pytest.mark.long)],
)
def test_windows_of_8_s_give_the_whole_of_a_longer_reading(
    moonshine: Engine, from_s: int, to_s: int, cadence_s: float
) -> None:
    reading = read_16k(moonshine_asset("two_cities.wav"))[from_s * SAMPLE_RATE_HZ : to_s * SAMPLE_RATE_HZ]
    stitcher, text = Stitcher(), ""
    for end in [*range(SAMPLE_RATE_HZ, reading.size, round(cadence_s * SAMPLE_RATE_HZ)), reading.size]:
        start = max(0, end - TAIL_SAMPLES)
        hypothesis = transcribe(moonshine, reading[start:end])
        text = stitcher.stitch(hypothesis, clip_start_sample=start, clip_end_sample=end) or text
    assert word_error_rate(transcribe(moonshine, reading), text) <= 0.15
    words = normalise(text).split()
    for size in range(1, len(words) // 2 + 1):
        assert not any(words[i : i + size] == words[i + size : i + 2 * size] for i in range(len(words) - size))


# Loops: Moonshine's texts for sounds that are not speech.


def seconds(count: int) -> Clip:
    return np.asarray(np.arange(count * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ, np.float32)


def melody() -> Clip:
    """Plucked notes, four a second."""
    t = seconds(10)
    pitch_hz = 220 * 2 ** ((np.floor(t * 4) * 7 % 12) / 12)
    notes = np.sin(2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ) * np.exp(-2 * (4 * t % 1))
    return np.asarray(0.3 * notes, np.float32)


def buzzer() -> Clip:
    """A square wave whose frequency swings around 110 Hz, more and more."""
    t = seconds(10)
    return np.asarray(0.3 * np.sign(np.sin(2 * np.pi * (110 + 20 * np.sin(6 * np.pi * t)) * t)), np.float32)


def throbbing() -> Clip:
    """A tone of 150 Hz that grows louder and softer four times a second."""
    t = seconds(10)
    return np.asarray(0.3 * np.sin(2 * np.pi * 150 * t) * (1 + np.sin(8 * np.pi * t)), np.float32)


def stuck_record() -> Clip:
    """One second of the reading, repeated."""
    reading = read_16k(moonshine_asset("two_cities.wav"))
    return np.tile(reading[8 * SAMPLE_RATE_HZ : 9 * SAMPLE_RATE_HZ], 15)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (melody, RejectedText.NO_WORDS),
        (buzzer, RejectedText.REPETITION),
        (throbbing, RejectedText.REPETITION),
        (stuck_record, RejectedText.REPETITION),
    ],
)
def test_hallucinations_of_moonshine_are_rejected(
    moonshine: Engine, sound: Callable[[], Clip], reason: RejectedText
) -> None:
    text = transcribe(moonshine, sound())
    assert rejected_text(text) is reason, text
