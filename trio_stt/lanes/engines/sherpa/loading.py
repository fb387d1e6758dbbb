"""From the options of a sherpa-onnx engine to its recogniser: files, family, keywords, and the factory's own limits.

It must not know any model family, must not import trio, and gets sherpa-onnx from its caller.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.common import Options, first_line
from trio_stt.lanes.engines.sherpa.files import Family
from trio_stt.lanes.engines.sherpa.runtime import recognizer_options


def file_options(options: Options, families: Sequence[Family]) -> dict[str, str]:
    """What the options say of files, by option. `model` names a file only inside `files`."""
    nested = options.nested("files")
    names = sorted({option for family in families for option in family.files})
    overrides = {name: nested.text(name) or ("" if name == "model" else options.text(name)) for name in names}
    nested.done()
    return overrides


def choose_family(
    families: Sequence[Family], folder: Path, overrides: Mapping[str, str], *, options: Options
) -> Family:
    """The family whose model is in a directory; where there is none, the one whose error says most.

    Raises:
        SettingError: The options name a file that such a model does not have.
    """
    family = next((each for each in families if each.fits(folder, overrides)), None) or next(
        (each for each in families if each.find(folder, overrides, next(iter(each.files))).exists()), families[0]
    )
    if strange := sorted(option for option, value in overrides.items() if value and option not in family.files):
        raise options.error(strange[0], f"has no place in the {family.name} model {folder}")
    return family


def keywords_of(options: Options, family: Family, *, num_threads: int) -> dict[str, object]:
    """Read the options of a family's factory.

    Raises:
        SettingError: An option is of the wrong type or impossible.
    """
    keywords = recognizer_options(options, num_threads=num_threads, methods=family.methods)
    keywords |= {option: read(options, option) for option, read in family.options.items()}
    if keywords.get("hotwords_file"):
        if keywords["decoding_method"] != "modified_beam_search":
            raise options.error("hotwords_file", "needs the option decoding_method 'modified_beam_search'")
        if "bpe" in str(keywords["modeling_unit"]) and not keywords["bpe_vocab"]:
            raise options.error("hotwords_file", "needs the option bpe_vocab with this modeling_unit")
    return keywords


def open_recognizer(
    recognizer: Any,
    family: Family,
    keywords: Mapping[str, object],
    *,
    options: Options,
    engine: str,
    model: Path,
    library: str = "sherpa-onnx",
) -> Any:
    """Load a model with what the installed library takes.

    Args:
        recognizer: The library's class of recognisers.
        family: Says which factory, and how it calls its options.
        keywords: Options of ours.
        options: The engine's: what nobody asked for may be missing in the library.
        engine: Canonical name, for messages.
        model: File or folder, for messages.
        library: sherpa-onnx or a relative of it, for messages.

    Raises:
        SettingError: An option has no effect there.
        EngineUnavailable: The library has no such factory, or cannot load the model.
    """
    factory = getattr(recognizer, family.factory, None)
    if factory is None:
        raise EngineUnavailable(
            f"engine {engine}: the installed {library} has no {family.name}; run `pip install -U {library}`"
        )
    taken = inspect.signature(factory).parameters
    named = {family.renamed.get(option, option): value for option, value in keywords.items()}
    for option, value in keywords.items():
        if family.renamed.get(option, option) not in taken and value and options.value(option) is not None:
            raise options.error(option, f"has no effect on {family.name} in the installed {library}")
    try:
        return factory(**{name: value for name, value in named.items() if name in taken})
    except (RuntimeError, ValueError) as error:
        raise EngineUnavailable(f"engine {engine}: {library} cannot load {model}: {first_line(error)}") from error
