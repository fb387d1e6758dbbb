"""G.711: all codes against libsndfile's tables, and values that the recommendation names."""

import io

import numpy as np
import pytest
import soundfile

from trio_stt.dsp.g711 import Law, decode

ALL_CODES = bytes(range(256))


@pytest.mark.parametrize(("law", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_every_code_has_the_value_that_libsndfile_gives(law: Law, subtype: str) -> None:
    expected, _ = soundfile.read(
        io.BytesIO(ALL_CODES), format="RAW", subtype=subtype, samplerate=8_000, channels=1, dtype="int16"
    )
    decoded = decode(ALL_CODES, law)
    assert decoded.dtype == np.int16
    assert np.array_equal(decoded, expected)


@pytest.mark.parametrize(
    ("law", "code", "value"),
    [
        ("mulaw", 0xFF, 0),
        ("mulaw", 0x7F, 0),
        ("mulaw", 0x80, 32_124),  # 8031 in units of 14 bits, the largest
        ("mulaw", 0x00, -32_124),
        ("alaw", 0xD5, 8),  # the smallest step has no zero
        ("alaw", 0x55, -8),
        ("alaw", 0xAA, 32_256),  # 4032 in units of 13 bits, the largest
        ("alaw", 0x2A, -32_256),
    ],
)
def test_silence_and_the_largest_values_are_those_of_the_recommendation(law: Law, code: int, value: int) -> None:
    assert decode(bytes([code]), law).tolist() == [value]


@pytest.mark.parametrize("data", [b"", bytearray(b"\xff\x00"), memoryview(b"\x00\xff\xd5")[1:]])
def test_any_buffer_of_any_length_is_decoded(data: bytes | bytearray | memoryview) -> None:
    assert decode(data, "mulaw").tolist() == [int(decode(bytes([code]), "mulaw")[0]) for code in bytes(data)]
