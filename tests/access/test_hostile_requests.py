"""Invalid requests over real sockets: each gets an answer below 500 and leaves no traceback in the log."""

import logging
import re
from collections.abc import Iterable
from urllib.parse import quote

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from trio_stt.api.http import page_folder

LONGEST_LOG_MESSAGE = 300
UNKNOWN_VERSION = 505
SPECIMENS = [
    b"GET /web/" + b"a/" * 7000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /web/" + b"a" * 300 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /web/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /web/%0a%1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: !\r\n\r\n"
    ),
    (
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ),
    (
        b"GET /ws/transcribe HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\r\n\r\n"
    ),
    b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
]
RANGES = [
    "bytes=-5",
    f"bytes=0-{'9' * 22}",
    "bytes=5-2",
    "bytes=0-1,3-4",
    "lines=1-2",
    "bytes=",
    "bytes=999999-",
    "bytes=0-3",
    "bytes=2-99999999",
]
TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=20)
PATHS = st.one_of(
    st.sampled_from(["/", "/health", "/api/config", "/api/metrics", "//api/metrics", "/ws/transcribe", "/web/main.js"]),
    st.text(max_size=30).map(lambda text: "/web/" + quote(text.encode("utf-8", "replace"))),
    st.binary(max_size=10).map(lambda data: "/" + quote(data)),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20).map(lambda text: text or "/"),
    TEXT.map(lambda text: "http://" + quote(text)),
)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "Range": st.one_of(st.sampled_from(RANGES), st.from_regex(r"bytes=[0-9 ,-]{0,30}", fullmatch=True)),
    "Host": st.one_of(st.just("localhost"), TEXT),
    "Connection": st.sampled_from(["close", "keep-alive, Upgrade", "Upgrade"]),
    "Upgrade": st.sampled_from(["websocket", "h2c", "WEBSOCKET"]),
    "Sec-WebSocket-Version": st.sampled_from(["13", "8", "x"]),
    "Content-Type": st.sampled_from(["application/json", "multipart/form-data; boundary=", "text/plain; charset=nope"]),
    "Content-Length": st.sampled_from(["0", "1", "-1", "9" * 30]),
}
for _name in (
    *("If-Range", "If-Modified-Since", "If-None-Match", "Cookie", "Authorization", "Forwarded", "X-Forwarded-For"),
    *("X-Forwarded-Proto", "X-Forwarded-Host", "Origin", "Accept", "Accept-Encoding", "Sec-WebSocket-Key"),
    *("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Referer", "Date"),
):
    VALUES[_name] = TEXT
HEADERS = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(lambda name: VALUES[name].map(lambda value: f"{name}: {value}")), max_size=5
)
METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PATCH", "CONNECT", "get", "X"])
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "ICY"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    line = f"{draw(METHODS)} {draw(PATHS)} {draw(VERSIONS)}"
    return "\r\n".join([line, *draw(HEADERS), "", ""]).encode("latin-1")


async def statuses(port: int, sent: Iterable[bytes]) -> list[int | None]:
    """The status of each answer; None if the connection was closed without an answer."""
    return [await _status(port, request) for request in sent]


async def _status(port: int, request: bytes) -> int | None:
    received = b""
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            try:
                await stream.send_all(request)
                while not _is_whole(received, request) and (data := await stream.receive_some()):
                    received += data
            except trio.BrokenResourceError:
                pass
    return int(received.split()[1]) if received.startswith(b"HTTP/") else None


def _is_whole(answer: bytes, request: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and (request.startswith(b"HEAD") or length is None or len(body) >= int(length[1]))


def assert_unharmed(records: Iterable[logging.LogRecord]) -> None:
    for record in records:
        if record.name == "trio_stt.runtime.loop_stalls":  # of this machine under load: several lines
            continue
        message = record.getMessage()
        assert record.exc_info is None, message
        assert message.isprintable(), message
        assert len(message) <= LONGEST_LOG_MESSAGE, message


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterable[pytest.LogCaptureFixture]:
    """All log lines, including those of Hypercorn and Quart."""
    logger = logging.getLogger("trio_stt")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


async def test_requests_that_once_failed_are_rejected(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port:
        found = await statuses(port, SPECIMENS)
    assert all(status is None or 400 <= status < 500 for status in found[:-4]), found
    assert found[-3:] == [404, 400, UNKNOWN_VERSION]
    assert_unharmed(log.records)


@pytest.mark.parametrize("value", RANGES)
async def test_ranges_are_served_or_ignored(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture, value: str
) -> None:
    request = f"GET /web/main.js HTTP/1.1\r\nHost: localhost\r\nRange: {value}\r\n\r\n".encode()
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port:
        found = await statuses(port, [request])
    assert found == [{"bytes=0-3": 206, "bytes=2-99999999": 206, "bytes=999999-": 416}.get(value, 200)]
    assert_unharmed(log.records)


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/captions"])
@pytest.mark.parametrize("last", [0, 1, 10**9])
async def test_range_that_ends_behind_the_file_has_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture, path: str, last: int
) -> None:
    name = {"/": "index.html", "/captions": "captions.html"}.get(path, "main.js")
    content = (page_folder() / name).read_bytes()
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nRange: bytes=7-{len(content) + last}\r\n\r\n".encode()
    async with (
        serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        await stream.send_all(request)
        head, _, body = b"".join([part async for part in stream]).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 206 ")
    assert body == content[7:]
    assert f"\r\ncontent-range: bytes 7-{len(content) - 1}/{len(content)}\r\n".encode() in head.lower() + b"\r\n"
    assert f"\r\ncontent-length: {len(content) - 7}\r\n".encode() in head.lower() + b"\r\n"
    assert_unharmed(log.records)


@pytest.mark.parametrize("path", ["/", "/web/main.js"])
async def test_range_behind_the_end_is_answered_with_the_length(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    size = (page_folder() / ("index.html" if path == "/" else "main.js")).stat().st_size
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nRange: bytes={size}-\r\n\r\n".encode()
    async with (
        serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        await stream.send_all(request)
        answer = b"".join([part async for part in stream])
    assert answer.startswith(b"HTTP/1.1 416 ")
    assert f"\r\ncontent-range: bytes */{size}\r\n".encode() in answer.lower()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO")  # the client disconnects during the open
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(requests(), min_size=5, max_size=20))
def test_no_request_fails_in_the_server(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture, sent: list[bytes]
) -> None:
    async def attack() -> list[int | None]:
        with monkeypatch.context() as patches:
            async with serving(patches, composed(patches, FakeEngine(), trusted_proxies="127.0.0.1")) as port:
                return await statuses(port, sent)

    log.clear()
    found = trio.run(attack)
    assert not [status for status in found if status is not None and status >= 500 and status != UNKNOWN_VERSION], found
    assert_unharmed(log.records)
