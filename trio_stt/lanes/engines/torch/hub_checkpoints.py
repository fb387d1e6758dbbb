"""Opens a checkpoint for Transformers: from a folder, the Hugging Face hub's cache, or the hub.

It knows where checkpoints are and which class opens which; the families know what they are fed. It gets its libraries
from its caller.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trio_stt.errors import EngineUnavailable, ModelMissing, first_line
from trio_stt.lanes.engines.common import resolve_relative
from trio_stt.lanes.engines.hub import HUB_NAME, NotAvailable, fetch_model
from trio_stt.lanes.engines.selection import HALF_PRECISIONS
from trio_stt.runtime.packages import install_command

_AUTO_CLASSES = (
    ("AutoModelForTDT", "MODEL_FOR_TDT_MAPPING"),
    ("AutoModelForRNNT", "MODEL_FOR_RNNT_MAPPING"),
    ("AutoModelForCTC", "MODEL_FOR_CTC_MAPPING"),
    ("AutoModelForSpeechSeq2Seq", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING"),
)
"""Classes that open speech recognisers, and the mapping of configurations that each can open. The installed version
may lack some."""

_TRAINING_ONLY = re.compile(r"(^|\.)masked_spec_embed$")
"""Weights that published checkpoints may leave out, because only training uses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSource:
    """Where a checkpoint comes from, and how it is opened.

    Attributes:
        engine: Canonical engine name, for messages.
        name: A path (relative: from `download_root`, then from here), or `owner/name` on the hub.
        download_root: Cache folder for downloads instead of the hub's own, or None.
        offline: Take only what is on this machine.
        trust_remote_code: Run Python that comes with the checkpoint.
        dtype: The model's precision; `default` is float32 on a CPU, else the checkpoint's own half or float16.
        transformers: The imported library.
        processor_options: Further arguments of the processor's `from_pretrained`.
        model_options: Further arguments of the model's `from_pretrained`.
    """

    engine: str
    name: str
    download_root: Path | None
    offline: bool
    trust_remote_code: bool
    dtype: str
    transformers: Any
    processor_options: Mapping[str, object] = field(default_factory=dict)
    model_options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """An opened checkpoint.

    Attributes:
        engine: Canonical engine name, for messages.
        name: Its folder, or its name on the hub.
        auto_class: Name of the class that opened it.
        processor: What turns audio into features, and tokens into text.
        model: The network.
    """

    engine: str
    name: str
    auto_class: str
    processor: Any
    model: Any


def open_checkpoint(source: CheckpointSource, *, device: str) -> Checkpoint:
    """Open a checkpoint on `device`.

    Files in the hub's cache are used without a request; only missing ones are downloaded.

    Raises:
        ModelMissing: The checkpoint is not on this machine, and cannot be downloaded.
        EngineUnavailable: It is damaged or for something else, or it needs a package.
    """
    folder = resolve_relative(source.name, download_root=source.download_root, kind="folder")
    if folder.is_dir():
        return _open(source, str(folder), device=device, cached_only=True)
    if not HUB_NAME.fullmatch(source.name):
        raise ModelMissing(
            f"engine {source.engine}: no model folder {folder}; give the folder of a checkpoint for Transformers, or"
            " owner/name on the Hugging Face hub",
            model=source.name,
        )
    return fetch_model(
        source.name,
        engine=source.engine,
        offline=source.offline,
        fetch=lambda cached_only: _open(source, source.name, device=device, cached_only=cached_only),
    )


def _open(source: CheckpointSource, name: str, *, device: str, cached_only: bool) -> Checkpoint:
    """Read a checkpoint; turns every error into one of ours with one line."""
    try:
        return _read(source, name, device=device, cached_only=cached_only)
    except EngineUnavailable:
        raise
    except ImportError as error:  # torchaudio, sentencepiece ...: the message names it
        raise EngineUnavailable(
            f"engine {source.engine}: {name} needs another package: {' '.join(str(error).split())}"
        ) from error
    except Exception as error:  # damaged files raise errors of every kind
        if isinstance(error, OSError) and not Path(name).is_dir():
            raise NotAvailable(first_line(error)) from error
        problem = first_line(error)
        if "trust_remote_code" in str(error):
            problem = "it has Python code of its own, which runs only with the option trust_remote_code; read it first"
        raise EngineUnavailable(f"engine {source.engine}: Transformers cannot load {name}: {problem}") from error


def _read(source: CheckpointSource, name: str, *, device: str, cached_only: bool) -> Checkpoint:
    """Read configuration, processor and model, all from a folder, the cache or the hub."""
    transformers = source.transformers
    common = {
        "local_files_only": cached_only,
        "cache_dir": None if source.download_root is None else str(source.download_root.expanduser()),
        # Never None: Transformers would then ask the user on the terminal.
        "trust_remote_code": source.trust_remote_code,
    }
    config = transformers.AutoConfig.from_pretrained(name, **common)
    auto_class = _auto_class(config, transformers, trusted=source.trust_remote_code)
    if auto_class is None:
        raise EngineUnavailable(
            f"engine {source.engine}: {name} is of the type {config.model_type!r}, which the installed transformers"
            f" {transformers.__version__} does not know as a speech recogniser"
        )
    if getattr(config, "has_lora_adapter", False) and not transformers.utils.is_peft_available():
        raise ImportError(f"peft, for its adapter; run `{install_command('peft')}`")  # else it would be ignored
    processor = transformers.AutoProcessor.from_pretrained(name, **common, **source.processor_options)
    model, loading = getattr(transformers, auto_class).from_pretrained(
        name,
        dtype=_dtype(config, source.dtype, device=device),
        output_loading_info=True,
        **common,
        **source.model_options,
    )
    missing = sorted(key for key in loading["missing_keys"] if not _TRAINING_ONLY.search(key))
    if missing:  # Transformers would initialise them at random
        raise EngineUnavailable(
            f"engine {source.engine}: {name} has no weights for {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    return Checkpoint(
        engine=source.engine, name=name, auto_class=auto_class, processor=processor, model=model.to(device)
    )


def _auto_class(config: Any, transformers: Any, *, trusted: bool) -> str | None:
    """The name of the class that opens such a checkpoint, or None."""
    own = getattr(config, "auto_map", None) or {}
    for name, mapping in _AUTO_CLASSES:
        if type(config) in getattr(transformers, mapping, ()) or (trusted and name in own):
            return name
    return None


def _dtype(config: Any, wanted: str, *, device: str) -> str:
    """The precision to load in. By default float32 on a CPU, and on a GPU the model's own half precision or float16."""
    if wanted != "default":
        return wanted
    own = str(getattr(config, "dtype", None)).removeprefix("torch.")
    if device == "cpu":
        return "float32"
    return own if own in HALF_PRECISIONS else "float16"
