import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from tests.dsp.sounds import Pcm, load, pcm, silence
from tests.support.real import moonshine_asset
from trio_stt.dsp import SAMPLE_RATE_HZ, boundary, boundary_kernels
from trio_stt.dsp.boundary import Boundary, BoundaryDetector

FRAME = 160
LOWEST_LAG = 213
"""A period of 75 Hz."""
CONTRACT_LAG = 158
"""The longest lag that fits into one frame: 101 Hz."""


@pytest.fixture(scope="module", autouse=True)
def compiled_boundary() -> None:
    boundary.warm_up()


def found(samples: Pcm, sensitivity: float = 0.6) -> list[Boundary]:
    return BoundaryDetector(sensitivity).push(samples)


def voicing(samples: np.ndarray, frame: int, longest_lag: int) -> float:
    """The highest correlation between the end of the frame and the samples 45 or more before it."""
    end = 2 * longest_lag + (frame + 1) * FRAME
    audio = np.concatenate((np.zeros(2 * longest_lag), samples))[end - 2 * longest_lag : end]
    pieces = sliding_window_view(audio, longest_lag)  # the piece with lag 0 comes last
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    correlations = [
        float(centred[-1] @ centred[-1 - lag] / (norms[-1] * norms[-1 - lag]))
        for lag in range(45, longest_lag + 1)
        if norms[-1] * norms[-1 - lag] > 1e-9
    ]
    return min(1.0, max([0.0, *correlations]))


def reference(samples: Pcm, s: float, longest_lag: int = LOWEST_LAG) -> list[tuple[int, str, float]]:  # noqa: C901 - it follows the rules of RealtimeSTT from top to bottom
    """(middle, reason, score) of every boundary, as RealtimeSTT finds it, frame after frame."""
    signal = samples / 32768
    speech_margin, drop, valley_depth, recovery_db = 10.5 - 4.5 * s, 5.8 - 3.2 * s, 3.2 - 1.8 * s, 2.2 - 1.1 * s
    vowel_margin, least_voicing, most_zcr = 14.0 - 5.0 * s, 0.62 - 0.12 * s, 0.20 + 0.05 * s
    rms, energy, floors, speech, vowel, voiced = [], [], [], [], [], []
    floor = -70.0
    for i in range(len(samples) // FRAME):
        frame = signal[i * FRAME : (i + 1) * FRAME]
        rms.append(math.sqrt(np.mean(frame**2)) + 1e-12)
        energy.append(20 * math.log10(rms[i] + 1e-12))
        if i < 10:
            floor = min(floor, energy[i])
        elif energy[i] < floor + 3:
            floor = 0.92 * floor + 0.08 * energy[i]
        else:
            floor = 0.997 * floor + 0.003 * min(energy[i], floor + 18)
        floor = min(max(floor, -100.0), -20.0)
        floors.append(floor)
        zcr = np.count_nonzero(np.diff(frame < 0)) / (FRAME - 1)
        speech.append(rms[i] >= 0.004 and energy[i] >= floor + speech_margin)
        voiced.append(voicing(signal, i, longest_lag) if rms[i] >= 0.004 else 0.0)
        loud = energy[i] >= floor + vowel_margin
        vowel.append(speech[i] and loud and voiced[i] >= least_voicing and zcr <= most_zcr)

    def c(ratio: float) -> float:
        return min(max(ratio, 0.0), 1.25)

    boundaries: list[tuple[int, str, float]] = []
    previous = -math.inf
    for i in range(len(rms) - 3):
        before, after = list(range(max(0, i - 18), i)), [i + 1, i + 2, i + 3]
        # At the default sensitivity these two values are those that RealtimeSTT uses at every sensitivity.
        least_gap, least_score = 16 - round(17.5 * max(0, s - 0.6)), 2 + 2 * max(0, 0.6 - s)
        if i - previous < least_gap or len(before) < 7:
            continue
        vowels = [j for j in before[-8:] if vowel[j]]
        if sum(speech[j] for j in before[-7:]) < 5 or len(vowels) < 4:
            continue
        vowel_drop = max(energy[j] for j in vowels) - energy[i]
        highest_after = max(energy[j] for j in after)
        valley = min(np.mean([energy[j] for j in before[-5:]]), highest_after) - energy[i]
        local_min = all(energy[i] <= energy[j] + 0.8 for j in (i - 2, i - 1, i + 1, i + 2))
        ended = not vowel[i] and not any(vowel[j] for j in after) and vowel_drop >= max(1.5, 0.55 * drop)
        if not ended and not (local_min and vowel_drop >= drop and valley >= valley_depth):
            continue
        score = (
            c(vowel_drop / drop) + c(valley / valley_depth) + 0.8 * c(max(voiced[j] for j in vowels) / least_voicing)
        )
        if any(speech[j] for j in after) and not any(vowel[j] for j in after):
            score += 0.7 * c((highest_after - energy[i]) / recovery_db)
        elif np.mean([energy[j] for j in after]) < floors[i] + speech_margin + 2:
            score += 0.45
        if rms[i] < 0.005:
            score += 0.2
        if score >= least_score:
            previous = i
            reason = "vowel-ended" if any(speech[j] for j in after) else "vowel-to-pause"
            boundaries.append((i * FRAME + FRAME // 2, reason, score))
    return boundaries


@cache
def reading(seconds: float = 8.0) -> Pcm:
    return pcm(load(moonshine_asset("two_cities.wav")))[: round(seconds * SAMPLE_RATE_HZ)]


@pytest.mark.contract("5.3")
@pytest.mark.parametrize("name", ["beckett.wav", pytest.param("two_cities.wav", marks=pytest.mark.long)])
@pytest.mark.parametrize("sensitivity", [0.0, 0.6, 1.0])
def test_real_speech_gives_the_boundaries_of_the_numpy_reference(name: str, sensitivity: float) -> None:
    samples = pcm(load(moonshine_asset(name)))
    boundaries = found(samples, sensitivity)
    expected = reference(samples, sensitivity)
    assert [(each.sample, each.reason) for each in boundaries] == [row[:2] for row in expected]
    assert [each.score for each in boundaries] == pytest.approx([row[2] for row in expected])
    assert len(boundaries) >= samples.size / SAMPLE_RATE_HZ  # people read two to five syllables a second


@pytest.mark.contract("5.3")
@settings(max_examples=60)
@given(st.lists(st.integers(0, 4 * SAMPLE_RATE_HZ), max_size=30))
def test_packet_sizes_do_not_change_the_boundaries(cuts: list[int]) -> None:
    samples = reading()[: 4 * SAMPLE_RATE_HZ]
    detector = BoundaryDetector(0.6)
    split = [each for piece in np.split(samples, sorted(cuts)) for each in detector.push(piece)]
    assert split == found(samples)
    assert len(split) > 4


def test_boundary_is_returned_with_the_last_sample_it_needs() -> None:
    samples = reading()
    for each in found(samples):
        assert each not in found(samples[: each.decided_sample - 1])
        assert each in found(samples[: each.decided_sample])
        assert each.decided_sample - each.sample == 0.035 * SAMPLE_RATE_HZ


def tone(duration_s: float, amplitude: float, frequency_hz: float = 180.0) -> np.ndarray:
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return 32768 * amplitude * np.sin(2 * np.pi * frequency_hz * time_s)


@pytest.mark.contract("5.3")
def test_dip_between_two_tones_is_a_boundary() -> None:
    dip = pcm(np.concatenate((tone(0.18, 0.28), tone(0.04, 0.025), tone(0.18, 0.28))))
    first = found(dip, 0.7)[0]
    assert 0.15 <= first.sample / SAMPLE_RATE_HZ <= 0.25
    assert first.reason == "vowel-ended"


@pytest.mark.contract("5.3")
def test_reason_tells_speech_from_pause_after_the_vowel() -> None:
    assert [each.reason for each in found(pcm(np.concatenate((tone(0.3, 0.2), silence(0.3)))))] == ["vowel-to-pause"]


@pytest.mark.contract("5.3")
@pytest.mark.parametrize("sensitivity", [0.0, 0.7, 1.0])
def test_silence_noise_and_an_even_tone_have_no_boundaries(sensitivity: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.006 * 32768, 10 * SAMPLE_RATE_HZ)
    for nothing in (silence(2.0), noise, 10 * noise, tone(2.0, 0.2)):
        assert found(pcm(nothing), sensitivity) == []


def voice(pitch_hz: float) -> Pcm:
    """Six syllables of 0.25 s, 0.08 s apart: equally strong harmonics up to 1 kHz, with random phases."""
    time_s = np.arange(round(0.25 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phases = np.random.default_rng(2).uniform(0, 2 * np.pi, 100)
    harmonics = np.arange(1, int(1000 / pitch_hz) + 1)
    syllable = sum(np.sin(2 * np.pi * pitch_hz * n * time_s + phases[n]) for n in harmonics)
    syllable = syllable * (0.1 * 32768 / np.std(syllable))
    return pcm(np.concatenate([piece for _ in range(6) for piece in (syllable, silence(0.08))]))


@pytest.mark.contract("5.3", "11/38")
@pytest.mark.parametrize("pitch_hz", [85.0, 120.0, 220.0])
def test_every_syllable_of_a_low_voice_is_detected(pitch_hz: float) -> None:
    ends_s = np.arange(6) * 0.33 + 0.25
    detected_s = np.array([each.sample / SAMPLE_RATE_HZ for each in found(voice(pitch_hz))])
    assert detected_s.size == 6
    assert np.all((detected_s >= ends_s - 0.02) & (detected_s <= ends_s + 0.02))


def test_lags_that_fit_into_one_frame_would_miss_a_low_voice() -> None:
    assert len(reference(voice(120.0), 0.6, CONTRACT_LAG)) == 6
    assert reference(voice(85.0), 0.6, CONTRACT_LAG) == []


@pytest.mark.contract("5.3", "11/38")
def test_higher_sensitivity_finds_more_boundaries() -> None:
    clear, plain, every = (len(found(reading(44.0), sensitivity)) for sensitivity in (0.0, 0.6, 1.0))
    assert clear < 0.75 * plain
    assert every > 1.25 * plain


def test_sensitivities_out_of_range_are_clamped() -> None:
    assert found(reading(), -3.0) == found(reading(), 0.0)
    assert found(reading(), 7.0) == found(reading(), 1.0)


def test_nothing_is_compiled_after_the_warm_up() -> None:
    before = len(boundary_kernels.advance.signatures)
    for samples in (reading(), np.frombuffer(bytes(641), np.int16, offset=1), np.empty(0, np.int16), reading()[::2]):
        found(samples)
    assert len(boundary_kernels.advance.signatures) == before
