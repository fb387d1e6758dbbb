"""The mix of several channels is their mean, except where the mean would cancel speech."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trio_stt.dsp import downmix
from trio_stt.dsp.downmix import Downmixer
from trio_stt.dsp.kernels import downmix_pcm16

RATE_HZ = 16_000


def noise(seed: int, seconds: float = 1.0, level: float = 3_000.0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE_HZ)).astype(np.int16)


def mix(*channels: NDArray[np.int16], packets: list[int] | None = None) -> NDArray[np.int16]:
    """The mix of channels, pushed in packets of these lengths or in one."""
    interleaved = np.stack(channels, axis=1)
    downmixer, mixed, start = Downmixer(), [], 0
    for frames in [*(packets or []), len(interleaved)]:
        payload = interleaved[start : start + frames].astype("<i2").tobytes()
        mixed.append(downmixer.push(payload, channels=len(channels), rate_hz=RATE_HZ))
        start += frames
    return np.concatenate(mixed)


def mean(*channels: NDArray[np.int16]) -> NDArray[np.int16]:
    return downmix_pcm16(np.stack(channels, axis=1).astype("<i2").tobytes(), len(channels))


@pytest.mark.parametrize("share", [1.0, 0.7])
@pytest.mark.parametrize("common_level", [0.0, 300.0])
def test_opposite_channels_are_kept(share: float, common_level: float) -> None:
    voice, common = noise(1), noise(2, level=common_level)
    mixed = mix(voice + common, (-share * voice).astype(np.int16) + common)
    settled = slice(RATE_HZ // 20, None)
    assert np.array_equal(mixed[settled], (voice + common)[settled])


def test_channel_in_opposite_phase_to_two_others_is_kept() -> None:
    voice = noise(1)
    mixed = mix(voice, -voice, noise(3, level=1.0))
    assert np.array_equal(mixed[RATE_HZ // 20 :], voice[RATE_HZ // 20 :])


@pytest.mark.parametrize(
    "channels",
    [
        pytest.param((noise(1), noise(1)), id="equal"),
        pytest.param((noise(1), noise(2)), id="independent"),
        pytest.param((noise(1), 0 * noise(1)), id="one silent"),
        pytest.param((noise(1), -noise(1, level=300.0)), id="little of the opposite"),
        pytest.param((noise(1, level=1.0), -noise(1, level=1.0)), id="rounding errors"),
        pytest.param(tuple(map(noise, range(8))), id="eight"),
    ],
)
def test_other_channels_give_their_mean(channels: tuple[NDArray[np.int16], ...]) -> None:
    assert np.array_equal(mix(*channels), mean(*channels))


def test_change_of_phase_does_not_click() -> None:
    voice = (3_000 * np.sin(2 * np.pi * 200 * np.arange(3 * RATE_HZ) / RATE_HZ)).astype(np.int16)
    phase = np.repeat([1, -1, 1], RATE_HZ)
    mixed = mix(voice, (voice * phase).astype(np.int16))
    assert np.abs(np.diff(mixed.astype(int))).max() < 1.2 * np.abs(np.diff(voice.astype(int))).max() + 40
    assert np.array_equal(mixed[-RATE_HZ // 2 :], voice[-RATE_HZ // 2 :])


@settings(max_examples=20)
@given(packets=st.lists(st.integers(0, 3_000), max_size=12))
def test_packet_sizes_do_not_change_the_mix(packets: list[int]) -> None:
    voice = noise(1)
    channels = (voice, np.concatenate((voice[:5_000], -voice[5_000:12_000], noise(2)[12_000:])))
    assert np.array_equal(mix(*channels, packets=packets), mix(*channels))


def test_nothing_is_compiled_after_the_warm_up() -> None:
    downmix.warm_up()
    before = len(downmix._mix.signatures)
    for payload in (bytes(2048), bytearray(2048), memoryview(bytes(2049))[1:]):
        Downmixer().push(payload, channels=2, rate_hz=48_000)
    assert len(downmix._mix.signatures) == before
