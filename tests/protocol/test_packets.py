"""Audio packets: each rule in its order, defaults, and arbitrary bytes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trio_stt.errors import PacketError
from trio_stt.protocol.packets import MAX_METADATA_BYTES, SampleFormat, build_packet, parse_packet

LIMIT = 64


def frame(metadata: object, pcm: bytes = b"") -> bytes:
    raw = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return len(raw).to_bytes(4, "little") + raw + pcm


GOOD = {"sampleRate": 16000}

# In the documented order of checks; each frame also breaks every later rule that it can.
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
    (frame(GOOD | {"format": ["mulaw"], "frames": 0}, b"\0"), "format must be pcm_s16le, mulaw or alaw"),
    (frame(GOOD | {"format": "MULAW", "frames": 0}, b"\0"), "format must be pcm_s16le, mulaw or alaw"),
    (frame(GOOD | {"channels": 2, "frames": 0}, b"\0\0"), "whole number"),
    (frame(GOOD | {"frames": 0}, b"\0\0"), "frames must be a positive"),
    (frame(GOOD | {"frames": None}, b"\0\0"), "frames must be a positive"),
    (frame(GOOD | {"frames": 2}, b"\0\0"), "does not match"),
    (frame(GOOD | {"format": "mulaw", "channels": 2, "frames": 1}, b"\0\0\0"), "whole number of 2-byte frames"),
    (frame(GOOD | {"format": "alaw", "frames": 1}, b"\0\0"), "does not match"),
]


@pytest.mark.contract("2.3")
@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_invalid_packet_is_rejected_by_the_first_broken_rule(broken: bytes, message: str) -> None:
    with pytest.raises(PacketError, match=message):
        parse_packet(broken, max_payload_bytes=LIMIT)


@dataclass
class Draft:
    """A packet under construction, valid until a violation changes it."""

    fields: dict[str, object] = field(default_factory=lambda: dict(GOOD))
    pcm: bytes = bytes(8)
    as_list: bool = False
    tail: bytes = b""
    announced: int | None = None
    length: int | None = None

    def frame(self) -> bytes:
        metadata = json.dumps([self.fields] if self.as_list else self.fields).encode() + self.tail
        announced = len(metadata) if self.announced is None else self.announced
        return (announced.to_bytes(4, "little") + metadata.ljust(announced) + self.pcm)[: self.length]


def violation(**changes: object) -> Callable[[Draft], None]:
    def apply(draft: Draft) -> None:
        for name, value in changes.items():
            setattr(draft, name, value)

    return apply


def longer(by: int) -> Callable[[Draft], None]:
    def apply(draft: Draft) -> None:
        draft.pcm += bytes(by)

    return apply


def wrong(name: str, value: object) -> Callable[[Draft], None]:
    def apply(draft: Draft) -> None:
        draft.fields[name] = value

    return apply


# The rules of docs/protocol.md, Audio packets, in their order: how a packet breaks each, and the answer's text.
RULES: dict[int, tuple[Callable[[Draft], None], str]] = {
    1: (violation(length=3), "missing metadata length"),
    2: (violation(announced=MAX_METADATA_BYTES + 1), "at most 65536"),
    3: (violation(length=9), "incomplete"),
    4: (violation(tail=b","), "invalid JSON"),
    5: (violation(as_list=True), "must be a JSON object"),
    6: (longer(LIMIT), "at most 64"),
    7: (wrong("sampleRate", 1), "sampleRate"),
    8: (wrong("channels", 0), "channels must be a positive integer"),
    9: (wrong("channels", 9), "channels must be at most 8"),
    10: (wrong("format", "f32"), "format must be pcm_s16le"),
    11: (longer(1), "not a whole number of"),
    12: (wrong("frames", 0), "frames must be a positive integer"),
    13: (wrong("frames", 3), "does not match"),
}
EXCLUDE_EACH_OTHER = {8, 9}


@pytest.mark.contract("2.3")
@pytest.mark.parametrize("rule", RULES)
def test_each_violation_breaks_its_rule(rule: int) -> None:
    draft = Draft()
    assert parse_packet(draft.frame(), max_payload_bytes=LIMIT).payload == draft.pcm
    violate, message = RULES[rule]
    violate(draft)
    with pytest.raises(PacketError, match=message):
        parse_packet(draft.frame(), max_payload_bytes=LIMIT)


@pytest.mark.contract("2.3")
@given(st.sets(st.sampled_from(sorted(RULES)), min_size=2))
def test_first_of_several_broken_rules_is_named(broken: set[int]) -> None:
    assume(not broken >= EXCLUDE_EACH_OTHER)
    assert_first_is_named(broken)


PAIRS = [pair for pair in combinations(RULES, 2) if set(pair) != EXCLUDE_EACH_OTHER]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_earlier_of_two_broken_rules_is_named(pair: tuple[int, int]) -> None:
    assert_first_is_named(set(pair))


def assert_first_is_named(broken: set[int]) -> None:
    draft = Draft()
    for rule in sorted(
        broken, reverse=True
    ):  # rules 1 and 3, and 12 and 13, concern the same value, so breaking the earlier one breaks both
        RULES[rule][0](draft)
    with pytest.raises(PacketError, match=RULES[min(broken)][1]):
        parse_packet(draft.frame(), max_payload_bytes=LIMIT)


@pytest.mark.contract("2.3")
def test_absent_fields_have_defaults_and_unknown_ones_are_ignored() -> None:
    packet = parse_packet(frame(GOOD | {"sentAt": 12.5, "x": [1]}, b"\1\0\2\0"), max_payload_bytes=LIMIT)
    assert (packet.rate_hz, packet.channels, bytes(packet.payload)) == (16000, 1, b"\1\0\2\0")
    assert packet.format is SampleFormat.PCM_S16LE


@pytest.mark.contract("2.3")
def test_empty_payload_is_a_valid_packet() -> None:
    assert not parse_packet(build_packet(b"", rate_hz=8000), max_payload_bytes=LIMIT).payload


@pytest.mark.contract("2.3")
def test_cached_metadata_is_checked_against_each_payload() -> None:
    announced = {**GOOD, "frames": 4}
    assert parse_packet(frame(announced, b"\0" * 8), max_payload_bytes=LIMIT).rate_hz == 16_000
    with pytest.raises(PacketError, match="does not match"):
        parse_packet(frame(announced, b"\0" * 10), max_payload_bytes=LIMIT)
    with pytest.raises(PacketError, match="at most 4 are allowed"):
        parse_packet(frame(announced, b"\0" * 8), max_payload_bytes=4)
    with pytest.raises(PacketError, match="not a whole number"):
        parse_packet(frame(GOOD, b"\0" * 9), max_payload_bytes=LIMIT)


@given(
    rate_hz=st.integers(8_000, 192_000),
    channels=st.integers(1, 8),
    coding=st.sampled_from(SampleFormat),
    frames=st.lists(st.binary(min_size=16, max_size=16), max_size=4),
)
def test_built_packet_parses_back(rate_hz: int, channels: int, coding: SampleFormat, frames: list[bytes]) -> None:
    payload = b"".join(frame[: coding.sample_bytes * channels] for frame in frames)
    built = build_packet(payload, rate_hz=rate_hz, channels=channels, coding=coding)
    packet = parse_packet(built, max_payload_bytes=LIMIT)
    assert (packet.rate_hz, packet.channels, packet.format) == (rate_hz, channels, coding)
    assert bytes(packet.payload) == payload


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(["sampleRate", "channels", "format", "frames"], json_values))


@pytest.mark.contract("2.3")
@given(st.binary(max_size=80) | st.builds(frame, fields | json_values, st.binary(max_size=80)))
def test_any_bytes_are_a_packet_or_a_packet_error(data: bytes) -> None:
    message, packet = "", None
    try:
        packet = parse_packet(data, max_payload_bytes=LIMIT)
    except PacketError as error:
        message = str(error)
    assert len(message) < 200
    if packet is not None:
        assert 8_000 <= packet.rate_hz <= 192_000
        assert len(packet.payload) % (packet.format.sample_bytes * packet.channels) == 0
        assert len(packet.payload) <= LIMIT
