"""Downloads over real sockets: resumed, verified, and refused in one line."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPMessage
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from tests.models.conftest import ProgressRecorder
from tests.support.file_server import FileServer
from trio_stt.errors import ModelError
from trio_stt.models import download
from trio_stt.models.download import fetch
from trio_stt.models.spec import ModelSource

CONTENT = os.urandom(1_500_000)


def source(web: FileServer, *, pinned: bool = True) -> ModelSource:
    file = web.files["/weights.bin"]
    return ModelSource(
        name="weights.bin",
        url=web.url("weights.bin"),
        size_bytes=len(file.content) if pinned else None,
        sha256=file.sha256 if pinned else None,
    )


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "weights.bin.part"


@pytest.mark.parametrize("pinned", [True, False])
def test_file_is_downloaded_completely(web: FileServer, part: Path, recorder: ProgressRecorder, pinned: bool) -> None:
    file = web.serve("weights.bin", CONTENT)
    assert fetch(source(web, pinned=pinned), part, recorder) == file.sha256
    assert part.read_bytes() == CONTENT
    assert recorder.steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in recorder.steps] == sorted({done for done, _ in recorder.steps})


@pytest.mark.parametrize("pinned", [True, False])
def test_broken_connection_resumes_where_it_broke(
    web: FileServer, part: Path, recorder: ProgressRecorder, pinned: bool
) -> None:
    web.serve("weights.bin", CONTENT).cut_after = [400_000, 300_000]
    fetch(source(web, pinned=pinned), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert [byte_range for _, byte_range in web.requests] == ["", "bytes=400000-", "bytes=700000-"]


def test_later_call_resumes_where_an_earlier_one_failed(
    web: FileServer, part: Path, recorder: ProgressRecorder
) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after = [500_000, 0, 0, 0]
    with pytest.raises(ModelError, match=r"the connection ended after 500000 of 1500000 bytes$"):
        fetch(source(web), part, recorder, pause_s=0)
    web.requests.clear()
    fetch(source(web), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert web.requests == [("/weights.bin", "bytes=500000-")]


def test_server_without_ranges_starts_over(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after, file.ranges = [500_000], False
    fetch(source(web), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT


def test_changed_file_starts_over(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after = [500_000, 0, 0, 0]
    with pytest.raises(ModelError):
        fetch(source(web, pinned=False), part, recorder, pause_s=0)
    file.content = os.urandom(1_400_000)
    assert fetch(source(web, pinned=False), part, recorder, pause_s=0) == file.sha256
    assert part.read_bytes() == file.content


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_part_without_etag_or_checksum_is_not_resumed(
    web: FileServer, part: Path, recorder: ProgressRecorder, etag: str
) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after, file.etag = [500_000], etag
    fetch(source(web, pinned=False), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert [byte_range for _, byte_range in web.requests] == ["", ""]


def test_corrupt_part_starts_over(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT).etag = ""
    part.write_bytes(b"rubbish")
    fetch(source(web), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert recorder.messages == ["weights.bin: the part of an earlier attempt does not fit; starting over"]


def test_part_longer_than_the_file_starts_over(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT)
    part.write_bytes(CONTENT + b"more")
    fetch(source(web), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT


def test_wrong_checksum_is_refused_and_not_kept(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT)
    wanted = source(web)
    web.files["/weights.bin"].content = other = os.urandom(len(CONTENT))
    with pytest.raises(ModelError, match="has the wrong checksum: its sha256 is") as raised:
        fetch(wanted, part, recorder)
    assert "\n" not in str(raised.value)
    assert str(wanted.sha256) in str(raised.value)
    assert not part.exists()
    assert other != CONTENT


def test_wrong_size_is_refused_before_the_download(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT)
    wanted = source(web)
    web.files["/weights.bin"].content = CONTENT[:-1]
    with pytest.raises(ModelError, match="has 1499999 bytes; the catalogue says 1500000"):
        fetch(wanted, part, recorder)
    assert not recorder.steps


def test_unknown_length_is_refused(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT).length = False
    with pytest.raises(ModelError, match="the server does not send the file's length"):
        fetch(source(web, pinned=False), part, recorder)


def test_redirects_keep_the_requested_range(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT).cut_after = [500_000]
    web.serve("there", b"").redirect = web.url("elsewhere")
    web.serve("elsewhere", b"").redirect = web.url("weights.bin")
    moved = ModelSource(name="weights.bin", url=web.url("there"), size_bytes=len(CONTENT))
    fetch(moved, part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert ("/weights.bin", "bytes=500000-") in web.requests


@pytest.mark.parametrize("place", ["http://example.org/weights.bin", "file:///etc/passwd", "ftp://example.org/x"])
def test_redirect_out_of_tls_is_refused(place: str) -> None:
    with pytest.raises(HTTPError, match="out of TLS"):
        download._Redirects().redirect_request(
            Request("https://example.org/weights.bin"), BytesIO(), 302, "Found", HTTPMessage(), place
        )


def test_redirect_loop_ends(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", b"").redirect = web.url("weights.bin")
    with pytest.raises(ModelError, match="the server answers 302"):
        fetch(ModelSource(name="weights.bin", url=web.url("weights.bin")), part, recorder)


def test_busy_server_is_retried(web: FileServer, part: Path, recorder: ProgressRecorder) -> None:
    web.serve("weights.bin", CONTENT).status = [503, 429]
    fetch(source(web), part, recorder, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert recorder.messages == [
        "weights.bin: the server answers 503 Service Unavailable; trying again",
        "weights.bin: the server answers 429 Too Many Requests; trying again",
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/no-such-file", "the server answers 404 Not Found"),
        (
            "http://no-such-host.invalid/weights.bin",
            "the name no-such-host.invalid cannot be resolved: is there",
        ),
        ("https://127.0.0.1:{port}/weights.bin", "the TLS handshake with 127.0.0.1 failed"),
        ("http://127.0.0.1:1/weights.bin", "connection refused by 127.0.0.1"),
    ],
)
def test_failed_download_is_one_line(
    web: FileServer, part: Path, recorder: ProgressRecorder, url: str, reason: str
) -> None:
    url = url.format(port=web.port)
    with pytest.raises(ModelError) as raised:
        fetch(ModelSource(name="weights.bin", url=url), part, recorder, pause_s=0)
    assert str(raised.value).startswith(f"{url}: {reason}")
    assert "\n" not in str(raised.value)


def test_listener_can_end_a_download_and_the_part_is_kept(web: FileServer, part: Path) -> None:
    web.serve("weights.bin", CONTENT)

    class CancellingListener(ProgressRecorder):
        def progress(self, done_bytes: int, total_bytes: int | None) -> None:
            raise ModelError(f"enough: {done_bytes} of {total_bytes}")

    with pytest.raises(ModelError, match="enough"):
        fetch(source(web), part, CancellingListener())
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    fetch(source(web), part, ProgressRecorder())
    assert part.read_bytes() == CONTENT
    assert web.requests[-1] == ("/weights.bin", f"bytes={kept}-")


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that sends the same bytes to every client, and closes no connection; yields its address."""
    connections = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                connection.recv(65_536)
                connection.sendall(answer)
                if not answer.startswith(b"HTTP/"):
                    connection.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/file"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    for connection in connections:
        connection.close()


def test_nothing_behind_the_last_byte_is_awaited(part: Path, recorder: ProgressRecorder) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with answering(head + b"5\r\nhello\r\n0\r\nTrailer: x\r\n") as url:
        fetch(ModelSource(name="file", url=url, size_bytes=5, sha256=None), part, recorder)
    assert part.read_bytes() == b"hello"


@pytest.mark.parametrize("answer", [b"\x1b[31m\x00" * 2_000, b"HTTP/1.1 404 \x1b[31m" + b"x" * 5_000 + b"\r\n\r\n"])
def test_words_of_a_server_are_shown_on_one_short_line(part: Path, recorder: ProgressRecorder, answer: bytes) -> None:
    with answering(answer) as url, pytest.raises(ModelError) as raised:
        fetch(ModelSource(name="file", url=url, size_bytes=5, sha256=None), part, recorder, pause_s=0)
    messages = [str(raised.value), *recorder.messages]
    assert all(text.isprintable() and len(text) < 400 for text in messages), messages
