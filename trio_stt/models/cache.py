"""Where fetched models are kept: pulled whole or not at all, by one at a time, with a record of what came.

It owns the folder of all models, their records and what is half fetched. It must not know engines, nor who asks.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from trio_stt.errors import ModelError
from trio_stt.models.download import ProgressListener, disk_errors, fetch, sha256_of
from trio_stt.models.spec import ModelFormat, ModelSource, ModelSpec
from trio_stt.models.unpack import unpack

_UNFINISHED = ".unfinished"
_LOOK_EVERY_S = 0.2
"""How often somebody who waits for another's download asks whether to go on."""

_UNPACKED = 2
"""What a packed model takes on the disk once more, at most: itself, unpacked to twice its size."""


class CachedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model, as it came."""

    size_bytes: int
    sha256: str


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside a model and says what came, and from where.

    Attributes:
        engine: Whose model it is.
        name: The catalogue's name for it.
        downloads: Address → SHA-256 of what came from it.
        files: Path inside the model's folder, or the name of its one file → that file.
    """

    engine: str
    name: str
    downloads: dict[str, str]
    files: dict[str, CachedFile]


class ModelCache:
    """The models under one folder.

    Args:
        root: That folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, entry: ModelSpec) -> Path | None:
        """The model's file or folder, if it was pulled and no file of it is missing or of another size."""
        path = self.root / entry.place
        record = self._record(entry)
        if record is None or _damaged(entry, path, record):
            return None
        return path

    def pull(self, entry: ModelSpec, watcher: ProgressListener) -> Path:
        """Bring a model here, unless it is; one that is here is compared with its record, file by file.

        What an earlier pull left is gone on with, and what this one leaves when it ends early is kept for the next.
        What somebody else put in the model's place stays as it is.

        Returns:
            The model's file or folder.

        Raises:
            ModelError: It cannot be had, or there is no room; one line says why.
        """
        path = self.root / entry.place
        with self._alone(entry, watcher):
            record = self._record(entry)
            if record is None and path.exists():
                watcher.say(f"{path} is there already; it was not pulled, and is left as it is")
                return path
            if record is not None and not _damaged(entry, path, record, thoroughly=True):
                return path
            if path.exists():
                watcher.say(f"{path} is damaged; fetching it again")
            self._bring(entry, record, watcher)
        return path

    def remove(self, entry: ModelSpec, watcher: ProgressListener) -> bool:
        """Delete a model, its record and what is half fetched of it; False where there was nothing.

        Raises:
            ModelError: It was not pulled, or cannot be deleted.
        """
        path, unfinished = self.root / entry.place, self._unfinished(entry)
        if not (path.exists() or unfinished.exists() or self._record_path(entry).exists()):
            return False
        with self._alone(entry, watcher), disk_errors(self.root):
            if path.exists() and self._record(entry) is None:
                raise ModelError(f"{path} was not pulled: delete it yourself")
            unfinished.mkdir(parents=True, exist_ok=True)
            if path.exists():
                path.rename(unfinished / "removed")  # first out of sight as a whole, then away
            self._record_path(entry).unlink(missing_ok=True)
            shutil.rmtree(unfinished)
        return True

    def _bring(self, entry: ModelSpec, earlier: CacheRecord | None, watcher: ProgressListener) -> None:
        unfinished, path = self._unfinished(entry), self.root / entry.place
        with disk_errors(self.root):
            unfinished.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(unfinished / "old", ignore_errors=True)
        self._check_room(entry)
        total = _Sum(entry, watcher)
        downloads = {}
        for source in entry.sources:
            known = source.sha256 or (earlier.downloads.get(source.url) if earlier else None)
            wanted = ModelSource(name=source.name, url=source.url, size_bytes=source.size_bytes, sha256=known)
            downloads[source.url] = fetch(wanted, unfinished / f"{source.name}.part", total)
            total.next()
            if known is None:
                watcher.say(
                    f"nobody publishes a checksum of {source.name}: its sha256 is {downloads[source.url]};"
                    " later downloads must have the same"
                )
        ready, files = _assemble(entry, unfinished, downloads)
        record = CacheRecord(engine=entry.engine, name=entry.name, downloads=downloads, files=files)
        with disk_errors(self.root):
            # The record comes first: without the model it means nothing, and the model never lies there without it.
            written = unfinished / "record"
            written.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
            written.replace(self._record_path(entry))
            if path.exists():
                path.rename(unfinished / "old")
            ready.rename(path)
            shutil.rmtree(unfinished)

    def _check_room(self, entry: ModelSpec) -> None:
        if entry.size_bytes is None:
            return
        there = sum(file.stat().st_size for file in self._unfinished(entry).glob("*.part"))
        packed = _UNPACKED * entry.size_bytes if entry.form is ModelFormat.ARCHIVE else 0
        needed, free = entry.size_bytes - there + packed, shutil.disk_usage(self.root).free
        if free < needed:
            raise ModelError(
                f"{entry.name} needs {human_size(needed)} in {self.root}, where {human_size(free)} are free;"
                " make room, or name another folder as download_root"
            )

    @contextmanager
    def _alone(self, entry: ModelSpec, watcher: ProgressListener) -> Iterator[None]:
        """Hold the lock of a model; while somebody else does, wait and say so."""
        with disk_errors(self.root):
            (self.root / _UNFINISHED).mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / _UNFINISHED / f"{entry.place}.lock")
        with disk_errors(self.root):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                watcher.say(f"{entry.name} is being pulled by somebody else; waiting")
                while not lock.is_locked:
                    watcher.advance(0, None)
                    try:
                        lock.acquire(timeout=_LOOK_EVERY_S)
                    except Timeout:
                        continue
        try:
            yield
        finally:
            lock.release()

    def _unfinished(self, entry: ModelSpec) -> Path:
        return self.root / _UNFINISHED / entry.place

    def _record_path(self, entry: ModelSpec) -> Path:
        return self.root / f"{entry.place}.trio-stt.json"

    def _record(self, entry: ModelSpec) -> CacheRecord | None:
        try:
            return msgspec.json.decode(self._record_path(entry).read_bytes(), type=CacheRecord)
        except (OSError, msgspec.DecodeError):
            return None


@dataclass(slots=True)
class _Sum:
    """A watcher of one model's files, that tells another of them as of one."""

    entry: ModelSpec
    watcher: ProgressListener
    _before: int = 0
    _last: int = 0

    def say(self, text: str) -> None:
        self.watcher.say(text)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        self._last = done_bytes
        only = total_bytes if len(self.entry.sources) == 1 else None
        self.watcher.advance(self._before + done_bytes, self.entry.size_bytes or only)

    def next(self) -> None:
        self._before, self._last = self._before + self._last, 0


def default_root() -> Path:
    """The folder of all models where nobody names one: in the user's cache."""
    return user_cache_path("trio-stt") / "models"


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
    """Make the model out of what came; returns what to move to its place, and its files."""
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


def _damaged(entry: ModelSpec, path: Path, record: CacheRecord, *, thoroughly: bool = False) -> bool:
    """Whether a file of a model is missing or of another size, or, thoroughly, has another checksum."""
    for name, known in record.files.items():
        file = path if entry.form is ModelFormat.FILE else path / name
        if not file.is_file() or file.stat().st_size != known.size_bytes:
            return True
        if thoroughly and sha256_of(file) != known.sha256:
            return True
    return False
