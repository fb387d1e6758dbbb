"""A web server, a model cache, and models that can be downloaded from the server."""

import bz2
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.file_server import FileServer, file_server
from trio_stt.models.cache import ModelCache
from trio_stt.models.spec import ModelFormat, ModelSource, ModelSpec


@dataclass(slots=True)
class ProgressRecorder:
    """A progress listener that records everything."""

    messages: list[str] = field(default_factory=list)
    steps: list[tuple[int, int | None]] = field(default_factory=list)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        self.steps.append((done_bytes, total_bytes))


@pytest.fixture
def web() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "models")


@pytest.fixture
def recorder() -> ProgressRecorder:
    return ProgressRecorder()


def one_file(web: FileServer, content: bytes, *, pinned: bool = True, name: str = "weights.bin") -> ModelSpec:
    """A model of one file that the server has."""
    file = web.serve(name, content)
    source = ModelSource(
        name=name,
        url=web.url(name),
        size_bytes=len(content) if pinned else None,
        sha256=file.sha256 if pinned else None,
    )
    return _entry(ModelFormat.FILE, name, source)


def one_archive(web: FileServer, packed: bytes, *, place: str = "bundle") -> ModelSpec:
    """A model of one archive that the server has."""
    name = f"{place}.tar.bz2"
    file = web.serve(name, packed)
    return _entry(
        ModelFormat.ARCHIVE,
        place,
        ModelSource(name=name, url=web.url(name), size_bytes=len(packed), sha256=file.sha256),
    )


def one_folder(web: FileServer, **contents: bytes) -> ModelSpec:
    """A model of several files that the server has."""
    sources = []
    for name, content in contents.items():
        file = web.serve(name, content)
        sources.append(ModelSource(name=name, url=web.url(name), size_bytes=len(content), sha256=file.sha256))
    return _entry(ModelFormat.FOLDER, "folder", *sources)


def _entry(form: ModelFormat, place: str, *sources: ModelSource) -> ModelSpec:
    return ModelSpec(
        engine="whisper_cpp", name="mine", languages=("en",), licence="MIT", form=form, place=place, sources=sources
    )


def packed(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    """A `.tar.bz2` of these members: a name with its content, or a header without content."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size = len(member[1])
                tar.addfile(header, io.BytesIO(member[1]))
    return bz2.compress(raw.getvalue())
