"""Chunks of every format, compared with the reference implementation's converter."""

import numpy as np
import pytest
from numpy.typing import NDArray
from wyoming.audio import AudioChunk, AudioChunkConverter

from trio_stt.api.wyoming.audio import AudioFormat, MonoConverter

RANDOM = np.random.default_rng(1)


def converted(data: bytes, piece_bytes: int, **audio_format: int) -> NDArray[np.int16]:
    converter, view = MonoConverter(), memoryview(data)
    pieces = [view[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    return np.concatenate([converter.push(piece, AudioFormat(**audio_format)) for piece in pieces])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("piece_bytes", [1, 1000])
def test_width(width: int, piece_bytes: int) -> None:
    data = RANDOM.bytes(600 * width)
    expected = AudioChunkConverter(width=2).convert(AudioChunk(rate=16_000, width=width, channels=1, audio=data))
    found = converted(data, piece_bytes, rate=16_000, width=width, channels=1)
    assert np.array_equal(found, np.frombuffer(expected.audio, "<i2"))


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_equal_channels_are_one(channels: int) -> None:
    samples = RANDOM.integers(-20_000, 20_000, 500).astype("<i2")
    data = np.repeat(samples, channels).tobytes()
    assert np.array_equal(converted(data, 333, rate=48_000, width=2, channels=channels), samples)


def test_change_of_the_format_drops_a_cut_frame() -> None:
    converter = MonoConverter()
    stereo, mono = AudioFormat(rate=16_000, width=2, channels=2), AudioFormat(rate=16_000, width=2, channels=1)
    assert converter.push(memoryview(bytes(6)), stereo).size == 1
    assert converter.push(memoryview(b"\1\0\2\0"), mono).tolist() == [1, 2]
