"""What sherpa-onnx wants of one kind of model, and whether a directory has it.

sherpa-onnx ends the process where a piece of metadata or a token that it needs is missing, so files are looked into
before it gets them. It must not import sherpa-onnx, and knows no kind of model itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes.engines.base import Times
from trio_stt.lanes.engines.common import Options, first_line
from trio_stt.lanes.engines.sherpa.moonshine_files import RELEASES_URL, check_token_table
from trio_stt.lanes.engines.sherpa.onnx_files import metadata, output_count

_COUNTS = re.compile("[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*")

Reader = Callable[[Options, str], object]
"""Reads one option by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What sherpa-onnx wants of one kind of model.

    Attributes:
        name: For people.
        factory: The class method of sherpa-onnx's offline or, for streaming, online recogniser that loads it.
        bundle: A release that is such a model, without its ending.
        files: Option that names a file → what it is called unless the option says so, maybe with a `*`, which means the
            first by name; the first file tells the family.
        folder_holds: Where a file is a folder: what must lie in it.
        renamed: Option → the factory's own name for it, where they differ.
        metadata: What the first file's metadata must hold: a key → what its value must contain.
        metadata_one_of: The values that a key may have there, if it is there at all.
        counts: Keys there that must hold a whole number of at least 1, or several separated by commas.
        further_metadata: What the metadata of further files must hold, by their options: keys.
        outputs: How many outputs further models have, by their options: by that sherpa-onnx tells families apart.
        tokens: Symbols that `tokens.txt` must hold.
        blanks: Symbols of which `tokens.txt` must hold one.
        blank_is_last: The last token must be `<blk>`, and there must be one more of them than `vocab_size` says.
        methods: Decoding methods, the default first.
        options: Further options of the factory.
        languages: Code or name, in lower case → what the model calls the language; None if it takes none.
        language_required: There is no letting the model decide.
        language_by_stream: The language is told for each clip, not to the factory.
        times: What it gives times of.
        advice: Where to get such a model, instead of the bundle.
        audio_tokens_per_s: What a second of audio takes of `max_total_len`, or 0 where there is no such limit.
    """

    name: str
    factory: str
    bundle: str
    files: Mapping[str, tuple[str, ...]]
    folder_holds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    metadata_one_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: tuple[str, ...] = ()
    further_metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: Mapping[str, range] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()
    blank_is_last: bool = False
    methods: tuple[str, ...] = ("greedy_search",)
    options: Mapping[str, Reader] = field(default_factory=dict)
    languages: Mapping[str, str] | None = None
    language_required: bool = False
    language_by_stream: bool = False
    times: Times = "words"
    advice: str = ""
    audio_tokens_per_s: int = 0

    def fits(self, folder: Path, overrides: Mapping[str, str]) -> bool:
        """Whether a directory looks like such a model: its first file is there, with the metadata of the family."""
        path = self.find(folder, overrides, next(iter(self.files)))
        try:
            return path.exists() and not self._lacks(metadata(path))
        except (OSError, ValueError):
            return False

    def find(self, folder: Path, overrides: Mapping[str, str], option: str) -> Path:
        """The file that an option means; it need not exist."""
        if overrides.get(option):
            return folder / Path(overrides[option]).expanduser()
        found = (path for name in self.files[option] for path in sorted(folder.glob(name)))
        return next(found, folder / self.files[option][0])

    def check(self, folder: Path, overrides: Mapping[str, str], *, engine: str, model: str) -> dict[str, Path]:
        """Return every file of a model by its option, after a look into those that could end the process.

        Args:
            folder: Of the model.
            overrides: Option that names a file → what it says.
            engine: Canonical engine name, for messages.
            model: The name that led to the folder.

        Raises:
            ModelMissing: There is no such folder.
            EngineUnavailable: A file is missing or unfit; the message says which, and what to fetch.
        """
        paths = {option: self.find(folder, overrides, option) for option in self.files}
        for option, path in paths.items():
            for needed in (path, *(path / name for name in self.folder_holds.get(option, ()))):
                if not needed.exists():
                    message = f"engine {engine}: {self.name} file `{option}` is missing: {needed}; {self._advice()}"
                    raise EngineUnavailable(message) if folder.exists() else ModelMissing(message, model=model)
        known = self._metadata_of(next(iter(paths.values())), self._lacks, engine=engine)
        for option, keys in self.further_metadata.items():
            self._metadata_of(paths[option], partial(_lacking, keys), engine=engine)
        for option, expected in self.outputs.items():
            if _outputs(paths[option]) not in expected:
                raise EngineUnavailable(
                    f"engine {engine}: {paths[option]} does not belong to a {self.name}: it has another number of"
                    f" outputs; {self._advice()}"
                )
        if "tokens" in paths:
            self._check_tokens(paths["tokens"], vocabulary=known.get("vocab_size", ""), engine=engine)
        return paths

    def _metadata_of(
        self, path: Path, lacks: Callable[[Mapping[str, str]], list[str]], *, engine: str
    ) -> dict[str, str]:
        try:
            known = metadata(path)
            if lacking := lacks(known):
                raise ValueError(f"its metadata has no fitting {lacking[0]}")  # noqa: TRY301 - one message for all of this
        except (OSError, ValueError) as error:
            raise EngineUnavailable(
                f"engine {engine}: {path} is not a {self.name} model for sherpa-onnx: {first_line(error)};"
                f" {self._advice()}"
            ) from error
        return known

    def _lacks(self, known: Mapping[str, str]) -> list[str]:
        lacking = [key for key, part in self.metadata.items() if not known.get(key) or part not in known[key]]
        strange = [key for key, values in self.metadata_one_of.items() if known.get(key, values[0]) not in values]
        uncounted = [key for key in self.counts if not _COUNTS.fullmatch(known.get(key, ""))]
        return lacking + strange + uncounted

    def _check_tokens(self, path: Path, *, vocabulary: str, engine: str) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            check_token_table(text, merged=False)
            symbols = [line.split()[0] for line in text.split("\n") if line.strip()]
            for needed in self.tokens:
                if needed not in symbols:
                    raise ValueError(f"it has no {needed}")  # noqa: TRY301 - one message for all of this
            if self.blanks and not set(self.blanks) & set(symbols):
                raise ValueError(f"it has no {' or '.join(self.blanks)}")  # noqa: TRY301 - as above
            if self.blank_is_last and (symbols[-1] != "<blk>" or str(len(symbols) - 1) != vocabulary):
                raise ValueError(f"it must hold {vocabulary} tokens and then <blk>, as the model does")  # noqa: TRY301 - as above
        except (OSError, ValueError) as error:
            raise EngineUnavailable(f"engine {engine}: cannot use the tokens of {path}: {first_line(error)}") from error

    def _advice(self) -> str:
        return self.advice or (
            f"fetch {self.bundle}.tar.bz2 (or another one) from {RELEASES_URL}, unpack it and give its folder as model"
            " or as the engine option model_dir"
        )


def _outputs(path: Path) -> int:
    try:
        return output_count(path)
    except (OSError, ValueError):
        return 0


def _lacking(keys: Sequence[str], known: Mapping[str, str]) -> list[str]:
    return [key for key in keys if not known.get(key)]
