"""What the catalogue says of one model. Facts only: it must not fetch anything, nor know where models are kept."""

from dataclasses import dataclass
from enum import StrEnum

MULTILINGUAL = "multilingual"


class ModelFormat(StrEnum):
    """What a model is once it is there, and what has to be fetched for it."""

    FILE = "file"
    """One file, fetched as it is."""
    FOLDER = "folder"
    """A folder of files, each fetched on its own."""
    ARCHIVE = "archive"
    """A folder, fetched as one `.tar.bz2` that holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """One thing to fetch.

    Attributes:
        name: The file's own name.
        url: Where it is.
        size_bytes: Its size, where it is known.
        sha256: Its checksum, 64 hexadecimal digits; None where nobody publishes one. Then the first download is
            recorded, and later ones must be the same.
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
        name: What a user writes as `--model`.
        aliases: Other names for it, of the same engine.
        languages: Codes, or words for people where they are many.
        licence: Of the weights: an SPDX identifier where there is one.
        form: What it is once it is there.
        place: Its file or folder below the folder of all models; also what the engine looks for by itself.
        sources: What to fetch: one, unless the form is a folder.
    """

    engine: str
    name: str
    aliases: tuple[str, ...] = ()
    languages: str
    licence: str
    form: ModelFormat
    place: str
    sources: tuple[ModelSource, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, the preferred one first."""
        return (self.name, *self.aliases)

    @property
    def size_bytes(self) -> int | None:
        """What has to be fetched in all; None where that is not known."""
        sizes = [source.size_bytes for source in self.sources]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def is_pinned(self) -> bool:
        """Whether the catalogue has a checksum for all of it."""
        return all(source.sha256 for source in self.sources)
