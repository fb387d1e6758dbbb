"""Loads a recogniser of sherpa-onnx, or of a library with the same interface, from an engine's options.

It must not know any family of models.
"""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trio_stt.errors import EngineUnavailable, first_line
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo
from trio_stt.lanes.engines.common import import_backend
from trio_stt.lanes.engines.devices import offers_cuda
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.options import decode, option_error
from trio_stt.lanes.engines.selection import CPU_AND_CUDA, choose_device
from trio_stt.lanes.engines.sherpa import trial
from trio_stt.lanes.engines.sherpa.family import Family, choose_family, file_overrides
from trio_stt.models.cache import is_intact
from trio_stt.runtime.packages import install_command

_tried: set[tuple[object, ...]] = set()
"""Models that a child process has loaded, with their options and the state of all files. They need no second trial
when the engine is loaded for another worker or after a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model to load, with the user's options.

    Attributes:
        config: Of the lane.
        options: Of the engine, decoded.
        family: What kind of model it is.
        folder: Where its files are.
        overrides: Option that names a file → its value.
        name: The name that led to the folder.
        source: The model as the user knows it: its folder, or the file from which it was unpacked.
    """

    config: EngineConfig
    options: Any
    family: Family
    folder: Path
    overrides: Mapping[str, str]
    name: str
    source: Path

    @property
    def engine(self) -> str:
        """Canonical engine name."""
        return self.config.engine


def choose_model(config: EngineConfig, families: Sequence[Family], folder: Path, *, name: str) -> Model:
    """Choose the family by the files in a folder, and decode the options for it.

    Raises:
        SettingError: An option does not exist for such a model, has the wrong type or is out of range.
    """
    overrides = file_overrides(config.options)
    family = choose_family(families, folder, overrides)
    options = decode(family.struct(), config.options, engine=config.engine)
    return Model(
        config=config, options=options, family=family, folder=folder, overrides=overrides, name=name, source=folder
    )


def load_recognizer(
    model: Model, recognizer: str, arguments: Mapping[str, object], *, languages: LanguageSupport, known: bool = False
) -> tuple[Any, EngineInfo]:
    """Load a model with sherpa-onnx.

    Args:
        model: The model, with its family and options.
        recognizer: sherpa-onnx's class, `OfflineRecognizer` or `OnlineRecognizer`.
        arguments: As in `open_recognizer`, without the device.
        languages: For the information.
        known: As in `open_recognizer`.

    Returns:
        The recogniser, and what was loaded; the caller adds what is special about its class.

    Raises:
        SettingError: The device is unknown; see also `open_recognizer`.
        EngineUnavailable: sherpa-onnx is not installed; see also `open_recognizer`.
    """
    engine, index = model.engine, model.config.gpu_device_index
    sherpa = import_backend("sherpa_onnx", engine=engine, package="sherpa-onnx")
    devices = CPU_AND_CUDA if offers_cuda(Path(sherpa.__file__).parent) else ("cpu",)
    device, notice = choose_device(
        model.options.provider or model.config.device,
        engine=engine,
        cuda_devices=int("cuda" in devices),
        without_cuda="the installed sherpa-onnx has no CUDA",
    )
    if device == "cuda" and index and recognizer == "OfflineRecognizer":  # it has no argument for the device
        notice = (
            f"engine {engine}: sherpa-onnx takes the first CUDA device; choose with CUDA_VISIBLE_DEVICES, not by index"
        )
    native = open_recognizer(
        getattr(sherpa, recognizer), model, {**arguments, "provider": device, "device": index}, known=known
    )
    info = EngineInfo(
        engine=engine,
        model=str(model.source),
        device=device,
        notice=notice,
        devices=devices,
        languages=languages,
        times=model.family.times,
    )
    return native, info


def open_recognizer(
    recognizer: Any,
    model: Model,
    arguments: Mapping[str, object],
    *,
    library: str = "sherpa-onnx",
    known: bool = False,
    licensed: bool = False,
) -> Any:
    """Load a model with those options that the installed library knows.

    A model that may be damaged or unfit is first loaded in a child process, see `trial`: not one that was pulled and
    is intact, unless options change how it is loaded.

    Args:
        recognizer: The library's recogniser class.
        model: The model, with its family and options.
        arguments: Further arguments of the factory, which win: files, device.
        library: The library's package, for messages.
        known: The model is embedded in trio-stt's packages, so it needs no trial without options.
        licensed: Each process that loads the model is a connection to the licence server, whose number is limited. So
            the model is never tried.

    Raises:
        SettingError: An option that the user gave has no effect there.
        EngineUnavailable: The library has no such factory, or cannot load the model.
    """
    family, options, engine = model.family, model.options, model.engine
    factory = getattr(recognizer, family.factory, None)
    if factory is None:
        raise EngineUnavailable(
            f"engine {engine}: the installed {library} has no {family.name}; run `{install_command('-U', library)}`"
        )
    taken = inspect.signature(factory).parameters
    given = options.model_dump()
    _check_hotwords(given, engine=engine)
    for name in sorted(given.keys() & options.model_fields_set):
        if given[name] and family.renamed.get(name, name) not in taken:
            raise option_error(engine, name, f"has no effect on {family.name} in the installed {library}")
    threads = options.num_threads or options.model.num_threads or model.config.num_threads
    named = {**given, "num_threads": threads, **arguments}
    named = {family.renamed.get(name, name): value for name, value in named.items()}
    named = {name: value for name, value in named.items() if name in taken}
    changed = options.model_fields_set & {*given, *family.files, "files"}
    if not licensed and (changed or not (known or is_intact(model.source))):
        _try_in_child(recognizer, model, named, library=library)
    try:
        return factory(**named)
    except (RuntimeError, ValueError) as error:
        raise _cannot_load(model, library, first_line(error)) from error


def _check_hotwords(given: Mapping[str, Any], *, engine: str) -> None:
    if given.get("hotwords_file"):
        if given["decoding_method"] != "modified_beam_search":
            raise option_error(engine, "hotwords_file", "needs the option decoding_method 'modified_beam_search'")
        if "bpe" in given["modeling_unit"] and not given["bpe_vocab"]:
            raise option_error(engine, "hotwords_file", "needs the option bpe_vocab with this modeling_unit")


def _try_in_child(recognizer: Any, model: Model, arguments: Mapping[str, Any], *, library: str) -> None:
    """Load the model in a child process, see `trial`, once for the same arguments and files.

    Raises:
        EngineUnavailable: The child could not load it.
    """
    family = model.family
    found = [family.find(model.folder, model.overrides, option) for option in family.files]
    files = [model.source] if model.source.is_file() else found
    # The model's own files may be unpacked or converted into a temporary folder for each load, so the state of their
    # sources stands for them. Other files, such as hotwords, count by their own.
    own = {family.renamed.get(option, option) for option in family.files}
    others = {name: str(value) for name, value in arguments.items() if name not in own}
    parts = [part for value in others.values() for part in value.split(",")]
    files += [Path(part) for part in parts if os.path.isfile(part)]  # noqa: PTH113 - `Path` raises for long prompts
    state = ((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    key = (family.factory, *sorted(others.items()), *state)
    if key in _tried:
        return
    package = recognizer.__module__.partition(".")[0]
    if problem := trial.refusal(package, recognizer.__name__, family.factory, arguments):
        raise _cannot_load(model, library, problem)
    _tried.add(key)


def _cannot_load(model: Model, library: str, problem: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"engine {model.engine}: {library} cannot load {model.source} as {model.family.name}: {problem};"
        f" {model.family.how_to_get()}"
    )
