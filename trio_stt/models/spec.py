"""The catalogue's entry for one model. Data only: nothing is downloaded here."""

from dataclasses import dataclass
from enum import StrEnum

MULTILINGUAL = "multilingual"


class ModelFormat(StrEnum):
    """The form of a downloaded model, and of its download."""

    FILE = "file"
    """One file, downloaded as it is."""
    FOLDER = "folder"
    """A folder of files, each downloaded on its own."""
    ARCHIVE = "archive"
    """A folder, downloaded as one `.tar.bz2` that holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """One file to download.

    Attributes:
        name: The file's name.
        url: Its address.
        size_bytes: Its size, if known.
        sha256: Its checksum, 64 hexadecimal digits; None if none is published. The first download is then recorded,
            and later ones must be the same.
    """

    name: str
    url: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model.

    Attributes:
        engine: Canonical name of the engine that runs it.
        name: Value of `--model`.
        aliases: Other names of the model, for the same engine.
        languages: Codes of the languages that it transcribes; empty if they are too many to list.
        coverage: A description of the languages where there are many.
        licence: Licence of the weights, an SPDX identifier if there is one.
        form: Its form on disk.
        place: Name of its file or folder in the cache, which the engine also looks for by itself.
        sources: What to download: one file, unless the form is a folder.
    """

    engine: str
    name: str
    aliases: tuple[str, ...] = ()
    languages: tuple[str, ...]
    coverage: str = ""
    licence: str
    form: ModelFormat
    place: str
    sources: tuple[ModelSource, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, the preferred one first."""
        return (self.name, *self.aliases)

    @property
    def languages_shown(self) -> str:
        """The languages in a few words."""
        return self.coverage or " ".join(self.languages)

    @property
    def size_bytes(self) -> int | None:
        """Size of the whole download; None if it is not known."""
        sizes = [source.size_bytes for source in self.sources]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def is_pinned(self) -> bool:
        """Whether the catalogue has a checksum for every file."""
        return all(source.sha256 for source in self.sources)
