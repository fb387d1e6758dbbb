"""Describes a family of models: its files, options and languages, and sherpa-onnx's factory for it.

It finds a model's files and names missing ones. It does not check their content: `trial` does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import Field, create_model

from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes.engines.base import Times
from trio_stt.lanes.engines.options import Count, EngineOptions, ExistingPaths, SampleRate

RELEASES_URL = "https://github.com/k2-fsa/sherpa-onnx/releases/tag/asr-models"


class ThreadOptions(EngineOptions):
    """The nested option `model` of the reference server."""

    num_threads: Count | None = None


class SherpaOptions(EngineOptions):
    """Options that every model of sherpa-onnx takes; a family adds its own.

    The adapters read those that are excluded; all others are arguments of the recogniser's factory.
    """

    model_dir: str = Field("", exclude=True)
    model: ThreadOptions = Field(ThreadOptions(), exclude=True)
    provider: str = Field("", exclude=True)
    num_threads: Count | None = Field(None, exclude=True)
    sample_rate: SampleRate = Field(16_000, exclude=True)
    input_sample_rate: SampleRate = Field(16_000, exclude=True)
    decoding_method: str = "greedy_search"
    debug: bool = False
    rule_fsts: ExistingPaths = ""
    rule_fars: ExistingPaths = ""
    hr_rule_fsts: ExistingPaths = ""
    hr_lexicon: ExistingPaths = ""
    hr_dict_dir: ExistingPaths = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of model.

    Attributes:
        name: For messages.
        factory: Class method of sherpa-onnx's offline or, if the model streams, online recogniser that loads it.
        bundle: A release that holds such a model, without its ending.
        files: Option that names a file → its default names, the preferred one first. A `*` stands for anything; of
            several matches the first by name is used.
        folder_holds: Option whose file is a folder → the files that must be in it.
        metadata: Keys in the metadata of the first file that tell this family from another with the same file names.
        renamed: Option → the factory's name for it, where they differ.
        options: What the family takes besides its files.
        languages: Code → what the model calls the language; None if it takes none.
        language_required: The model cannot detect the language.
        language_by_stream: Each clip may have a language; sherpa-onnx then takes the recogniser's for others, if any.
        times: What the model gives times of.
        times_key: Key in the metadata with the encoder's subsampling factor, where sherpa-onnx 2.0.1 takes 4 for it and
            so gives wrong times.
        advice: Where to get such a model, instead of the bundle.
        audio_tokens_per_s: How much of `max_total_len` a second of audio takes; 0 without such a limit.
        min_samples: Shorter clips are padded with zeros.
        lead_samples: Zeros before each clip.
        tail_samples: Zeros behind each clip.
        extra_tail_frames: Frames that a streaming model needs after an utterance, beyond its window.
    """

    name: str
    factory: str
    bundle: str
    files: Mapping[str, tuple[str, ...]]
    folder_holds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    options: type[SherpaOptions] = SherpaOptions
    languages: Mapping[str, str] | None = None
    language_required: bool = False
    language_by_stream: bool = False
    times: Times = "words"
    times_key: str = ""
    advice: str = ""
    audio_tokens_per_s: int = 0
    min_samples: int = 8_000
    lead_samples: int = 0
    tail_samples: int = 0
    extra_tail_frames: int = 0

    def struct(self) -> type[SherpaOptions]:
        """The struct of all its options: each file may be named by an option, or inside the object `files`."""
        named: dict[str, Any] = {option: (str, Field("", exclude=True)) for option in self.files}
        files = create_model("Files", __base__=EngineOptions, **named)
        named.pop("model", None)  # that option is the object with the threads
        named["files"] = (files, Field(files(), exclude=True))
        return create_model("Options", __base__=self.options, **named)

    def find(self, folder: Path, overrides: Mapping[str, str], option: str) -> Path:
        """The file that an option means; it need not exist."""
        if overrides.get(option):
            return folder / Path(overrides[option]).expanduser()
        found = (path for name in self.files[option] for path in sorted(folder.glob(name)))
        return next(found, folder / self.files[option][0])

    def paths(self, folder: Path, overrides: Mapping[str, str], *, engine: str, model: str) -> dict[str, Path]:
        """Return every file of a model by its option.

        Args:
            folder: Of the model.
            overrides: Option that names a file → its value.
            engine: Canonical engine name, for messages.
            model: The name that led to the folder.

        Raises:
            ModelMissing: There is no such folder.
            EngineUnavailable: A file is missing; the message says which, and what to fetch.
        """
        paths = {option: self.find(folder, overrides, option) for option in self.files}
        for option, path in paths.items():
            for needed in (path, *(path / name for name in self.folder_holds.get(option, ()))):
                if not needed.exists():
                    message = f"engine {engine}: {self.name} file `{option}` is missing: {needed}; {self.how_to_get()}"
                    raise EngineUnavailable(message) if folder.exists() else ModelMissing(message, model=model)
        return paths

    def how_to_get(self) -> str:
        """Instructions to get such a model."""
        return self.advice or (
            f"fetch {self.bundle}.tar.bz2 (or another one) from {RELEASES_URL}, unpack it and give its folder as model"
            " or as the engine option model_dir"
        )


def file_overrides(options: Mapping[str, object]) -> dict[str, str]:
    """Options that may name a file, before the family is known: all that are strings."""
    nested = options.get("files")
    values = {**options, "model": None, **(nested if isinstance(nested, Mapping) else {})}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def choose_family(families: Sequence[Family], folder: Path, overrides: Mapping[str, str]) -> Family:
    """The family with the largest share of its files in a folder; the first of equals."""

    def share(family: Family) -> float:
        found = [family.find(folder, overrides, option).exists() for option in family.files]
        if family.metadata:
            first = family.find(folder, overrides, next(iter(family.files)))
            found[0] = set(family.metadata) <= onnx_metadata(first).keys()
        return sum(found) / len(found)

    return max(families, key=share) if len(families) > 1 else families[0]


def onnx_metadata(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file; empty if the file is missing or cannot be read."""
    import onnx  # noqa: PLC0415 - takes a second to import, and few families need it

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception:  # noqa: BLE001 - a damaged file raises protobuf's own errors
        return {}
    return {entry.key: entry.value for entry in cast("Any", model).metadata_props}
