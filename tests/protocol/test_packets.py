import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.errors import PacketError
from trio_stt.protocol.packets import MAX_METADATA_BYTES, build_packet, parse_packet

LIMIT = 64


def frame(metadata: object, pcm: bytes = b"") -> bytes:
    raw = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return len(raw).to_bytes(4, "little") + raw + pcm


GOOD = {"sampleRate": 16000}

# In the contract's order of checks; each frame also breaks every later rule that it can.
BROKEN = [
    (b"\x01\x00", "missing metadata length"),
    ((MAX_METADATA_BYTES + 1).to_bytes(4, "little"), "at most 65536"),
    ((9).to_bytes(4, "little") + b"{}", "incomplete"),
    (frame(b"", b"\0" * 99), "invalid JSON"),
    (frame(b"\xff\xfe", b"\0" * 99), "invalid JSON"),
    (frame(b"[" * 60_000, b"\0" * 99), "invalid JSON"),
    (frame(b'{"sampleRate":1' + b"0" * 5000 + b"}", b"\0" * 99), "invalid JSON"),
    (frame(b'{"sampleRate":NaN}', b"\0" * 99), "invalid JSON"),
    (frame([16000], b"\0" * 99), "must be a JSON object"),
    (frame({"channels": 0}, b"\0" * (LIMIT + 1)), "at most 64"),
    (frame({"channels": 0}), "sampleRate"),
    (frame({"sampleRate": True, "channels": 0}), "sampleRate"),
    (frame({"sampleRate": 16000.0, "channels": 0}), "sampleRate"),
    (frame({"sampleRate": "16000", "channels": 0}), "sampleRate"),
    (frame({"sampleRate": 7999, "channels": 0}), "8000 to 192000"),
    (frame({"sampleRate": 192001, "channels": 0}), "8000 to 192000"),
    (frame({"sampleRate": 999983, "channels": 0}), "8000 to 192000"),
    (frame({"sampleRate": 1, "channels": 0}), "8000 to 192000"),
    (frame(GOOD | {"channels": 0, "format": "f32"}), "channels must be a positive"),
    (frame(GOOD | {"channels": None, "format": "f32"}), "channels must be a positive"),
    (frame(GOOD | {"channels": 1.0, "format": "f32"}), "channels must be a positive"),
    (frame(GOOD | {"channels": 9, "format": "f32"}), "at most 8"),
    (frame(GOOD | {"format": "f32", "frames": 0}, b"\0"), "format must be pcm_s16le"),
    (frame(GOOD | {"format": None, "frames": 0}, b"\0"), "format must be pcm_s16le"),
    (frame(GOOD | {"channels": 2, "frames": 0}, b"\0\0"), "whole number"),
    (frame(GOOD | {"frames": 0}, b"\0\0"), "frames must be a positive"),
    (frame(GOOD | {"frames": None}, b"\0\0"), "frames must be a positive"),
    (frame(GOOD | {"frames": 2}, b"\0\0"), "does not match"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_packet_is_refused_by_the_first_rule_it_breaks(broken: bytes, message: str) -> None:
    with pytest.raises(PacketError, match=message):
        parse_packet(broken, max_pcm_bytes=LIMIT)


def test_absent_fields_take_their_defaults_and_unknown_ones_are_ignored() -> None:
    packet = parse_packet(frame(GOOD | {"sentAt": 12.5, "x": [1]}, b"\1\0\2\0"), max_pcm_bytes=LIMIT)
    assert (packet.rate_hz, packet.channels, bytes(packet.pcm)) == (16000, 1, b"\1\0\2\0")


def test_an_empty_payload_is_a_packet() -> None:
    assert not parse_packet(build_packet(b"", rate_hz=8000), max_pcm_bytes=LIMIT).pcm


@given(
    rate_hz=st.integers(8_000, 192_000),
    channels=st.integers(1, 8),
    frames=st.lists(st.binary(min_size=16, max_size=16), max_size=4),
)
def test_what_is_built_is_read_back(rate_hz: int, channels: int, frames: list[bytes]) -> None:
    pcm = b"".join(frame[: 2 * channels] for frame in frames)
    packet = parse_packet(build_packet(pcm, rate_hz=rate_hz, channels=channels), max_pcm_bytes=LIMIT)
    assert (packet.rate_hz, packet.channels, bytes(packet.pcm)) == (rate_hz, channels, pcm)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(["sampleRate", "channels", "format", "frames"], json_values))


@given(st.binary(max_size=80) | st.builds(frame, fields | json_values, st.binary(max_size=80)))
def test_any_bytes_are_a_packet_or_an_error_of_its_kind(data: bytes) -> None:
    message, packet = "", None
    try:
        packet = parse_packet(data, max_pcm_bytes=LIMIT)
    except PacketError as error:
        message = str(error)
    assert len(message) < 200
    if packet is not None:
        assert 8_000 <= packet.rate_hz <= 192_000
        assert len(packet.pcm) % (2 * packet.channels) == 0
        assert len(packet.pcm) <= LIMIT
