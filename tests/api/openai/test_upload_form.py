"""Multipart bodies of uploads, in pieces of any size."""

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_stt.api.openai.upload_form import MAX_FIELD_BYTES, UploadForm
from trio_stt.api.request_error import RequestError

CONTENT_TYPE = "multipart/form-data; boundary=b"
Part = tuple[str, bytes]


def body(parts: Sequence[Part], *, boundary: bytes = b"b") -> bytes:
    """A body as clients write it; each part is a header after `name=`, and its content."""
    written = [
        b"--%b\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n" % (boundary, name.encode(), data)
        for name, data in parts
    ]
    return b"".join(written) + b"--%b--\r\n" % boundary


def decode(data: bytes, piece_bytes: int) -> tuple[bytes, dict[str, list[str]]]:
    form = UploadForm(CONTENT_TYPE)
    sound = b"".join(form.feed(data[start : start + piece_bytes]) for start in range(0, len(data), piece_bytes))
    return sound, form.finish()


@given(
    sound=st.binary(max_size=300) | st.lists(st.sampled_from([b"\r\n--b", b"\r", b"\n--", b"x"])).map(b"".join),
    piece_bytes=st.integers(1, 400),
)
@example(sound=b"\r\n--", piece_bytes=1)
def test_pieces_change_nothing(sound: bytes, piece_bytes: int) -> None:
    if b"\n--b" in sound or b"\r--b" in sound or sound.startswith(b"--b"):
        return  # a client takes a boundary that its file does not hold
    parts = [
        ('"model"', b"whisper-1"),
        ('"file"; filename="a.wav"', sound),
        ('"include[]"', b"x"),
        ('"include[]"', b"y"),
    ]
    assert decode(body(parts), piece_bytes) == (sound, {"model": ["whisper-1"], "include[]": ["x", "y"]})


def test_other_files_are_ignored() -> None:
    parts = [('"cover"; filename="a.png"', b"\x80" * (MAX_FIELD_BYTES + 1)), ('"file"', b"RIFF")]
    assert decode(body(parts), 1000) == (b"RIFF", {})


def test_file_without_a_file_name_is_the_file() -> None:
    assert decode(body([('"file"', b"RIFF")]), 1000)[0] == b"RIFF"


@pytest.mark.parametrize(
    ("data", "status", "param"),
    [
        (body([('"model"', b"x")]), 400, "file"),
        (body([('"file"', b"x")])[:-6], 400, None),
        (b"", 400, None),
        (b"no form at all", 400, None),
        (b"no form at all" * 10_000, 400, None),
        (body([('"file"', b"x"), ('"file"; filename="a"', b"y")]), 400, "file"),
        (b"--b\r\nX: y\r\n\r\ndata\r\n--b--\r\n", 400, None),
        (body([('"prompt"', b"a" * (MAX_FIELD_BYTES + 1)), ('"file"', b"x")]), 400, "prompt"),
        (body([('"known_speaker_references[]"', b"a" * 2_000_000)]), 400, "known_speaker_references"),
        (body([('"prompt"', b"\xff"), ('"file"', b"x")]), 400, "prompt"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\n" + b"a" * 100_000 + b"\r\n--b--\r\n", 400, "file"),
        (b"--b\r\nX: " + b"y" * 200_000, 413, None),
        (body([('"a"', b"")] * 300), 413, None),
    ],
)
def test_malformed_body_is_refused(data: bytes, status: int, param: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        decode(data, 1000)
    assert (caught.value.status, caught.value.param) == (status, param)


def test_content_type_may_have_capitals() -> None:
    form = UploadForm('Multipart/Form-Data; Boundary="b"')
    assert form.feed(b"preamble\r\n" + body([('"file"', b"RIFF")]) + b"epilogue") == b"RIFF"
    assert form.finish() == {}


@pytest.mark.parametrize(
    "disposition",
    [
        b'name="file"; filename="\xe4.wav"',
        b"name=file; filename*=UTF-8''%e2%82%ac.wav",
        b'name="file"; filename="../../a.wav"',
        b'name="file"; filename=""',
    ],
)
def test_file_name_does_not_matter(disposition: bytes) -> None:
    data = b"--b\r\nContent-Disposition: form-data; %b\r\n\r\nRIFF\r\n--b--\r\n" % disposition
    assert decode(data, 7)[0] == b"RIFF"


def test_rest_behind_the_last_boundary_means_nothing() -> None:
    assert decode(body([('"file"', b"RIFF")]) + b"x" * 300_000, 1000)[0] == b"RIFF"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (body([('"file"', b"x" * 500)])[:200], "is cut off"),
        (body([('"file"', b"x")], boundary=b"c"), "boundary that the header Content-Type names"),
    ],
)
def test_message_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode(data, 1000)


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data"])
def test_other_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(RequestError, match="multipart/form-data"):
        UploadForm(content_type)


@given(st.binary(max_size=500))
def test_no_body_raises_anything_else(data: bytes) -> None:
    form = UploadForm(CONTENT_TYPE)
    with suppress(RequestError):
        form.feed(b"--b\r\n" + data)
        form.finish()
