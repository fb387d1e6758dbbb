"""The frame parser gives the events of wsproto, whatever a client sends and however the bytes are split."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from trio_stt.hypercorn_adapter.frames import Frames, Passthrough

Outcome = tuple[object, ...]


def frame(first: int, payload: bytes, key: bytes = b"\1\2\3\4", form: int = 0) -> bytes:
    """A frame with any first byte. `form` is the least number of bytes of the size, which may be more than needed."""
    size = len(payload)
    if form == 8 or size > 65_535:
        head = bytes([first, 0xFF]) + size.to_bytes(8)
    elif form == 2 or size > 125:
        head = bytes([first, 0xFE]) + size.to_bytes(2)
    else:
        head = bytes([first, 0x80 | size])
    mask = (key * (size // 4 + 1))[:size]
    return head + key + (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


class Alone:
    """wsproto alone."""

    def __init__(self) -> None:
        self.connection = Connection(ConnectionType.SERVER)

    def feed(self, data: bytes) -> Iterable[str | bytes | Event]:
        self.connection.receive_data(data)
        yield from self.connection.events()


class Behind:
    """wsproto behind `Frames`, and how many messages bypassed it."""

    def __init__(self) -> None:
        self.connection = Connection(ConnectionType.SERVER)
        self.passed = 0
        self._frames = Frames()

    def feed(self, data: bytes) -> Iterable[str | bytes | Event]:
        self._frames.feed(data)
        while (read := self._frames.next()) is not None:
            if isinstance(read, Passthrough):
                if self.connection.state is ConnectionState.OPEN:
                    self.connection.receive_data(read.data)
                    yield from self.connection.events()
            else:
                self.passed += 1
                yield read


def outcomes(reader: Alone | Behind, parts: Iterable[bytes]) -> list[Outcome]:
    """All events of these parts, up to a close frame or a protocol error."""
    found: list[Outcome] = []
    collected: list[str | bytes] = []
    for part in parts:
        for event in reader.feed(part):
            match event:
                case str() | bytes():
                    found.append(("message", event))
                case TextMessage() | BytesMessage():
                    collected.append(event.data if isinstance(event, TextMessage) else bytes(event.data))
                    if event.message_finished:
                        found.append(("message", type(collected[0])().join(collected)))  # type: ignore[arg-type]  # of one kind
                        collected = []
                case Ping() | Pong():
                    found.append((type(event), bytes(event.payload)))
                case CloseConnection():
                    return [*found, ("close", event.code, event.reason, reader.connection.state)]
    return found


sizes = st.one_of(st.integers(0, 12), st.sampled_from([125, 126, 127, 65_535]))
keys = st.binary(min_size=4, max_size=4)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Mostly valid frames of a client, often broken ones."""
    first = draw(st.one_of(st.sampled_from([0x81, 0x82, 0x82]), st.sampled_from([0x01, 0x02, 0x00, 0x80])))
    size = draw(sizes)
    payload = draw(
        st.one_of(
            st.text(max_size=6).map(str.encode), st.binary(max_size=6), st.just(b"\xc3" * size), st.just(b"." * 65_536)
        )
    )
    if draw(st.integers(0, 7)) == 0:
        first = draw(st.integers(0, 255))
    if first in {0x88, 0x89, 0x8A}:
        payload = payload[:100]
    whole = frame(first, payload, draw(keys), draw(st.sampled_from([0, 0, 0, 0, 2, 8])))
    return draw(st.sampled_from([whole] * 9 + [bytes([whole[0], whole[1] & 0x7F]) + whole[2:]]))


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Bytes as a socket returns them: any number of frames, split anywhere, the last possibly incomplete."""
    stream = b"".join(draw(st.lists(st.one_of(frames(), frames(), frames(), st.binary(max_size=9)), max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], cuts, strict=False) if end > start]


@given(streams())
def test_any_bytes_cut_anywhere_give_the_events_of_wsproto(parts: list[bytes]) -> None:
    assert outcomes(Behind(), parts) == outcomes(Alone(), parts)


@given(st.data())
def test_plain_frames_bypass_wsproto_wherever_they_are_cut(data: st.DataObject) -> None:
    messages = data.draw(st.lists(st.one_of(st.binary(max_size=300), sizes.map(lambda size: b"\7" * size)), max_size=5))
    stream = b"".join(frame(0x82, message, data.draw(keys)) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = Behind()
    assert outcomes(reader, parts) == [("message", message) for message in messages]
    assert reader.passed == len(messages)
