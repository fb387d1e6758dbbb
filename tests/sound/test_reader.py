"""Sound files of every kind give their samples; a fault is reported in one line."""

import io
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.support.real import shared_input
from tests.support.sound_files import RATE_HZ, Samples, encode, read, sweep
from trio_stt.dsp.resample import StreamResampler
from trio_stt.errors import AudioFileError
from trio_stt.server.recording_files import RecordingFiles
from trio_stt.sound import source as source_module
from trio_stt.sound.reader import open_sound

SWEEP = sweep(4.0)


def wav(path: Path, samples: Samples = SWEEP, *, subtype: str = "PCM_16", rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, samples, rate_hz, format="WAV", subtype=subtype)
    return path


def assert_same_sound(samples: Samples, expected: Samples, *, within_s: float = 0.15, closeness: float = 0.95) -> None:
    """Compare by correlation at the best shift: codecs add up to `within_s` before the sound and change the samples."""
    shift = round(within_s * RATE_HZ)
    padded = np.pad(samples.astype(np.float64), (shift, shift))[: expected.size + 2 * shift]
    spectrum = np.fft.rfft(padded) * np.conj(np.fft.rfft(expected, padded.size))
    products = np.fft.irfft(spectrum, padded.size)[: padded.size - expected.size + 1]
    best = int(np.argmax(products))
    found = padded[best : best + expected.size]
    assert products[best] >= closeness * np.linalg.norm(found) * np.linalg.norm(expected)
    assert np.linalg.norm(found) >= 0.5 * np.linalg.norm(expected)


def at_16_khz(path: Path) -> tuple[Samples, str]:
    samples, rate_hz, fault = read(path)
    resampler = StreamResampler(rate_hz)
    whole = np.concatenate((resampler.push(samples), resampler.flush()))
    return (whole / np.float32(32768)).astype(np.float32), fault


def id3(content: bytes) -> bytes:
    return b"ID3\x04\x00\x00" + bytes((len(content) >> shift) & 0x7F for shift in (21, 14, 7, 0)) + content


SNDFILE_KINDS = [
    *[("WAV", subtype) for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "GSM610")],
    *[("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "G721_32")],
    *[
        (container, "PCM_16")
        for container in ("WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "SVX", "VOC", "NIST")
    ],
]


@pytest.mark.parametrize(("container", "subtype"), SNDFILE_KINDS)
def test_containers_and_codecs_of_libsndfile(tmp_path: Path, container: str, subtype: str) -> None:
    rate_hz = 8_000 if subtype == "G721_32" else RATE_HZ
    soundfile.write(tmp_path / "a.mp3", sweep(4.0, rate_hz), rate_hz, format=container, subtype=subtype)
    samples, fault = at_16_khz(tmp_path / "a.mp3")
    assert fault == ""
    assert_same_sound(samples, SWEEP)


FFMPEG_KINDS = [
    *[("mp3", "libmp3lame", 16_000), ("mp3", "libmp3lame", 44_100), ("mp2", "mp2", 16_000)],
    *[("m4a", "aac", 44_100), ("mp4", "aac", 48_000), ("mov", "alac", 16_000), ("3gp", "aac", 16_000)],
    *[("aac", "aac", 16_000), ("webm", "libopus", 48_000), ("ogg", "libopus", 48_000), ("mkv", "aac", 16_000)],
    *[
        ("amr", "libopencore_amrnb", 8_000),
        ("ts", "aac", 48_000),
        ("avi", "libmp3lame", 44_100),
        ("flv", "aac", 44_100),
    ],
    *[("wav", "libmp3lame", 16_000), ("wv", "wavpack", 16_000), ("tta", "tta", 16_000), ("ac3", "ac3", 48_000)],
]


@pytest.mark.parametrize(("extension", "codec", "rate_hz"), FFMPEG_KINDS)
def test_containers_and_codecs_of_ffmpeg(tmp_path: Path, extension: str, codec: str, rate_hz: int) -> None:
    path = encode(tmp_path / f"a.{extension}", sweep(4.0, rate_hz), codec=codec, rate_hz=rate_hz)
    samples, fault = at_16_khz(path.rename(tmp_path / "a.raw"))
    assert fault == ""
    assert_same_sound(samples, SWEEP)


@pytest.mark.parametrize("rate_hz", [4_000, 6_000, 8_000, 11_025, 22_050, 48_000, 192_000, 384_000])
def test_every_sample_rate(tmp_path: Path, rate_hz: int) -> None:
    samples, fault = at_16_khz(wav(tmp_path / "a.wav", sweep(4.0, rate_hz), rate_hz=rate_hz))
    assert fault == ""
    assert_same_sound(samples, SWEEP, closeness=0.85)


@pytest.mark.parametrize("name", ["a.raw", "a.mp3", "a", "a.txt", "a.wav.part"])
def test_name_has_no_effect_on_the_format(tmp_path: Path, name: str) -> None:
    assert np.array_equal(read(wav(tmp_path / name))[0], read(wav(tmp_path / "a.wav"))[0])


def with_size(path: Path, size_bytes: int) -> Path:
    """The same WAV with this size in both its headers."""
    content = bytearray(wav(path).read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", size_bytes)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("channels", range(1, 9))
def test_wav_of_unknown_size_has_up_to_8_channels(tmp_path: Path, channels: int) -> None:
    path = wav(tmp_path / "a.wav", np.stack([SWEEP] * channels, axis=1))
    content = bytearray(path.read_bytes())
    content[40:44] = bytes(4)
    path.write_bytes(content)
    with closing(open_sound(str(path))) as sound:
        assert sound.channels == channels
        assert np.concatenate(list(sound.blocks())).shape == (SWEEP.size, channels)


def test_recording_of_a_killed_server_is_read(tmp_path: Path) -> None:
    killed = RecordingFiles(tmp_path, "killed")
    killed.add(expected := np.random.default_rng(0).integers(-9_000, 9_000, 3 * RATE_HZ).astype(np.int16))
    content = killed.parts[0].read_bytes()
    killed.abandon()
    (tmp_path / "killed.flac.part").write_bytes(content)
    samples, _, _ = read(tmp_path / "killed.flac.part")
    assert samples.size >= expected.size - 2 * 4096, "libsndfile keeps a block or two in memory"
    assert np.array_equal(samples, expected[: samples.size])


@pytest.mark.parametrize("size_bytes", [0, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF])
def test_wav_of_unknown_size_is_read_to_its_end(tmp_path: Path, size_bytes: int) -> None:
    expected = read(wav(tmp_path / "a.wav"))[0]
    samples, _, fault = read(with_size(tmp_path / "b.wav", size_bytes))
    assert fault == ""
    assert np.array_equal(samples, expected)


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", SWEEP, RATE_HZ)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # the number of samples takes 36 bits
    content[22:26] = bytes(4)
    (tmp_path / "b.flac.part").write_bytes(content)
    with closing(open_sound(str(tmp_path / "b.flac.part"))) as sound:
        assert sound.length_s is None
    samples, _, fault = read(tmp_path / "b.flac.part")
    assert fault == ""
    assert np.array_equal(samples, read(tmp_path / "a.flac")[0])


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125), id3(bytes(3_000))], ids=["nothing", "ID3v1", "ID3"])
def test_flac_files_that_were_appended_to_each_other_are_read_to_the_end(tmp_path: Path, between: bytes) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SWEEP, RATE_HZ)
    expected = read(path)[0]
    path.write_bytes(between.join([path.read_bytes()] * 3))
    samples, _, fault = read(path)
    assert fault == ""
    assert np.array_equal(samples, np.concatenate([expected] * 3))


@pytest.mark.parametrize(
    ("kept", "fault"),
    [
        (slice(None), "another sample rate"),
        (slice(0, 12), "the FLAC that is appended"),
        (slice(0, 9_000), "it ends after"),
    ],
)
def test_appended_flac_that_is_unreadable_is_reported_behind_the_first(tmp_path: Path, kept: slice, fault: str) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SWEEP, 8_000 if fault == "another sample rate" else RATE_HZ)
    second = path.read_bytes()[kept]
    soundfile.write(path, SWEEP, RATE_HZ)
    expected = read(path)[0]
    path.write_bytes(path.read_bytes() + second)
    samples, _, found = read(path)
    assert fault in found
    assert np.array_equal(samples[: expected.size], expected)


CUT_KINDS = [
    *[("mp3", "libmp3lame", 16_000), ("aac", "aac", 16_000), ("ogg", "libopus", 48_000), ("webm", "libopus", 48_000)],
    *[
        ("flac", "flac", 16_000),
        ("wav", "pcm_s16le", 16_000),
        ("aiff", "pcm_s16be", 16_000),
        ("au", "pcm_s16be", 16_000),
    ],
    *[("amr", "libopencore_amrnb", 8_000), ("flv", "aac", 44_100), ("wav", "adpcm_ms", 16_000)],
    ("wav", "libmp3lame", 16_000),
]


@pytest.mark.parametrize("share", [0.5, 0.623, 0.75])
@pytest.mark.parametrize(("extension", "codec", "rate_hz"), CUT_KINDS)
def test_truncated_file_gives_all_audio_once_and_a_fault(
    tmp_path: Path, extension: str, codec: str, rate_hz: int, share: float
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 6 * rate_hz)  # so that all parts take as many bytes
    path = encode(tmp_path / f"a.{extension}", sweep(6.0, rate_hz) + noise, codec=codec, rate_hz=rate_hz)
    whole, _ = at_16_khz(path)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    samples, fault = at_16_khz(path)
    assert "cannot be read to its end: " in fault
    assert len(fault.splitlines()) == 1
    page_s = 1.0 if extension == "ogg" else 0.35  # an incomplete page or block is lost
    assert share * 6.0 - page_s - 0.2 < samples.size / RATE_HZ < share * 6.0 + 0.3
    assert_same_sound(samples[: -RATE_HZ // 4], whole[: samples.size - RATE_HZ // 4], closeness=0.99)


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param(b"", id="none"),
        pytest.param(id3(b"TSSE\x00\x00\x00\x02\x00\x00\x00a"), id="ID3"),
        pytest.param(b"TAG" + bytes(125) + id3(bytes(60_000)), id="ID3v1 and padding"),
        pytest.param(id3(np.random.default_rng(1).bytes(60_000)), id="a picture"),
        pytest.param(b"APETAGEX" + struct.pack("<6I", 2000, 32, 0, 0, 0, 0) + b"TAG" + bytes(125), id="APE"),
    ],
)
def test_mp3_files_that_were_appended_to_each_other_are_read_to_the_end(tmp_path: Path, tags: bytes) -> None:
    path = encode(tmp_path / "a.mp3", SWEEP, codec="libmp3lame")
    content = path.read_bytes()
    frames = content[content.find(b"\xff\xf3") :]
    path.write_bytes(content + tags + frames)
    samples, rate_hz, fault = read(path)
    assert not fault
    assert samples.size / rate_hz == pytest.approx(8.0, abs=0.3)


def test_mp3_without_a_header_is_read_to_its_end(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", SWEEP, codec="libmp3lame")
    content = path.read_bytes()
    first = content.find(b"\xff\xf3")
    second = content.find(b"\xff\xf3", first + 4)
    path.write_bytes(content[second:])
    samples, fault = at_16_khz(path)
    assert fault == ""
    assert samples.size / RATE_HZ == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize(("extension", "codec", "rate_hz"), [("mp3", "libmp3lame", 16_000), ("ac3", "ac3", 48_000)])
def test_stream_without_a_stated_length_that_ends_within_a_frame_is_cut(
    tmp_path: Path, extension: str, codec: str, rate_hz: int
) -> None:
    path = encode(tmp_path / f"a.{extension}", sweep(4.0, rate_hz), codec=codec, rate_hz=rate_hz)
    content = path.read_bytes()
    if extension == "mp3":  # without the frame that states the length
        content = content[content.find(b"\xff\xf3", content.find(b"\xff\xf3") + 4) :]
    for kept in (len(content) - 20, len(content) - 50):
        path.write_bytes(content[:kept])
        samples, fault = at_16_khz(path)
        assert "it is cut off after 4." in fault or "it is cut off after 3.9" in fault
        assert samples.size / RATE_HZ == pytest.approx(4.0, abs=0.2)


def test_file_that_decodes_to_nothing_is_reported(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wv", SWEEP, codec="wavpack")
    path.write_bytes(path.read_bytes()[:20_000])
    assert read(path)[2].startswith(f"{path}: cannot be read to its end: ")


def test_mp3_that_states_millions_of_frames_ends(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", SWEEP, codec="libmp3lame")
    content = bytearray(path.read_bytes())
    at = max(content.find(b"Xing"), content.find(b"Info"))
    content[at + 8 : at + 12] = (50_000_000).to_bytes(4)
    path.write_bytes(content)
    samples, fault = at_16_khz(path)
    assert samples.size / RATE_HZ == pytest.approx(4.0, abs=0.2)
    assert "it is cut off after 4." in fault


@pytest.mark.parametrize("damage", ["page numbers", "headers", "zeros", "cut"])
def test_ogg_with_a_broken_second_link_ends(tmp_path: Path, damage: str) -> None:
    soundfile.write(tmp_path / "a.ogg", SWEEP, RATE_HZ)
    link = (tmp_path / "a.ogg").read_bytes()
    second = bytearray(link)
    match damage:
        case "page numbers":
            for at in range(len(second) - 4):
                if second[at : at + 4] == b"OggS":
                    second[at + 14 : at + 22] = os.urandom(8)
        case "headers":
            second[28:4_000] = bytes(3_972)
        case "zeros":
            second = bytearray(len(link))
        case _:
            second = second[:1_000]
    (tmp_path / "b.ogg").write_bytes(link + second)
    samples, _, _ = read(tmp_path / "b.ogg")
    assert samples.size / RATE_HZ >= 3.9


@pytest.mark.parametrize("damage", ["lost", "changed"])
@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
def test_lost_page_of_ogg_is_reported_and_the_sound_around_it_stays(tmp_path: Path, subtype: str, damage: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, SWEEP.size)
    soundfile.write(tmp_path / "a.ogg", SWEEP + noise, RATE_HZ, format="OGG", subtype=subtype)
    _, *pages = (tmp_path / "a.ogg").read_bytes().split(b"OggS")
    third = pages.pop(3)
    if damage == "changed":
        pages.insert(3, third[:-1] + bytes([third[-1] ^ 1]))  # its checksum is wrong now
    (tmp_path / "a.ogg").write_bytes(b"".join(b"OggS" + page for page in pages))
    samples, rate_hz, fault = read(tmp_path / "a.ogg")
    assert re.fullmatch(r".*: (0\.9|1\.[01]) s are missing after (0\.9|1\.0) s", fault)
    assert 2.8 < samples.size / rate_hz < 3.2


def test_chained_ogg_is_read_to_its_end(tmp_path: Path) -> None:
    content = b""
    for _ in range(3):
        soundfile.write(tmp_path / "a.ogg", sweep(2.0), RATE_HZ)
        content += (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "all.ogg").write_bytes(content)
    samples, _, fault = read(tmp_path / "all.ogg")
    assert fault == ""
    assert samples.size / RATE_HZ == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("full_scale", [2**15, 2**23, 2**31])
def test_float_samples_on_the_scale_of_whole_numbers(tmp_path: Path, subtype: str, full_scale: int) -> None:
    voice = np.concatenate((np.zeros(RATE_HZ, np.float32), SWEEP))
    samples = read(wav(tmp_path / "a.wav", np.rint(voice * full_scale), subtype=subtype))[0]
    assert np.abs(samples - np.rint(voice * 32768)).max() <= 1


def test_float_samples_that_are_damaged_or_a_bit_too_loud_keep_their_scale(tmp_path: Path) -> None:
    loud = 4 * SWEEP
    loud[100:104] = [np.nan, np.inf, -np.inf, 1e30]
    samples = read(wav(tmp_path / "a.wav", loud, subtype="FLOAT"))[0]
    assert samples[100:104].tolist() == [0, 32767, -32768, 32767]
    assert np.array_equal(samples[200:], np.clip(np.rint(loud[200:] * 32768), -32768, 32767))


def test_channels_are_separate_or_mixed(tmp_path: Path) -> None:
    stereo = np.stack((SWEEP, -0.5 * SWEEP), axis=1)
    path = encode(tmp_path / "a.wav", stereo, codec="pcm_s16le")
    with closing(open_sound(str(path))) as sound:
        assert (sound.channels, sound.rate_hz) == (2, RATE_HZ)
        assert sound.length_s == pytest.approx(4.0)
        apart = np.concatenate(list(sound.blocks()))
    assert np.abs(apart - stereo).max() < 1e-4
    assert read(path)[0].shape == SWEEP.shape


def test_opposite_channels_are_kept(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", np.stack((SWEEP, -SWEEP), axis=1), codec="aac")
    assert_same_sound(at_16_khz(path)[0], SWEEP)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable sound file: it is empty"),
        (b"nonsense", "not a readable sound file: Format not recognised"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n", "not a readable sound file: Format not recognised"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "not a readable sound file: Format not recognised"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "not a readable sound file: Format not recognised"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(1000), "not a readable sound file: "),
        (b"OggS" + bytes(1000), "not a readable sound file: "),
    ],
)
def test_file_without_sound_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioFileError) as refused:
        open_sound(str(tmp_path / "a.wav"))
    assert str(refused.value).startswith(f"{tmp_path}/a.wav: {message}")
    assert len(str(refused.value).splitlines()) == 1


def header_of(channels: int, rate_hz: int, tag: int = 1) -> bytes:
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, min(rate_hz * channels * 2, 2**32 - 1), 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", 36 + 3200) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (header_of(1, 1), "its sample rate is 1 Hz; 2000 to 768000 Hz are supported"),
        (header_of(1, 2_000_000_000), "its sample rate is 2000000000 Hz; 2000 to 768000 Hz are supported"),
        (header_of(9, 16_000), "has 9 channels; at most 8 are supported"),
        (header_of(1_000, 16_000), "has 1000 channels; at most 8 are supported"),
        (header_of(1, 16_000, tag=0x0123), "not a readable sound file: its codec is not supported"),
    ],
)
def test_format_that_is_not_supported_is_named(tmp_path: Path, header: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(header + struct.pack("<I", 3200) + bytes(3200))
    with pytest.raises(AudioFileError) as refused:
        open_sound(str(tmp_path / "a.wav"))
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("extension", "codec", "options"),
    [
        ("webm", "libopus", {"live": "1"}),
        ("mkv", "libopus", {"live": "1"}),
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("mp4", "aac", {"movflags": "faststart"}),
        ("mp3", "libmp3lame", {"write_xing": "0"}),
    ],
)
def test_files_as_browsers_and_streams_write_them(
    tmp_path: Path, extension: str, codec: str, options: dict[str, str]
) -> None:
    path = encode(tmp_path / f"a.{extension}", sweep(4.0, 48_000), codec=codec, rate_hz=48_000, options=options)
    samples, fault = at_16_khz(path)
    assert fault == ""
    assert_same_sound(samples, SWEEP)


@pytest.mark.parametrize("extension", ["m4a", "mov", "3gp"])
def test_mp4_without_its_index_is_reported(tmp_path: Path, extension: str) -> None:
    path = encode(tmp_path / f"a.{extension}", SWEEP, codec="aac")
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(
        AudioFileError, match=r"it is an MP4 without its index, which stands at the end: it was cut off"
    ):
        open_sound(str(path))


@pytest.mark.parametrize("extension", ["mkv", "mp4", "avi", "flv"])
def test_video_that_is_longer_than_its_sound_is_not_cut(tmp_path: Path, extension: str) -> None:
    with av.open(tmp_path / f"a.{extension}", "w") as output:
        pictures = output.add_stream("flv" if extension == "flv" else "mpeg4", rate=10, width=32, height=32)
        pictures.pix_fmt = "yuv420p"
        sound = output.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(sweep(2.0, 44_100).reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = 44_100
        output.mux([*sound.encode(frame), *sound.encode(None)])
        for number in range(60):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts = number
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
    samples, fault = at_16_khz(tmp_path / f"a.{extension}")
    assert fault == ""
    assert samples.size / RATE_HZ == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU"])
def test_file_without_samples_is_no_fault(tmp_path: Path, container: str) -> None:
    soundfile.write(tmp_path / "a", np.zeros(0), RATE_HZ, format=container, subtype="PCM_16")
    samples, _, fault = read(tmp_path / "a")
    assert (samples.size, fault) == (0, "")


def test_video_without_sound_is_refused(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mp4", "w") as output:
        stream = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match="not a readable sound file: it contains no audio"):
        open_sound(str(tmp_path / "a.mp4"))


def test_reading_ends_at_the_longest_length(tmp_path: Path) -> None:
    for path in (wav(tmp_path / "a.wav"), encode(tmp_path / "a.mp3", SWEEP, codec="libmp3lame")):
        samples, _, fault = read(path, max_length_s=2.0)
        assert fault == f"{path}: is longer than 2 s"
        assert samples.size <= 2 * RATE_HZ


def test_long_file_takes_little_memory(tmp_path: Path) -> None:
    """Ten minutes of audio, whose samples take 19 MB."""
    for path in (
        encode(tmp_path / "a.m4a", np.zeros(600 * 8_000, np.float32), codec="aac", rate_hz=8_000),
        wav(tmp_path / "a.flac", np.zeros(600 * 8_000, np.float32), rate_hz=8_000),
    ):
        tracemalloc.start()
        with closing(open_sound(str(path))) as sound:
            length_s = sum(block.size for block in sound.mono_blocks()) / sound.rate_hz
        assert length_s == pytest.approx(600, abs=1)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
        tracemalloc.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes of this kind")
def test_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", SWEEP, codec="aac")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(path.read_bytes()))
    writer.start()
    with closing(open_sound(str(tmp_path / "pipe"))) as sound:
        assert sound.is_copy
        samples = np.concatenate(list(sound.mono_blocks()))
    writer.join()
    assert np.array_equal(samples, read(path)[0])


def test_endless_pipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "MAX_PIPE_BYTES", 3 << 20)
    monkeypatch.setattr(source_module.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AudioFileError, match=r"/dev/zero: has more than 0 GiB; save it as a file"):
        open_sound("/dev/zero")
    assert list(tmp_path.iterdir()) == []


def test_pipe_that_fills_the_disk_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO(bytes(5 << 19))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9 << 18, before[1]))  # within the last piece
    try:
        with pytest.raises(AudioFileError, match="-: cannot be copied to a temporary file: No space left on device"):
            open_sound("-")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_closed_standard_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AudioFileError, match="-: standard input is closed"):
        open_sound("-")


def test_dev_stdin_and_substitution_are_read(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav")
    script = (
        "import sys; from trio_stt.sound.reader import open_sound\n"
        "for name in sys.argv[1:]: print(sum(block.size for block in open_sound(name).mono_blocks()))"
    )
    command = f'cat {path} | {sys.executable} -c "$0" /dev/stdin <(cat {path}) {path}'
    done = subprocess.run(["bash", "-c", command, script], capture_output=True, check=True, timeout=60)  # noqa: S603, S607
    assert done.stdout.split() == [b"64000"] * 3


@pytest.mark.parametrize("stated_bytes", [1000, 20_000])
def test_sound_behind_the_stated_size_of_a_wav_is_reported(tmp_path: Path, stated_bytes: int) -> None:
    samples, _, fault = read(with_size(tmp_path / "a.wav", stated_bytes))
    assert samples.size == stated_bytes // 2
    assert f"its header states {samples.size / RATE_HZ:.1f} s" in fault


@pytest.mark.parametrize(
    "rest", [b"LIST\x04\0\0\0INFO", b"id3 \x00\x20\0\0" + bytes(8192), bytes(9000), b"TAG" + bytes(125)]
)
def test_what_programs_append_to_a_wav_is_no_fault(tmp_path: Path, rest: bytes) -> None:
    path = wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes() + rest)
    assert read(path)[2] == ""


SPECIMENS: list[tuple[str, float, Callable[[str], bool]]] = [
    ("speech_size0.wav", 10.5, lambda fault: not fault),
    ("speech_unknown_length.flac", 10.5, lambda fault: not fault),
    ("speech_cut.flac", 7.2, bool),
    ("speech_cut.mp3", 6.3, bool),
    ("speech_gsm610.wav", 10.6, lambda fault: not fault),
    ("g721.wav", 1.0, lambda fault: not fault),
    ("opposite_phase.flac", 10.5, lambda fault: not fault),
]


@pytest.mark.parametrize(("name", "length_s", "is_expected"), SPECIMENS)
def test_specimens(name: str, length_s: float, is_expected: Callable[[str], bool]) -> None:
    samples, rate_hz, fault = read(shared_input(name))
    assert samples.size / rate_hz == pytest.approx(length_s, abs=0.1)
    assert is_expected(fault)
    if name == "opposite_phase.flac":
        assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 2_000
