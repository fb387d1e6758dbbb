"""Raw audio of Deepgram's clients, however it is split."""

import io
import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trio_stt.api.deepgram.audio import AudioDecoder, OpusDecoder, RawDecoder, WavSniffer, decoder_for
from trio_stt.api.deepgram.options import Encoding, parse_options
from trio_stt.dsp import g711
from trio_stt.dsp.kernels import downmix_pcm16
from trio_stt.protocol.packets import SampleFormat
from trio_stt.sound.decoder import DamagedSound
from trio_stt.sound.live import container_blocks

RATE_HZ = 16_000
TONE = np.rint(np.sin(np.arange(RATE_HZ) / 20) * 8000).astype(np.int16)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def decoded(decoder: AudioDecoder, parts: list[bytes]) -> NDArray[np.int16]:
    """All samples, as a session decodes them."""
    samples = [np.empty(0, np.int16)]
    for part in parts:
        if (found := decoder.decode(part)) is not None:
            audio, frames = found
            coded = audio.data
            if audio.format is not SampleFormat.PCM_S16LE:
                coded = g711.decode(coded, audio.format.value).tobytes()  # type: ignore[arg-type] # the others are laws
            samples.append(downmix_pcm16(coded, audio.channels))
            assert samples[-1].size == frames
    return np.concatenate(samples)


def wav(subtype: str = "PCM_16", channels: int = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.repeat(TONE[:, None] / 32768, channels, 1), RATE_HZ, subtype=subtype, format="WAV")
    return file.getvalue()


@given(st.lists(st.integers(0, 10_000), max_size=8), st.sampled_from(["linear16", "linear32", "mulaw", "alaw"]))
@settings(max_examples=30)  # the first call compiles
def test_splitting_changes_nothing(cuts: list[int], encoding: str) -> None:
    data = (TONE[:500] / 32768).astype("<f4").tobytes() if encoding == "linear32" else TONE[:500].tobytes()
    query = {"encoding": [encoding], "sample_rate": ["16000"], "channels": ["1"]}
    whole, split = decoder_for(parse_options(query)), decoder_for(parse_options(query))
    assert whole is not None
    assert split is not None
    np.testing.assert_array_equal(decoded(split, pieces(data, cuts)), decoded(whole, [data]))


def test_samples_are_those_that_were_sent() -> None:
    as_float = (TONE / 32768).astype("<f4").tobytes()
    np.testing.assert_array_equal(decoded(RawDecoder(Encoding.LINEAR16, RATE_HZ), [TONE.tobytes()]), TONE)
    np.testing.assert_array_equal(decoded(RawDecoder(Encoding.LINEAR32, RATE_HZ), [as_float]), TONE)
    stereo = np.repeat(TONE, 2).tobytes()
    np.testing.assert_array_equal(decoded(RawDecoder(Encoding.LINEAR16, RATE_HZ, 2), [stereo]), TONE)


def test_floats_that_are_no_samples_become_some() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 1e30, -5], "<f4").tobytes()
    assert decoded(RawDecoder(Encoding.LINEAR32, RATE_HZ), [wild]).tolist() == [0, 32767, -32768, 32767, -32768]


@given(st.lists(st.binary(max_size=40), max_size=10))
@settings(max_examples=50)
def test_opus_takes_any_packets(packets: list[bytes]) -> None:
    decoded(OpusDecoder(), packets)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "ULAW", "ALAW"])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_header_of_a_wav_is_read_in_pieces(subtype: str, step: int) -> None:
    data, sniffer = wav(subtype, channels=2), WavSniffer()
    for end in range(step, len(data) + step, step):
        found = sniffer.feed(data[end - step : end])
        if found is not None:
            break
    assert found is not None
    decoder, rest = found
    assert decoder is not None
    assert decoder.rate_hz == RATE_HZ
    samples = decoded(decoder, [rest, data[end:]])[: TONE.size]
    assert np.abs(samples.astype(int) - TONE).max() <= 8000 // 25


@pytest.mark.parametrize(
    "head", [wav("PCM_24"), b"OggS" + bytes(100), b"RIFX", b"R" + bytes(3), b"RIFF\0\0\0\0AVI ", b"RIFF" + bytes(9000)]
)
def test_other_containers_are_left_to_ffmpeg(head: bytes) -> None:
    assert WavSniffer().feed(head) == (None, head)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=3))
def test_any_header_is_judged(data: bytes, cuts: list[int]) -> None:
    chunk = struct.pack("<4sI4s4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16)
    for head in (data, b"RIFF" + data, chunk + data):
        sniffer = WavSniffer()
        for part in pieces(head, cuts):
            if (found := sniffer.feed(part)) is not None:
                assert found[0] is not None or head.startswith(found[1])
                break


@pytest.mark.parametrize("data", [b"", b"no sound" * 1000, wav()[:20], bytes(100_000)])
def test_stream_without_a_container_is_an_error(data: bytes) -> None:
    source = io.BytesIO(data)
    with pytest.raises(DamagedSound, match=r"^[^\[']+$"):  # without FFmpeg's number and its name for the stream
        list(container_blocks(source.read))


@pytest.mark.parametrize(
    ("kind", "subtype"), [("OGG", "VORBIS"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_24")]
)
def test_containers_are_decoded_as_they_arrive(kind: str, subtype: str) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(1).normal(0, 0.1, 8 * RATE_HZ)
    soundfile.write(file, noise, RATE_HZ, format=kind, subtype=subtype)
    source = io.BytesIO(file.getvalue())
    blocks = container_blocks(lambda size: source.read(min(size, 500)))
    first = next(blocks)
    assert source.tell() < len(file.getvalue()) / 2
    rest = list(blocks)
    assert {block.rate_hz for block in rest} == {first.rate_hz} == {RATE_HZ}
    samples = sum(block.samples.size for block in [first, *rest])
    assert abs(samples - 8 * RATE_HZ) < RATE_HZ / 10
