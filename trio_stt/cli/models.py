"""`trio-stt models`: lists, downloads, locates and deletes models.

It owns the output and the progress bar. The catalogue and the cache are in `trio_stt.models`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from tqdm import tqdm

from trio_stt.dsp.openwakeword import packaged_models
from trio_stt.dsp.turn_model import packaged_model
from trio_stt.errors import DownloadInterrupted, EngineUnavailable, ModelError, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.sherpa.moonshine_files import EMBEDDED_MODEL, embedded_folder
from trio_stt.models.cache import ModelCache, default_root, human_size
from trio_stt.models.catalogue import ENTRIES, FIRST_CHOICES, NOT_ENGINES, choose
from trio_stt.models.spec import ModelSpec
from trio_stt.models.turn_models import SMART_TURN
from trio_stt.models.wake_word_models import OPENWAKEWORD
from trio_stt.settings import Settings


class ListedModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of `models list --json`."""

    engine: str
    name: str
    other_names: tuple[str, ...]
    languages: str
    language_codes: tuple[str, ...]
    licence: str
    size_bytes: int | None
    has_checksum: bool
    addresses: tuple[str, ...]
    path: str | None


def models(parsed: argparse.Namespace, settings: Settings) -> int:
    """Carry out one action; return the exit status.

    Raises:
        SettingError: The engine does not exist, or `offline` forbids a download.
        ModelError: The model does not exist or cannot be downloaded.
    """
    cache = cache_of(settings)
    engine = parsed.engine
    if engine not in (None, *(entry.engine for entry in NOT_ENGINES)):
        engine = registry.resolve(engine).name
    if parsed.action == "list":
        entries = [entry for entry in ENTRIES if engine in (None, entry.engine)]
        print(_as_json(entries, cache) if parsed.json else _as_table(entries, cache))
        return 0
    entry = choose(parsed.name, engine=engine)
    if parsed.action == "pull":
        return _pull(entry, cache, offline=settings.offline)
    if parsed.action == "path":
        path = embedded(entry) or cache.find(entry)
        if path is None:
            raise ModelError(f"{entry.name} is not in {cache.root}; `trio-stt models pull` downloads it")
        print(path)
        return 0
    with Bar(entry) as bar:
        if not cache.remove(entry, bar):
            raise ModelError(f"{entry.name} is not in {cache.root}")
    return 0


def cache_of(settings: Settings) -> ModelCache:
    """The model cache of these settings."""
    return ModelCache(settings.download_folder or default_root())


def embedded(entry: ModelSpec) -> Path | None:
    """The model's file or folder inside an installed package, if one carries it."""
    if entry is OPENWAKEWORD:
        return packaged_models()
    if entry is SMART_TURN:
        return packaged_model()
    if EMBEDDED_MODEL in entry.names:
        with suppress(EngineUnavailable):
            return embedded_folder(entry.engine)
    return None


def _pull(entry: ModelSpec, cache: ModelCache, *, offline: bool) -> int:
    if (path := embedded(entry)) is not None:
        print(f"{entry.name} is embedded and needs no download", file=sys.stderr)
        print(path)
        return 0
    if offline and cache.find(entry) is None:
        raise SettingError(f"TRIO_STT_OFFLINE: is on, so {entry.name} cannot be downloaded")
    print(f"{entry.name} for {entry.engine}, licence: {entry.licence}", file=sys.stderr)
    try:
        with Bar(entry) as bar:
            path = cache.pull(entry, bar)
    except DownloadInterrupted as error:
        raise ModelError(f"{error}; run the same command to continue") from None
    except KeyboardInterrupt:
        print("trio-stt: stopped; the same command continues the download", file=sys.stderr)
        raise
    print(path)
    return 0


class Bar:
    """A progress bar on a terminal, with messages above it."""

    def __init__(self, entry: ModelSpec) -> None:
        self._bar: Any = tqdm(
            desc=entry.name, unit="B", unit_scale=True, leave=False, delay=0.2, disable=not sys.stderr.isatty()
        )

    def __enter__(self) -> Self:
        """Show the bar until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._bar.close()

    def message(self, text: str) -> None:
        """Write a message to standard error."""
        tqdm.write(f"trio-stt: {text}", file=sys.stderr)

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        """Move the bar."""
        self._bar.total = total_bytes
        self._bar.update(done_bytes - self._bar.n)


def _as_table(entries: list[ModelSpec], cache: ModelCache) -> str:
    heads = ("engine", "model", "size", "languages", "licence", "here", "first choice for")
    rows = [
        (
            entry.engine,
            entry.name,
            human_size(entry.size_bytes),
            entry.languages_shown,
            entry.licence,
            "embedded" if embedded(entry) else "yes" if cache.find(entry) else "",
            FIRST_CHOICES.get((entry.engine, entry.name), ""),
        )
        for entry in entries
    ]
    return "\n".join((*aligned([heads, *rows]), f"Downloads are stored in {cache.root}."))


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table whose columns are as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _as_json(entries: list[ModelSpec], cache: ModelCache) -> str:
    listed = [
        ListedModel(
            engine=entry.engine,
            name=entry.name,
            other_names=entry.aliases,
            languages=entry.languages_shown,
            language_codes=entry.languages,
            licence=entry.licence,
            size_bytes=entry.size_bytes,
            has_checksum=entry.is_pinned,
            addresses=tuple(source.url for source in entry.sources),
            path=_shown(embedded(entry) or cache.find(entry)),
        )
        for entry in entries
    ]
    return msgspec.json.format(msgspec.json.encode(listed)).decode()


def _shown(path: Path | None) -> str | None:
    return str(path) if path else None
