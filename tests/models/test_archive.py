"""Unpacking of untrusted archives."""

import bz2
import hashlib
import os
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import packed
from trio_stt.errors import ModelError
from trio_stt.models.unpack import unpack


def header(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    return member


def written(tmp_path: Path, content: bytes) -> tuple[Path, Path]:
    archive, folder = tmp_path / "bundle.tar.bz2.part", tmp_path / "out" / "ready"
    archive.write_bytes(content)
    folder.mkdir(parents=True)
    return archive, folder


def test_files_are_unpacked_unchanged(tmp_path: Path) -> None:
    weights = os.urandom(300_000)
    archive, folder = written(
        tmp_path,
        packed(
            header("bundle", tarfile.DIRTYPE), ("bundle/model.onnx", weights), ("bundle/deep/down/tokens.txt", b"a")
        ),
    )
    digests = unpack(archive, folder)
    assert (folder / "bundle/model.onnx").read_bytes() == weights
    assert (folder / "bundle/deep/down/tokens.txt").read_bytes() == b"a"
    assert digests == {
        "bundle/model.onnx": hashlib.sha256(weights).hexdigest(),
        "bundle/deep/down/tokens.txt": hashlib.sha256(b"a").hexdigest(),
    }
    assert archive.exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../escaped", b"x")], "'../escaped', which lies outside its folder"),
        ([("bundle/../../escaped", b"x")], "which lies outside its folder"),
        ([("/tmp/escaped", b"x")], "'/tmp/escaped', which lies outside its folder"),  # noqa: S108 - refused, not used
        ([("C:\\escaped", b"x")], "which lies outside its folder"),
        ([header("bundle/link", tarfile.SYMTYPE, target="../../escaped")], "neither a file nor a folder"),
        ([header("bundle/link", tarfile.SYMTYPE, target="model.onnx")], "neither a file nor a folder"),
        ([header("bundle/link", tarfile.LNKTYPE, target="/etc/passwd")], "neither a file nor a folder"),
        ([header("bundle/pipe", tarfile.FIFOTYPE)], "neither a file nor a folder"),
        ([header("bundle/device", tarfile.CHRTYPE)], "neither a file nor a folder"),
        ([("bundle/first", b"x")], "'bundle/first' twice"),
        ([("bundle/first/inside", b"x")], "'bundle/first/inside' twice, or another file in its place"),
        ([header("bundle/first", tarfile.DIRTYPE)], "'bundle/first' twice"),
        ([("bundle/" + "d/" * 100 + "x", b"x")], "a name with control characters or with more than 200 characters"),
        ([("bundle/\x1b[31m", b"x")], "a name with control characters"),
        ([("bundle/\udcff", b"x")], "a name with control characters"),
        ([("", b"x")], "which lies outside its folder"),
        ([("alone.onnx", b"x")], "does not hold one folder and nothing else"),
        ([("one/a", b"x"), ("two/a", b"x")], "does not hold one folder and nothing else"),
        ([header("empty", tarfile.DIRTYPE)], "does not hold one folder and nothing else"),
    ],
)
def test_forbidden_entry_is_refused(
    tmp_path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]], reason: str
) -> None:
    archive, folder = written(
        tmp_path, packed(("bundle/first", b"x"), *members) if "one folder" not in reason else packed(*members)
    )
    with pytest.raises(ModelError) as raised:
        unpack(archive, folder)
    assert str(raised.value).startswith(
        "bundle.tar.bz2 holds " if "one folder" not in reason else "bundle.tar.bz2 does"
    )
    assert reason in str(raised.value)
    assert not archive.exists()
    assert not list(tmp_path.rglob("escaped"))


def test_link_cannot_redirect_a_later_file(tmp_path: Path) -> None:
    link = header("bundle/out", tarfile.SYMTYPE, target=str(tmp_path))
    archive, folder = written(tmp_path, packed(link, ("bundle/out/escaped", b"x")))
    with pytest.raises(ModelError, match="neither a file nor a folder"):
        unpack(archive, folder)
    assert not (tmp_path / "escaped").exists()


def test_duplicate_entry_does_not_overwrite(tmp_path: Path) -> None:
    archive, folder = written(tmp_path, packed(("bundle/a", b"first"), ("bundle/a", b"second")))
    with pytest.raises(ModelError):
        unpack(archive, folder)
    assert (folder / "bundle/a").read_bytes() == b"first"


def test_size_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    archive, folder = written(tmp_path, packed(("bundle/a", b"x" * 1000), ("bundle/bomb", bytes(80 << 20))))
    assert archive.stat().st_size < 10_000
    with pytest.raises(ModelError, match="holds more than 10000 files or 64 MiB, too much for its size"):
        unpack(archive, folder)
    assert not (folder / "bundle/bomb").exists()


def peak_memory_bytes(archive: Path, folder: Path) -> int:
    """Most bytes that Python objects take while an archive is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            unpack(archive, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE),
        *(pytest.param(kind, marks=pytest.mark.long) for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE)),
    ],
)
def test_bomb_takes_no_memory(tmp_path: Path, kind: bytes) -> None:
    first = header("bundle/a", kind, size=100 << 20).tobuf(tarfile.GNU_FORMAT)
    archive, folder = written(tmp_path, bz2.compress(first + bytes(100 << 20)))
    assert peak_memory_bytes(archive, folder) < 20 << 20
    assert not archive.exists()
    assert not any(path.is_file() for path in folder.rglob("*"))


def test_bomb_behind_the_last_entry_is_not_read(tmp_path: Path) -> None:
    archive, folder = written(tmp_path, packed(("bundle/a", b"x")) + bz2.compress(bytes(100 << 20)))
    assert unpack(archive, folder).keys() == {"bundle/a"}


def test_headers_within_headers_are_refused(tmp_path: Path) -> None:
    nested = header("bundle/a", tarfile.XGLTYPE).tobuf(tarfile.GNU_FORMAT) * 10_000
    archive, folder = written(tmp_path, bz2.compress(nested))
    with pytest.raises(ModelError, match=r"a header of more than 64 KiB"):
        unpack(archive, folder)


def test_size_below_0_is_refused(tmp_path: Path) -> None:
    archive, folder = written(tmp_path, packed(("bundle/first", b"x"), header("bundle/a", size=-(1 << 40))))
    with pytest.raises(ModelError, match=r"bundle\.tar\.bz2 (holds .* with a size below 0|is not a whole)"):
        unpack(archive, folder)


@given(at=st.integers(0, 1023), value=st.integers(0, 255))
@settings(max_examples=50)
def test_changed_header_gives_files_or_one_line(at: int, value: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        plain = bytearray(bz2.decompress(packed(("bundle/a", b"first"), ("bundle/b", b"second"))))
        plain[at] = value
        archive, folder = written(Path(name), bz2.compress(plain))
        reason, digests = "", {}
        try:
            digests = unpack(archive, folder)
        except ModelError as error:
            reason = str(error)
        assert len(reason.splitlines()) <= 1
        assert all((folder / path).is_file() for path in digests)


def test_bomb_of_many_entries_is_refused(tmp_path: Path) -> None:
    archive, folder = written(tmp_path, packed(*[header(f"bundle/{n}", tarfile.DIRTYPE) for n in range(10_001)]))
    with pytest.raises(ModelError, match="holds more than 10000 files"):
        unpack(archive, folder)


@pytest.mark.parametrize("damage", ["short", "flipped", "not packed", "empty", "not tar"])
def test_incomplete_archive_is_refused(tmp_path: Path, damage: str) -> None:
    whole = packed(("bundle/model.onnx", os.urandom(1_000_000)))
    middle = len(whole) // 2
    archive, folder = written(
        tmp_path,
        {
            "short": whole[:middle],
            "flipped": whole[:middle] + bytes(100) + whole[middle + 100 :],
            "not packed": os.urandom(10_000),
            "empty": b"",
            "not tar": bz2.compress(os.urandom(10_000)),
        }[damage],
    )
    with pytest.raises(ModelError, match=r"bundle\.tar\.bz2 (is not a whole \.tar\.bz2 archive|does not hold)"):
        unpack(archive, folder)
    assert not archive.exists()
