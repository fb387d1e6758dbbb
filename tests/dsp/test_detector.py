import numpy as np
import pytest

from tests.dsp.sounds import (
    always_fed,
    at_level,
    detected,
    load,
    pcm,
    phrases,
    recordings,
    room_noise,
    silence,
    through,
    windows,
)
from tests.support.real import moonshine_asset
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.silero import SileroModel

PRE_ROLL_WINDOWS = 23
"""Whole windows of the default pre-roll, 0.75 s."""


class CountingSilero(SileroModel):
    """Silero that records how many states each call scores."""

    def __init__(self, model: SileroModel) -> None:
        self._model, self.silence_state = model, model.silence_state
        self.state_counts: list[int] = []

    def score(self, samples: np.ndarray, states: np.ndarray, *gain: np.float32) -> np.ndarray:
        self.state_counts.append(len(states))
        return self._model.score(samples, states, *gain)


def talk(level_dbfs: float, noise_rms: float, pause_s: float) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """All phrases with pauses, and the (first, last) window of each."""
    pieces, places, at = [silence(1.0)], [], 16_000
    for phrase in phrases():
        places.append((at // 512, (at + phrase.size) // 512))
        pieces += [phrase * 10 ** ((level_dbfs + 20) / 20), silence(pause_s)]
        at += phrase.size + round(pause_s * 16_000)
    samples = np.concatenate(pieces)
    return pcm(samples + (room_noise(samples.size, noise_rms) if noise_rms else 0)), places


def starts_in(segments: list[tuple[int, int]], places: list[tuple[int, int]]) -> list[int | None]:
    """For each place, the window in which its first segment begins."""
    return [next((s for s, _ in segments if first - 1 <= s <= last), None) for first, last in places]


@pytest.mark.contract("4.2")
@pytest.mark.parametrize(
    ("level_dbfs", "noise_rms", "pause_s"),
    [
        *[(-45, 0, 1.5), (-35, 5, 4.0), (-20, 50, 4.0), (-35, 0, 12.0)],
        *(pytest.param(level, 0, 1.5, marks=pytest.mark.long) for level in (-20, -35)),
        *(pytest.param(level, 5, 4.0, marks=pytest.mark.long) for level in (-20, -45)),
        *(pytest.param(level, 50, 4.0, marks=pytest.mark.long) for level in (-35, -45)),
        *(pytest.param(level, 0, 12.0, marks=pytest.mark.long) for level in (-20, -45)),
    ],
)
def test_no_phrase_is_missed_or_later_than_with_silero_on_every_window(
    silero: SileroModel, level_dbfs: float, noise_rms: float, pause_s: float
) -> None:
    samples, places = talk(level_dbfs, noise_rms, pause_s)
    found = starts_in(detected(silero, samples)[0], places)
    reference = starts_in(always_fed(silero, samples)[0], places)
    assert None not in found
    both = [pair for pair in zip(found, reference, strict=True) if None not in pair]
    # Two windows: the gain reduces loud speech.
    assert [(mine, other) for mine, other in both if mine > other + 2] == []


@pytest.mark.contract("4.2", "4.3")
@pytest.mark.parametrize("level_dbfs", [-20, -35, -45])
def test_soft_speech_starts_within_the_pre_roll(silero: SileroModel, level_dbfs: float) -> None:
    samples, places = talk(level_dbfs, 0, 1.5)
    loud, _ = talk(-20, 0, 1.5)
    for soft_start, start in zip(
        starts_in(detected(silero, samples)[0], places), starts_in(detected(silero, loud)[0], places), strict=True
    ):
        assert soft_start is not None
        assert start is not None
        assert soft_start - start < PRE_ROLL_WINDOWS


@pytest.mark.parametrize("level_dbfs", [-20, -35])
@pytest.mark.parametrize("skip_s", [0.3, 0.7, 1.1])
def test_stream_that_begins_inside_speech(silero: SileroModel, level_dbfs: float, skip_s: float) -> None:
    whole = at_level(load(moonshine_asset("two_cities.wav")), level_dbfs)[round((1.2 + skip_s) * 16_000) :][:64_000]
    found = detected(silero, pcm(whole))[0]
    reference = always_fed(silero, pcm(whole))[0]
    assert found[0][0] <= reference[0][0] + 1


@pytest.mark.parametrize(
    ("lead_dbfs", "pause_s"),
    [
        *[(-12, 0.7), (-20, 3.0)],
        *(
            pytest.param(lead_dbfs, pause_s, marks=pytest.mark.long)
            for lead_dbfs, pause_s in [(-12, 1.5), (-12, 3.0), (-20, 0.7), (-20, 1.5)]
        ),
    ],
)
def test_soft_speech_after_loud_speech(silero: SileroModel, lead_dbfs: float, pause_s: float) -> None:
    lead = np.concatenate([at_level(load(moonshine_asset("beckett.wav")), lead_dbfs), silence(pause_s)])
    for phrase in phrases():
        soft = phrase * 10 ** (-15 / 20)
        samples = pcm(np.concatenate([lead, soft, silence(1.0)]))
        place = [(lead.size // 512, (lead.size + soft.size) // 512)]
        (found,) = starts_in(detected(silero, samples)[0], place)
        (reference,) = starts_in(always_fed(silero, samples)[0], place)
        assert found is not None
        assert found - place[0][0] < PRE_ROLL_WINDOWS
        # Three windows, 0.1 s: the pre-roll is seven times as long.
        assert reference is None or found <= reference + 3


@pytest.mark.parametrize("before", ["digital silence", "noise that stops"])
def test_soft_speech_after_silence_or_noise(silero: SileroModel, before: str) -> None:
    lead = silence(20.0) if before == "digital silence" else np.concatenate([room_noise(160_000, 200), silence(0.5)])
    for phrase in phrases():
        soft = phrase * 10 ** (-15 / 20)
        samples = pcm(np.concatenate([lead, soft, silence(1.0)]))
        place = [(lead.size // 512, (lead.size + soft.size) // 512)]
        (found,) = starts_in(detected(silero, samples)[0], place)
        assert found is not None
        assert found - place[0][0] < PRE_ROLL_WINDOWS


def tone(level_dbfs: float) -> np.ndarray:
    return at_level(np.sin(2 * np.pi * 1000 * np.arange(960_000) / 16_000), level_dbfs)


NO_SPEECH = {
    "white noise at -50 dBFS": at_level(np.random.default_rng(0).standard_normal(960_000), -50),
    "a tone at -20 dBFS": tone(-20),
    "a tone at -45 dBFS": tone(-45),
    "digital silence": silence(60.0),
    "room noise": room_noise(960_000, 60),
    "loud room noise": room_noise(960_000, 500),
}


@pytest.mark.contract("4.2")
@pytest.mark.parametrize("sound", NO_SPEECH)
@pytest.mark.parametrize("after_speech", [False, True])
def test_minute_without_speech_starts_nothing(silero: SileroModel, sound: str, after_speech: bool) -> None:
    lead = np.concatenate([phrases()[0], silence(0.8)]) if after_speech else silence(0)
    segments, probabilities = detected(silero, pcm(np.concatenate([lead, NO_SPEECH[sound]])))
    assert [segment for segment in segments if segment[0] >= lead.size // 512] == []
    assert max(probabilities[lead.size // 512 + 1 :]) < 0.6


@pytest.mark.parametrize(
    ("sound", "most"),
    [("digital silence", 0), ("room noise", 0), ("white noise at -50 dBFS", 0), ("loud room noise", 0.25)],
)
def test_silero_does_not_run_without_speech(silero: SileroModel, sound: str, most: float) -> None:
    learning_windows = 160
    counting = CountingSilero(silero)
    detector = SpeechDetector(counting)
    stream = windows(pcm(NO_SPEECH[sound]))
    for window in stream[:learning_windows]:
        detector.detect(window)
    before = len(counting.state_counts)
    for window in stream[learning_windows:]:
        detector.detect(window)
    scored = len(counting.state_counts) - before
    assert scored <= most * (len(stream) - learning_windows)


@pytest.mark.parametrize("level_dbfs", [-20, -38])
@pytest.mark.parametrize(("rate_hz", "most"), [(8_000, 9), (22_050, 1), (44_100, 1), (48_000, 1)])
def test_sample_rate_moves_boundaries_little(silero: SileroModel, rate_hz: int, most: int, level_dbfs: float) -> None:
    # Nine windows at 8 kHz: without the hiss of an "s", a word ends earlier. The clip lasts for 12 windows more.
    for path in recordings():
        clip = at_level(np.concatenate([load(path, rate_hz), np.zeros(rate_hz)]), level_dbfs)
        reference = detected(silero, through(rate_hz, pcm(clip)))[0]
        same = at_level(np.concatenate([load(path), silence(1.0)]), level_dbfs)
        found = detected(silero, pcm(same))[0]
        assert len(found) == len(reference), path
        assert np.abs(np.subtract(found, reference)).max() <= most, path


def test_windows_may_lie_in_a_reused_buffer(silero: SileroModel) -> None:
    samples, _ = talk(-35, 5, 1.5)
    one, other = (SpeechDetector(silero) for _ in range(2))
    buffer = np.empty(512, np.int16)
    for window in windows(samples)[:400]:
        buffer[:] = window
        assert one.detect(window) == other.detect(buffer)


def test_silero_scores_every_window_once_inside_an_utterance(silero: SileroModel) -> None:
    counting = CountingSilero(silero)
    detector = SpeechDetector(counting)
    for _ in range(50):
        detector.detect(np.zeros(512, np.int16), speaking=True)
    assert counting.state_counts == [1] * 50


def test_reset_restores_the_initial_state(silero: SileroModel) -> None:
    samples, _ = talk(-35, 50, 1.5)
    detector = SpeechDetector(silero)
    first = [detector.detect(window) for window in windows(samples)[:500]]
    detector.reset()
    assert [detector.detect(window) for window in windows(samples)[:500]] == first


@pytest.mark.contract("11/29")
def test_windows_above_the_threshold_pass_a_high_noise_floor(silero: SileroModel) -> None:
    noise = windows(pcm(room_noise(320_000, 200)))
    low, high = (SpeechDetector(silero, energy_threshold=t) for t in (100.0, 250.0))
    assert all(low.detect(window).probability > 0.0 for window in noise)
    assert not any([high.detect(window).probability > 0.0 for window in noise][-100:])
