import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.dsp.gate import EnergyGate

LEVEL = st.floats(0, 32768)


@given(st.lists(LEVEL, max_size=300), LEVEL)
def test_every_window_above_the_threshold_passes(quiet: list[float], rms: float) -> None:
    gate = EnergyGate(250.0)
    for level in quiet:
        gate.follow(level)
    assert gate.passes(max(rms, 250.0))


@given(st.lists(LEVEL, min_size=1, max_size=300))
def test_floor_stays_within_the_quiet_levels(quiet: list[float]) -> None:
    gate = EnergyGate(250.0)
    for level in quiet:
        gate.follow(level)
    assert 1.0 <= gate.floor_rms <= max(1.0, *quiet)


def test_steady_noise_is_stopped_within_seconds_and_speech_above_it_passes() -> None:
    gate = EnergyGate(250.0)
    noise = np.random.default_rng(0).normal(100, 5, 200)
    assert gate.passes(noise[0])
    for level in noise:
        gate.follow(level)
    assert not any(gate.passes(level) for level in noise)
    assert gate.passes(160)


def test_single_loud_sound_does_not_hide_soft_speech() -> None:
    gate = EnergyGate(250.0)
    for level in [10.0] * 200 + [8000.0] * 3:
        gate.follow(level)
    assert gate.passes(20)


def test_floor_sinks_when_the_noise_stops() -> None:
    gate = EnergyGate(250.0)
    for level in [200.0] * 300 + [0.0] * 120:
        gate.follow(level)
    assert gate.floor_rms == 1.0
    assert not gate.passes(0.0)
    assert gate.passes(2.0)


def test_new_gate_stops_only_dither() -> None:
    gate = EnergyGate(250.0)
    assert not gate.passes(1.0)
    assert gate.passes(1.6)


@pytest.mark.parametrize("rms", [0.0, 1.0, 100.0])
def test_everything_passes_with_threshold_zero(rms: float) -> None:
    assert EnergyGate(0.0).passes(rms)


def test_reset_restores_the_lowest_floor() -> None:
    gate = EnergyGate(250.0)
    for _ in range(100):
        gate.follow(200.0)
    gate.reset()
    assert gate.passes(2.0)
