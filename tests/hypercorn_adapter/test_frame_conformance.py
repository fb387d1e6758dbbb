"""WebSocket frames as RFC 6455 has them: the cases of the Autobahn test suite against an app that sends messages back.

The suite itself needs Python 2 (its version 25.10.1 still depends on Twisted 19.10). Its sections 12 and 13 are about
compression, which is never agreed on. Every case also demands a clean end: the close frame arrives, and after the
client's own the connection ends without a reset.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from tests.support.in_process import accepting
from tests.support.raw_socket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, handshake

PROTOCOL_ERROR, INVALID_TEXT, NORMAL = 1002, 1007, 1000
Frame = tuple[int, bytes]


@dataclass(frozen=True)
class Case:
    """What a client sends, and which frames it must get: the close frame last.

    Attributes:
        sent: In these pieces, with a pass of the event loop in between.
        received: Data and control frames before the close.
        code: Of the close frame; None if it has none.
    """

    name: str
    sent: Sequence[bytes]
    received: Sequence[Frame] = ()
    code: int | None = NORMAL


NORMAL_CLOSE = frame(CLOSE, NORMAL.to_bytes(2))


def chopped(data: bytes, size: int = 1) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def echoed(name: str, *sent: bytes, back: Sequence[Frame]) -> Case:
    return Case(name, [*sent, NORMAL_CLOSE], back)


def failed(name: str, *sent: bytes, code: int = PROTOCOL_ERROR, back: Sequence[Frame] = ()) -> Case:
    return Case(name, [*sent], back, code)


def messages() -> Iterator[Case]:
    for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536):
        for opcode, payload in ((TEXT, b"*" * size), (BINARY, b"\xfe" * size)):
            yield echoed(f"{opcode} of {size} bytes", frame(opcode, payload), back=[(opcode, payload)])
    yield echoed("chopped", *chopped(frame(TEXT, b"*" * 65_536), 997), back=[(TEXT, b"*" * 65_536)])
    yield echoed("single bytes", *chopped(frame(BINARY, bytes(range(256)))), back=[(BINARY, bytes(range(256)))])


def pings() -> Iterator[Case]:
    for payload in (b"", b"hello", b"\0\xff\xfe\xfd", b"\xfe" * 125):
        yield echoed(f"ping of {len(payload)} bytes", frame(PING, payload), back=[(PONG, payload)])
        yield echoed(f"chopped ping of {len(payload)}", *chopped(frame(PING, payload)), back=[(PONG, payload)])
    yield failed("ping of 126 bytes", frame(PING, bytes(126)))
    yield echoed("pongs that were not asked for", frame(PONG), frame(PONG, b"x"), frame(PING), back=[(PONG, b"")])
    sent = b"".join(frame(PING, b"%d" % number) for number in range(10))
    yield echoed("ten pings", sent, back=[(PONG, b"%d" % number) for number in range(10)])


def reserved() -> Iterator[Case]:
    hello = frame(TEXT, b"hello")
    for bits in range(1, 8):
        for opcode in (TEXT, BINARY, PING, CLOSE):
            yield failed(f"reserved bits {bits} of {opcode}", frame(opcode | bits << 4))
            yield failed(
                f"bits {bits} of {opcode} after text", hello, frame(opcode | bits << 4), back=[(TEXT, b"hello")]
            )
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield failed(f"reserved opcode {opcode}", frame(opcode, b"x"))
        yield failed(f"opcode {opcode} after text", hello, frame(opcode), back=[(TEXT, b"hello")])
    yield failed("no mask", b"\x81\x05hello")
    yield failed("length in 2 bytes that needs 1", b"\x82\xfe\0\x05\0\0\0\0hello")
    yield failed("length in 8 bytes that needs 2", b"\x82\xff" + (300).to_bytes(8) + bytes(304))
    yield failed("negative length", b"\x82\xff" + b"\xff" * 8 + bytes(10))


def fragments() -> Iterator[Case]:
    first, last = frame(TEXT, b"first", fin=False), frame(CONTINUATION, b"last")
    whole = (TEXT, b"firstlast")
    yield failed("fragmented ping", frame(PING, b"a", fin=False), frame(CONTINUATION, b"b"))
    yield failed("fragmented pong", frame(PONG, b"a", fin=False), frame(CONTINUATION, b"b"))
    yield failed("fragmented close", frame(CLOSE, b"\3\xe8", fin=False))
    yield echoed("two fragments", first, last, back=[whole])
    yield echoed("two fragments together", first + last, back=[whole])
    yield echoed("single bytes", *chopped(first + last), back=[whole])
    yield echoed("ping in between", first, frame(PING, b"p"), last, back=[(PONG, b"p"), whole])
    yield echoed("ping in between, together", first + frame(PING, b"p") + last, back=[(PONG, b"p"), whole])
    empty = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION)
    yield echoed("empty fragments", empty, back=[(TEXT, b"")])
    for fin in (True, False):
        yield failed(f"continuation of nothing, last: {fin}", frame(CONTINUATION, b"x", fin=fin), frame(TEXT, b"y"))
        again = frame(CONTINUATION, b"x", fin=fin)
        yield failed(f"continuation after the last, last: {fin}", first + last, again, back=[whole])
    yield failed("text inside of a fragmented text", first, frame(TEXT, b"other"))
    yield failed("binary inside of a fragmented text", first, frame(BINARY, b"other", fin=False))
    parts = [frame(BINARY, b"x" * 1000, fin=False), *[frame(CONTINUATION, b"y" * 1000, fin=False)] * 1000]
    payload = b"x" * 1000 + b"y" * 1_000_000
    yield echoed("a megabyte in fragments", b"".join(parts) + frame(CONTINUATION), back=[(BINARY, payload)])


VALID = "κόσμε", "\0", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"
INVALID = [
    *(b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"),
    *(b"\x80", b"\xbf", b"\xfe", b"\xff", b"\xc2", b"\xe0\xa0", b"\xf0\x90\x80", b"\xce\xba\xe1\xbd\xb9\xcf\xff"),
]


def texts() -> Iterator[Case]:
    for text in VALID:
        data = text.encode()
        halves = frame(TEXT, data[:1], fin=False) + frame(CONTINUATION, data[1:])
        yield echoed(f"valid {text!a}", frame(TEXT, data), back=[(TEXT, data)])
        yield echoed(f"valid {text!a} in fragments", halves, back=[(TEXT, data)])
        yield echoed(f"valid {text!a} in single bytes", *chopped(halves), back=[(TEXT, data)])
    for data in INVALID:
        halves = frame(TEXT, data[:1], fin=False) + frame(CONTINUATION, data[1:])
        yield failed(f"invalid {data!r}", frame(TEXT, b"valid " + data), code=INVALID_TEXT)
        yield failed(f"invalid {data!r} in fragments", halves, code=INVALID_TEXT)
    wrong = b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80"
    yield failed("invalid before the message is whole", frame(TEXT, wrong, fin=False), code=INVALID_TEXT)
    yield failed("invalid before the frame is whole", frame(TEXT, wrong, announced=1000), code=INVALID_TEXT)


def closes() -> Iterator[Case]:
    yield Case("empty close", [frame(CLOSE)], code=None)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"close with {code}", [frame(CLOSE, code.to_bytes(2) + b"reason")], code=code)
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield failed(f"close with {code}", frame(CLOSE, code.to_bytes(2)))
    yield Case("longest reason", [frame(CLOSE, b"\3\xe8" + b"*" * 123)])
    yield failed("longer reason", frame(CLOSE, b"\3\xe8" + b"*" * 124))
    yield failed("half a code", frame(CLOSE, b"\3"))
    yield failed("reason that is not text", frame(CLOSE, b"\3\xe8\xce\xff"), code=INVALID_TEXT)
    for later in (frame(TEXT, b"late"), frame(PING), NORMAL_CLOSE):
        yield Case("frame after the close", [NORMAL_CLOSE + later])
    yield Case("close inside of a fragmented message", [frame(TEXT, b"first", fin=False), NORMAL_CLOSE])
    yield Case("message before the close", [frame(TEXT, b"x") + NORMAL_CLOSE], [(TEXT, b"x")])


SECTIONS = {each.__name__: list(each()) for each in (messages, pings, reserved, fragments, texts, closes)}


async def send_back(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        binary, text = event.get("bytes"), event.get("text")
        await send({"type": "websocket.send", "bytes": binary, "text": text if binary is None else None})


class Frames:
    """What a server sends, as frames."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    async def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            received = await self._stream.receive_some()
            assert received, "the connection ended without a close frame"
            self._data += received
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    async def next(self) -> Frame:
        first, size = await self._take(2)
        assert first & 0x80, "servers send whole messages"
        if size >= 126:
            size = int.from_bytes(await self._take(2 if size == 126 else 8))
        return first & 0x7F, await self._take(size)

    async def head(self) -> None:
        while b"\r\n\r\n" not in self._data:
            self._data += await self._stream.receive_some()
        self._data = self._data.partition(b"\r\n\r\n")[2]

    async def end(self) -> None:
        """Read the end of the connection; a reset raises."""
        assert not self._data
        assert await self._stream.receive_some() == b"", "nothing follows a close frame"


async def run(port: int, case: Case) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        frames = Frames(stream)
        await stream.send_all(handshake(port))
        await frames.head()
        for piece in case.sent:
            await stream.send_all(piece)
            await trio.lowlevel.checkpoint()
        found = []
        while not found or found[-1][0] != CLOSE:
            found.append(await frames.next())
        code = int.from_bytes(found[-1][1][:2]) if found[-1][1] else None
        assert (found[:-1], code) == ([*case.received], case.code)
        if not any(piece.startswith(b"\x88") for piece in case.sent):
            await stream.send_all(NORMAL_CLOSE)
        await frames.end()


@pytest.mark.parametrize("section", SECTIONS)
async def test_frames_are_handled_as_the_standard_says(monkeypatch: pytest.MonkeyPatch, section: str) -> None:
    failures: list[str] = []

    async def attempt(case: Case) -> None:
        try:
            with trio.fail_after(20):
                await run(port, case)
        except (AssertionError, trio.TooSlowError, trio.BrokenResourceError) as error:
            failures.append(f"{case.name}: {type(error).__name__} {error}")

    async with accepting(monkeypatch, send_back) as port:
        for case in SECTIONS[section]:
            await attempt(case)
    assert not failures, "\n".join(failures)
