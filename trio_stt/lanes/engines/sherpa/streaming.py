"""The engine that transcribes utterances incrementally, with any of sherpa-onnx's online models.

It owns the way from a folder to a loaded recogniser. sherpa-onnx is imported only when an engine is loaded.
"""

from dataclasses import replace

from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.engines.common import languages_without_choice, resolve_relative
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.sherpa.family import onnx_metadata
from trio_stt.lanes.engines.sherpa.loading import Model, choose_model, load_recognizer
from trio_stt.lanes.engines.sherpa.online_families import ONLINE_FAMILIES
from trio_stt.lanes.engines.sherpa.streams import MAX_BATCH, SherpaStreams

_ASSUMED_SUBSAMPLING = 4
"""Frames per step of a CTC model that sherpa-onnx 2.0.1 assumes for all of them."""


def load(config: EngineConfig) -> SherpaStreams:
    """Load the model that `config` names; ignores beams, prompts and the language; the files decide on the precision.

    Raises:
        SettingError: An option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package, the model or a file is missing, or sherpa-onnx cannot load it.
    """
    name = str(config.options.get("model_dir") or config.model)
    folder = resolve_relative(name, download_root=config.download_root, kind="folder")
    return open_model(choose_model(config, ONLINE_FAMILIES, folder, name=name))


def open_model(model: Model, *, languages: LanguageSupport | None = None) -> SherpaStreams:
    """Load a model, whose files may go afterwards.

    Args:
        model: What to load.
        languages: Those of the model; None takes them from the catalogue.

    Raises:
        SettingError: An option has no effect on such a model, or the device is unknown.
        EngineUnavailable: The package or a file is missing, or sherpa-onnx cannot load it.
    """
    family = model.family
    paths = family.paths(model.folder, model.overrides, engine=model.engine, model=model.name)
    arguments = {option: str(path) for option, path in paths.items()}
    recognizer, info = load_recognizer(
        model,
        "OnlineRecognizer",
        {**arguments, "enable_endpoint_detection": False},
        languages=languages or languages_without_choice(model.config, model.name, model.folder.name),
    )
    subsampling = onnx_metadata(next(iter(paths.values()))).get(family.times_key) if family.times_key else None
    return SherpaStreams(
        recognizer,
        info=replace(info, max_batch=MAX_BATCH, streaming=True),
        tail_s=model.options.tail_padding_seconds,
        extra_tail_frames=family.extra_tail_frames,
        normalize=model.config.normalize_audio,
        times_scale=int(subsampling) / _ASSUMED_SUBSAMPLING if subsampling else 1.0,
    )
