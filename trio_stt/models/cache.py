"""The folder of downloaded models: each complete or absent, downloaded by one process at a time, with a record.

It owns the models, their records and partial downloads. It must not know engines.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from trio_stt.errors import ModelError
from trio_stt.models.download import ProgressListener, disk_errors, fetch, sha256_of
from trio_stt.models.spec import ModelFormat, ModelSource, ModelSpec
from trio_stt.models.unpack import unpack
from trio_stt.runtime.cache_folder import cache_folder

_UNFINISHED = ".unfinished"
_POLL_S = 0.2
"""How often a process that waits for another one's download asks its listener whether to go on, in seconds."""

_UNPACKED_FACTOR = 2
"""An archive takes this many times its size once more, because it is unpacked beside itself."""


class CachedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model, as it was downloaded."""

    size_bytes: int
    sha256: str


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The record beside a model: what was downloaded, and from where.

    Attributes:
        engine: Canonical name of the model's engine.
        name: The catalogue's name for the model.
        downloads: Address → SHA-256 of its file.
        files: Path inside the model's folder, or the name of its one file → that file.
    """

    engine: str
    name: str
    downloads: dict[str, str]
    files: dict[str, CachedFile]


class ModelCache:
    """The models under one folder.

    Args:
        root: The folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, entry: ModelSpec) -> Path | None:
        """The model's file or folder, if it was pulled and is whole, see `is_intact`."""
        path = self.root / entry.place
        return path if is_intact(path) else None

    def pull(self, entry: ModelSpec, listener: ProgressListener) -> Path:
        """Download a model unless it is in the cache already; a model in the cache is verified, file by file.

        A download that was interrupted continues. Files that were put in the model's place by hand are left as they
        are.

        Returns:
            The model's file or folder.

        Raises:
            ModelError: It cannot be downloaded, or the disk is too full; one line says why.
        """
        path = self.root / entry.place
        with self._exclusive(entry, listener):
            record = _record(path)
            if record is None and path.exists():
                listener.message(f"{path} exists and was not pulled; it is left as it is")
                return path
            if record is not None and not _damaged(path, record, thoroughly=True):
                return path
            if path.exists():
                listener.message(f"{path} is damaged; downloading it again")
            self._download(entry, record, listener)
        return path

    def remove(self, entry: ModelSpec, listener: ProgressListener) -> bool:
        """Delete a model, its record and its partial download; returns False if there was nothing.

        Raises:
            ModelError: The model was not pulled, or cannot be deleted.
        """
        path, unfinished = self.root / entry.place, self._unfinished(entry)
        if not (path.exists() or unfinished.exists() or _record_path(path).exists()):
            return False
        with self._exclusive(entry, listener), disk_errors(self.root):
            if path.exists() and _record(path) is None:
                raise ModelError(f"{path} was not pulled: delete it by hand")
            unfinished.mkdir(parents=True, exist_ok=True)
            if path.exists():
                path.rename(unfinished / "removed")  # atomic: the model disappears as a whole
            _record_path(path).unlink(missing_ok=True)
            shutil.rmtree(unfinished)
        return True

    def _download(self, entry: ModelSpec, earlier: CacheRecord | None, listener: ProgressListener) -> None:
        unfinished, path = self._unfinished(entry), self.root / entry.place
        with disk_errors(self.root):
            unfinished.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(unfinished / "old", ignore_errors=True)
        self._check_space(entry)
        total = _TotalProgress(entry, listener)
        downloads = {}
        for source in entry.sources:
            known = source.sha256 or (earlier.downloads.get(source.url) if earlier else None)
            wanted = ModelSource(name=source.name, url=source.url, size_bytes=source.size_bytes, sha256=known)
            downloads[source.url] = fetch(wanted, unfinished / f"{source.name}.part", total)
            total.next_file()
            if known is None:
                listener.message(
                    f"{source.name} has no published checksum: its sha256 is {downloads[source.url]};"
                    " later downloads must have the same"
                )
        ready, files = _assemble(entry, unfinished, downloads)
        record = CacheRecord(engine=entry.engine, name=entry.name, downloads=downloads, files=files)
        with disk_errors(self.root):
            # Record first: alone it means nothing, and so the model never exists without its record.
            written = unfinished / "record"
            written.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
            written.replace(_record_path(path))
            if path.exists():
                path.rename(unfinished / "old")
            ready.rename(path)
            shutil.rmtree(unfinished)

    def _check_space(self, entry: ModelSpec) -> None:
        if entry.size_bytes is None:
            return
        there = sum(file.stat().st_size for file in self._unfinished(entry).glob("*.part"))
        packed = _UNPACKED_FACTOR * entry.size_bytes if entry.form is ModelFormat.ARCHIVE else 0
        needed, free = entry.size_bytes - there + packed, shutil.disk_usage(self.root).free
        if free < needed:
            raise ModelError(
                f"{entry.name} needs {human_size(needed)} in {self.root}, where {human_size(free)} are free;"
                " free some space, or set another folder as download_root"
            )

    @contextmanager
    def _exclusive(self, entry: ModelSpec, listener: ProgressListener) -> Iterator[None]:
        """Hold the lock of a model. While another process holds it, wait and say so."""
        with disk_errors(self.root):
            (self.root / _UNFINISHED).mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / _UNFINISHED / f"{entry.place}.lock")
        with disk_errors(self.root):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                listener.message(f"{entry.name} is being pulled by another process; waiting")
                while not lock.is_locked:
                    listener.progress(0, None)
                    try:
                        lock.acquire(timeout=_POLL_S)
                    except Timeout:
                        continue
        try:
            yield
        finally:
            lock.release()

    def _unfinished(self, entry: ModelSpec) -> Path:
        return self.root / _UNFINISHED / entry.place


@dataclass(slots=True)
class _TotalProgress:
    """Reports the progress of a model's files to a listener as that of one download."""

    entry: ModelSpec
    listener: ProgressListener
    _before: int = 0
    _last: int = 0

    def message(self, text: str) -> None:
        self.listener.message(text)

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        self._last = done_bytes
        only = total_bytes if len(self.entry.sources) == 1 else None
        self.listener.progress(self._before + done_bytes, self.entry.size_bytes or only)

    def next_file(self) -> None:
        self._before, self._last = self._before + self._last, 0


def default_root() -> Path:
    """The default folder for models."""
    return cache_folder() / "models"


def human_size(size_bytes: int | None) -> str:
    """A size for people, in powers of ten."""
    if size_bytes is None:
        return "unknown"
    if size_bytes >= 10**9:
        return f"{size_bytes / 10**9:.1f} GB"
    if size_bytes >= 10**6:
        return f"{size_bytes / 10**6:.0f} MB"
    return f"{size_bytes / 10**3:.0f} kB"


def _assemble(entry: ModelSpec, unfinished: Path, downloads: dict[str, str]) -> tuple[Path, dict[str, CachedFile]]:
    """Assemble the model from its downloads; returns the path to move into place, and the model's files."""
    ready = unfinished / "ready"
    with disk_errors(unfinished):
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir()
    if entry.form is ModelFormat.ARCHIVE:
        digests = unpack(unfinished / f"{entry.sources[0].name}.part", ready)
        top = ready / next(iter(digests)).partition("/")[0]
        inside = {name.partition("/")[2]: digest for name, digest in digests.items()}
        return top, {name: _file_record(top / name, digest) for name, digest in inside.items()}
    with disk_errors(unfinished):
        for source in entry.sources:
            (unfinished / f"{source.name}.part").rename(ready / source.name)
    files = {source.name: _file_record(ready / source.name, downloads[source.url]) for source in entry.sources}
    return (ready / entry.sources[0].name if entry.form is ModelFormat.FILE else ready), files


def _file_record(path: Path, digest: str) -> CachedFile:
    return CachedFile(size_bytes=path.stat().st_size, sha256=digest)


def is_intact(path: Path) -> bool:
    """Whether a file or folder was pulled into a `ModelCache`, and no file of it is missing or of another size."""
    record = _record(path)
    return record is not None and not _damaged(path, record)


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.trio-stt.json")


def _record(path: Path) -> CacheRecord | None:
    try:
        return msgspec.json.decode(_record_path(path).read_bytes(), type=CacheRecord)
    except (OSError, msgspec.DecodeError):
        return None


def _damaged(path: Path, record: CacheRecord, *, thoroughly: bool = False) -> bool:
    """Whether a file of a model is missing or of another size, or, thoroughly, has another checksum."""
    for name, known in record.files.items():
        file = path if path.is_file() else path / name
        if not file.is_file() or file.stat().st_size != known.size_bytes:
            return True
        if thoroughly and sha256_of(file) != known.sha256:
            return True
    return False
