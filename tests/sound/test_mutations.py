"""Mutated sound files: reading always ends, in bounded memory, and with one line where something is wrong."""

import resource
import tempfile
import threading
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.sound_files import encode, sweep
from trio_stt.errors import AudioFileError
from trio_stt.sound.reader import open_sound

MAX_LENGTH_S = 60.0
ENDS_WITHIN_S = 120.0
"""Far beyond what any of these files takes: a file that takes longer never ends."""
MEMORY_BYTES = 300 << 20
"""Memory that all mutated files together may add to the process: decoders, and the largest blocks."""

SNDFILE_SEEDS = [
    *[("WAV", subtype) for subtype in ("PCM_16", "FLOAT", "GSM610", "MS_ADPCM", "IMA_ADPCM", "ULAW")],
    *[
        (container, "PCM_16")
        for container in ("RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "SVX", "VOC", "NIST", "WAVEX")
    ],
    *[("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("CAF", "ALAC_16"), ("SDS", "PCM_16")],
]
FFMPEG_SEEDS = [
    *[("mp3", "libmp3lame"), ("m4a", "aac"), ("mov", "alac"), ("aac", "aac"), ("webm", "libopus"), ("opus", "libopus")],
    *[("amr", "libopencore_amrnb"), ("ts", "aac"), ("avi", "libmp3lame"), ("flv", "aac"), ("wv", "wavpack")],
    *[("tta", "tta"), ("ac3", "ac3"), ("mkv", "aac"), ("mp2", "mp2")],
]
RATES_HZ = {"libopus": 48_000, "ac3": 48_000, "libopencore_amrnb": 8_000, "flv": 44_100}


@cache
def seeds() -> list[bytes]:
    """Small whole files of every kind, and two of one kind after another."""
    contents = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a"
        for container, subtype in SNDFILE_SEEDS:
            soundfile.write(path, sweep(0.4), 16_000, format=container, subtype=subtype)
            contents.append(path.read_bytes())
        for extension, codec in FFMPEG_SEEDS:
            rate_hz = RATES_HZ.get(extension, RATES_HZ.get(codec, 16_000))
            encode(path.with_suffix(f".{extension}"), sweep(0.4, rate_hz), codec=codec, rate_hz=rate_hz)
            contents.append(path.with_suffix(f".{extension}").read_bytes())
    return contents + [content * 2 for content in contents]


HOSTILE = [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80", b"\x01\0\0\0"]
"""Sizes and counts at their limits, in both byte orders."""


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 6))):
        last = len(content) - 1
        if last < 8:
            break
        # Half of the changes hit the headers.
        at = draw(st.one_of(st.integers(0, min(last, 200)), st.integers(0, last)))
        match draw(st.sampled_from(["flip", "hostile", "cut", "zero", "repeat", "remove", "insert"])):
            case "flip":
                content[at] ^= draw(st.integers(1, 255))
            case "hostile":
                content[at : at + 4] = draw(st.sampled_from(HOSTILE))
            case "cut":
                del content[max(at, 8) :]
            case "zero":
                length = min(draw(st.integers(1, 500)), len(content) - at)
                content[at : at + length] = bytes(length)
            case "repeat":
                content[at:at] = content[at : at + draw(st.integers(1, 2_000))]
            case "remove":
                del content[at : at + draw(st.integers(1, 200))]
            case _:
                content[at:at] = draw(st.binary(min_size=1, max_size=50))
    return bytes(content)


def read_whole(path: Path, outcome: list[object]) -> None:
    try:
        with closing(open_sound(str(path), max_length_s=MAX_LENGTH_S)) as sound:
            samples = 0
            for block in sound.mono_blocks():
                assert block.dtype == np.int16
                samples += block.size
            assert samples <= MAX_LENGTH_S * sound.rate_hz
    except Exception as error:  # noqa: BLE001 - judged by the test
        outcome.append(error)
    else:
        outcome.append(None)


def assert_ends(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "sound"
        path.write_bytes(content)
        outcome: list[object] = []
        reader = threading.Thread(target=read_whole, args=(path, outcome), daemon=True)
        reader.start()
        reader.join(ENDS_WITHIN_S)
        assert outcome, "reading does not end"
        (error,) = outcome
        if error is not None:
            assert isinstance(error, AudioFileError), repr(error)
            assert str(error).startswith(str(path))
            assert len(str(error).splitlines()) == 1


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check(examples: int) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(mutated())
    def run(content: bytes) -> None:
        assert_ends(content)

    seeds()
    before = peak_bytes()
    run()
    assert peak_bytes() - before < MEMORY_BYTES


def test_mutated_files_end_in_one_line() -> None:
    check(150)


@pytest.mark.long
def test_many_mutated_files_end_in_one_line() -> None:
    check(20_000)
