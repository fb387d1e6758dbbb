"""Frames in pieces of any size, compared with the reference implementation."""

import io
import json
from contextlib import suppress

import pytest
import wyoming.event
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_stt.api.wyoming.framing import (
    MAX_DATA_BYTES,
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameReader,
    InvalidEvent,
    WyomingEvent,
    decode,
    encode,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
DATA = st.dictionaries(st.text(max_size=5), JSON, max_size=4)
EVENTS = st.builds(
    wyoming.event.Event, type=st.text(max_size=10), data=DATA, payload=st.none() | st.binary(max_size=50)
)


def written(event: wyoming.event.Event) -> bytes:
    """An event as the reference implementation writes it."""
    file = io.BytesIO()
    wyoming.event.write_event(event, file)
    return file.getvalue()


def read(data: bytes, piece_bytes: int = 1 << 20) -> list[WyomingEvent]:
    reader = FrameReader()
    pieces = (data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes))
    return [decode(frame) for piece in pieces for frame in reader.feed(piece)]


@settings(max_examples=40)
@given(events=st.lists(EVENTS, max_size=4), piece_bytes=st.integers(1, 80))
def test_events_of_the_reference_are_read_in_pieces_of_any_size(
    events: list[wyoming.event.Event], piece_bytes: int
) -> None:
    found = read(b"".join(map(written, events)), piece_bytes)
    assert [(event.type, event.data, bytes(event.payload)) for event in found] == [
        (event.type, event.data, event.payload or b"") for event in events
    ]


@given(data=DATA)
def test_the_reference_reads_written_events(data: dict[str, object]) -> None:
    event = wyoming.event.read_event(io.BytesIO(encode("info", data)))
    assert event is not None
    assert (event.type, event.data, event.payload) == ("info", data, None)


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b'{"type":"x"}\n', {}),
        (b'{"type":"x","data":{"a":1}}\n', {"a": 1}),
        (b'{"type":"x","data":null,"data_length":null,"payload_length":null}\n', {}),
        (b'{"type":"x","data":{"a":1,"b":2},"data_length":7,"new":[]}\n{"b":3}', {"a": 1, "b": 3}),
        (b'{"type":"x"}\r\n', {}),
    ],
)
def test_both_forms_of_data(frame: bytes, data: dict[str, object]) -> None:
    (event,) = read(frame)
    assert (event.type, event.data) == ("x", data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\n",
        b"[]\n",
        b'{"data":{}}\n',
        b'{"type":1}\n',
        b'{"type":"x","data":[]}\n',
        b'{"type":"x","data_length":2}\n[]',
        b'{"type":"x","data_length":-1}\n',
        b'{"type":"x","data_length":%d}\n' % (MAX_DATA_BYTES + 1),
        b'{"type":"x","payload_length":%d}\n' % (MAX_PAYLOAD_BYTES + 1),
        b'{"type":"x","payload_length":"1"}\n',
        b'{"type":"\xff"}\n',
        b'{"type":' + b"[" * 60_000 + b"\n",
        b"x" * (MAX_LINE_BYTES + 1),
        json.dumps({"type": "x" * MAX_LINE_BYTES}).encode() + b"\n",
    ],
    ids=lambda data: repr(data[:50]),
)
def test_invalid_frames(data: bytes) -> None:
    with pytest.raises(InvalidEvent):
        read(data)


def test_longest_frame() -> None:
    line = b'{"type":"x","data_length":%d,"payload_length":%d}' % (MAX_DATA_BYTES, MAX_PAYLOAD_BYTES)
    body = b'{"a":"%b"}' % (b"x" * (MAX_DATA_BYTES - 8))
    reader = FrameReader()
    assert not reader.feed(line.ljust(MAX_LINE_BYTES) + b"\n" + body + bytes(MAX_PAYLOAD_BYTES - 1))
    assert reader.is_inside
    (frame,) = reader.feed(b"\0")
    assert len(decode(frame).payload) == MAX_PAYLOAD_BYTES
    assert not reader.is_inside


@given(
    data=st.binary()
    | st.lists(st.sampled_from([b'{"type":"x"', b'"data_length":3', b",", b"}", b"\n", b"{}"])).map(b"".join)
)
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(InvalidEvent):
        read(data, 3)
