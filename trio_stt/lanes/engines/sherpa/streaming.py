"""The engine that hears utterances as they grow with any of sherpa-onnx's online models, by the files in its directory.

It owns the way from options and a directory to a loaded recogniser. It must not import trio, and sherpa-onnx only when
an engine is loaded.
"""

from collections.abc import Mapping
from pathlib import Path

from trio_stt.lanes.engines.base import EngineConfig, EngineInfo
from trio_stt.lanes.engines.common import Options, import_backend, resolve_relative
from trio_stt.lanes.engines.sherpa.loading import choose_family, file_options, keywords_of, open_recognizer
from trio_stt.lanes.engines.sherpa.online_families import ONLINE_FAMILIES, OnlineFamily
from trio_stt.lanes.engines.sherpa.onnx_files import metadata
from trio_stt.lanes.engines.sherpa.runtime import devices, provider
from trio_stt.lanes.engines.sherpa.streams import MAX_BATCH, SherpaStreams, asked_tail_s, needed_tail_s

_FAMILIES = {online.family.name: online for online in ONLINE_FAMILIES}


def load(config: EngineConfig) -> SherpaStreams:
    """Load the model that `config` names; ignores beams, prompts and the language, and the precision is the files' own.

    Raises:
        SettingError: An option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package, the model or a file is missing or unfit.
    """
    options = Options(config.options, engine=config.engine)
    families = [online.family for online in ONLINE_FAMILIES]
    name = options.text("model_dir") or config.model
    folder = resolve_relative(name, download_root=config.download_root, kind="folder")
    overrides = file_options(options, families)
    family = choose_family(families, folder, overrides, options=options)
    keywords = keywords_of(options, family, num_threads=config.num_threads)
    tail_s = asked_tail_s(options, "tail_padding_seconds")
    wanted = options.text("provider") or config.device
    options.done()
    return open_model(
        config,
        options,
        _FAMILIES[family.name],
        folder,
        keywords=keywords,
        overrides=overrides,
        wanted=wanted,
        tail_s=tail_s,
    )


def open_model(
    config: EngineConfig,
    options: Options,
    online: OnlineFamily,
    folder: Path,
    *,
    keywords: Mapping[str, object],
    overrides: Mapping[str, str],
    wanted: str,
    tail_s: float | None,
    language: str | None = None,
    called: Path | None = None,
) -> SherpaStreams:
    """Load a model from its directory, whose files may go afterwards.

    Args:
        config: Of the lane.
        options: Of the engine, all of them read.
        online: The family of the model.
        folder: Where its files are.
        keywords: Options of its factory.
        overrides: Files by their options, where they are not called as usual.
        wanted: The device.
        tail_s: Seconds of silence after an utterance; None for what the model needs.
        language: To be told with each transcript.
        called: What people know as the model, if not its directory.

    Raises:
        SettingError: An option has no effect on such a model, or the device is none.
        EngineUnavailable: The package or a file is missing or unfit.
    """
    engine = config.engine
    sherpa = import_backend("sherpa_onnx", engine=engine, package="sherpa-onnx")
    device, notice = provider(wanted, engine=engine, index=0, sherpa=sherpa)
    named = str(config.options.get("model_dir") or config.model)
    paths = online.family.check(folder, overrides, engine=engine, model=named)
    known = metadata(next(iter(paths.values())))
    recognizer = open_recognizer(
        sherpa.OnlineRecognizer,
        online.family,
        {
            **keywords,
            **{option: str(path) for option, path in paths.items()},
            "provider": device,
            "device": config.gpu_device_index,
        },
        options=options,
        engine=engine,
        model=folder,
    )
    return SherpaStreams(
        recognizer,
        info=EngineInfo(
            engine=engine,
            model=str(called or folder),
            device=device,
            max_batch=MAX_BATCH,
            notice=notice,
            streaming=True,
            devices=devices(sherpa),
            times=online.family.times,
        ),
        tail_s=needed_tail_s(online.window_frames(known, keywords)) if tail_s is None else tail_s,
        language=language,
        normalize=config.normalize_audio,
        times_scale=online.times_scale(known),
    )
