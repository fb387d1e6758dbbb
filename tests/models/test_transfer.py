"""Downloads over real sockets: resumed, checked, and refused in one line."""

import os
from http.client import HTTPMessage
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from tests.models.conftest import Heard
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
def test_a_file_comes_whole(web: FileServer, part: Path, heard: Heard, pinned: bool) -> None:
    file = web.serve("weights.bin", CONTENT)
    assert fetch(source(web, pinned=pinned), part, heard) == file.sha256
    assert part.read_bytes() == CONTENT
    assert heard.steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in heard.steps] == sorted({done for done, _ in heard.steps})


@pytest.mark.parametrize("pinned", [True, False])
def test_a_broken_connection_is_taken_up_where_it_broke(
    web: FileServer, part: Path, heard: Heard, pinned: bool
) -> None:
    web.serve("weights.bin", CONTENT).cut_after = [400_000, 300_000]
    fetch(source(web, pinned=pinned), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert [asked for _, asked in web.asked] == ["", "bytes=400000-", "bytes=700000-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(web: FileServer, part: Path, heard: Heard) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after = [500_000, 0, 0, 0]
    with pytest.raises(
        ModelError, match="the connection ended after 500000 of 1500000 bytes; the same command goes on"
    ):
        fetch(source(web), part, heard, pause_s=0)
    web.asked.clear()
    fetch(source(web), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert web.asked == [("/weights.bin", "bytes=500000-")]


def test_a_server_without_ranges_begins_again(web: FileServer, part: Path, heard: Heard) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after, file.ranges = [500_000], False
    fetch(source(web), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_anew(web: FileServer, part: Path, heard: Heard) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after = [500_000, 0, 0, 0]
    with pytest.raises(ModelError):
        fetch(source(web, pinned=False), part, heard, pause_s=0)
    file.content = os.urandom(1_400_000)
    assert fetch(source(web, pinned=False), part, heard, pause_s=0) == file.sha256
    assert part.read_bytes() == file.content


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_a_part_is_not_trusted_where_nothing_tells_that_the_rest_is_of_the_same_file(
    web: FileServer, part: Path, heard: Heard, etag: str
) -> None:
    file = web.serve("weights.bin", CONTENT)
    file.cut_after, file.etag = [500_000], etag
    fetch(source(web, pinned=False), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert [asked for _, asked in web.asked] == ["", ""]


def test_what_an_earlier_attempt_left_may_be_rubbish(web: FileServer, part: Path, heard: Heard) -> None:
    web.serve("weights.bin", CONTENT).etag = ""
    part.write_bytes(b"rubbish")
    fetch(source(web), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert heard.said == ["weights.bin: what an earlier attempt left does not fit; from the start again"]


def test_more_than_there_is_to_have_begins_again(web: FileServer, part: Path, heard: Heard) -> None:
    web.serve("weights.bin", CONTENT)
    part.write_bytes(CONTENT + b"more")
    fetch(source(web), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT


def test_another_file_than_the_catalogue_says_is_refused_and_not_kept(
    web: FileServer, part: Path, heard: Heard
) -> None:
    web.serve("weights.bin", CONTENT)
    wanted = source(web)
    web.files["/weights.bin"].content = other = os.urandom(len(CONTENT))
    with pytest.raises(ModelError, match="is another file than it should be: its sha256 is") as raised:
        fetch(wanted, part, heard)
    assert "\n" not in str(raised.value)
    assert str(wanted.sha256) in str(raised.value)
    assert not part.exists()
    assert other != CONTENT


def test_another_size_than_the_catalogue_says_is_refused_before_it_is_fetched(
    web: FileServer, part: Path, heard: Heard
) -> None:
    web.serve("weights.bin", CONTENT)
    wanted = source(web)
    web.files["/weights.bin"].content = CONTENT[:-1]
    with pytest.raises(ModelError, match="has 1499999 bytes; the catalogue says 1500000"):
        fetch(wanted, part, heard)
    assert not heard.steps


def test_a_file_of_unknown_length_is_refused(web: FileServer, part: Path, heard: Heard) -> None:
    web.serve("weights.bin", CONTENT).length = False
    with pytest.raises(ModelError, match="the server does not say how long it is"):
        fetch(source(web, pinned=False), part, heard)


def test_redirects_are_followed_with_what_was_asked(web: FileServer, part: Path, heard: Heard) -> None:
    web.serve("weights.bin", CONTENT).cut_after = [500_000]
    web.serve("there", b"").redirect = web.url("elsewhere")
    web.serve("elsewhere", b"").redirect = web.url("weights.bin")
    moved = ModelSource(name="weights.bin", url=web.url("there"), size_bytes=len(CONTENT))
    fetch(moved, part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert ("/weights.bin", "bytes=500000-") in web.asked


@pytest.mark.parametrize("place", ["http://example.org/weights.bin", "file:///etc/passwd", "ftp://example.org/x"])
def test_no_redirect_leads_out_of_tls(place: str) -> None:
    with pytest.raises(HTTPError, match="out of TLS"):
        download._Redirects().redirect_request(
            Request("https://example.org/weights.bin"), BytesIO(), 302, "Found", HTTPMessage(), place
        )


def test_redirects_in_a_circle_end(web: FileServer, part: Path, heard: Heard) -> None:
    web.serve("weights.bin", b"").redirect = web.url("weights.bin")
    with pytest.raises(ModelError, match="the server answers 302"):
        fetch(ModelSource(name="weights.bin", url=web.url("weights.bin")), part, heard)


def test_a_busy_server_is_asked_again(web: FileServer, part: Path, heard: Heard) -> None:
    web.serve("weights.bin", CONTENT).status = [503, 429]
    fetch(source(web), part, heard, pause_s=0)
    assert part.read_bytes() == CONTENT
    assert heard.said == [
        "weights.bin: the server answers 503 Service Unavailable; trying again",
        "weights.bin: the server answers 429 Too Many Requests; trying again",
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/no-such-file", "the server answers 404 Not Found"),
        ("http://no-such-host.invalid/weights.bin", "the name no-such-host.invalid is not known: is there a network?"),
        ("https://127.0.0.1:{port}/weights.bin", "127.0.0.1 does not speak TLS as it should"),
        ("http://127.0.0.1:1/weights.bin", "nobody answers at 127.0.0.1"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(
    web: FileServer, part: Path, heard: Heard, url: str, reason: str
) -> None:
    url = url.format(port=web.port)
    with pytest.raises(ModelError) as raised:
        fetch(ModelSource(name="weights.bin", url=url), part, heard, pause_s=0)
    assert str(raised.value).startswith(f"{url}: {reason}")
    assert "\n" not in str(raised.value)


def test_a_watcher_ends_a_download_and_what_came_is_kept(web: FileServer, part: Path) -> None:
    web.serve("weights.bin", CONTENT)

    class Impatient(Heard):
        def advance(self, done_bytes: int, total_bytes: int | None) -> None:
            raise ModelError(f"enough: {done_bytes} of {total_bytes}")

    with pytest.raises(ModelError, match="enough"):
        fetch(source(web), part, Impatient())
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    fetch(source(web), part, Heard())
    assert part.read_bytes() == CONTENT
    assert web.asked[-1] == ("/weights.bin", f"bytes={kept}-")
