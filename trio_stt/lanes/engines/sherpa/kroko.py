"""The engine for Kroko's streaming models: community files with sherpa-onnx, licensed ones with the package kroko-onnx.

It owns the choice between the two, and Kroko's options. Either library is imported only when an engine is loaded.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo
from trio_stt.lanes.engines.common import import_backend, languages_without_choice
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.options import decode, option_error
from trio_stt.lanes.engines.selection import CPU_AND_CUDA, choose_device
from trio_stt.lanes.engines.sherpa.kroko_files import (
    BLOCKS,
    DEFAULT_MODEL,
    HUB_URL,
    KrokoFile,
    find_file,
    language_of,
    read_file,
)
from trio_stt.lanes.engines.sherpa.loading import Model, open_recognizer
from trio_stt.lanes.engines.sherpa.online_families import TRANSDUCER, StreamingTransducerOptions, TailSeconds
from trio_stt.lanes.engines.sherpa.streaming import open_model
from trio_stt.lanes.engines.sherpa.streams import MAX_BATCH, SherpaStreams
from trio_stt.languages import language_code
from trio_stt.runtime.packages import install_command

_PACKAGE = "kroko-onnx"
_SOURCE = "git+https://github.com/kroko-ai/kroko-onnx"


class KrokoOptions(StreamingTransducerOptions):
    """Options of Kroko's models. The last four are accepted without effect: nothing is printed."""

    model_path: str = Field("", exclude=True)
    model_file: str = Field("", exclude=True)
    model_filename: str = Field("", exclude=True)
    key: str = Field("", exclude=True, repr=False)
    referralcode: str = Field("", exclude=True)
    language: str = Field("", exclude=True)
    finalization_padding_seconds: TailSeconds = None
    auto_download_model: bool = Field(default=True, exclude=True)
    download_model: bool = Field(default=True, exclude=True)
    suppress_native_output: bool = Field(default=False, exclude=True)
    suppress_output: bool = Field(default=False, exclude=True)
    quiet: bool = Field(default=False, exclude=True)
    silent: bool = Field(default=False, exclude=True)


_KROKO = replace(
    TRANSDUCER,
    name="Kroko transducer",
    options=KrokoOptions,
    advice=f"fetch {DEFAULT_MODEL} (or another one) from {HUB_URL}",
)


def load(config: EngineConfig) -> SherpaStreams:
    """Load the model file that `config` names; ignores beams and prompts, and the file decides on the precision.

    Raises:
        SettingError: An option is unknown, of the wrong type or impossible.
        ModelMissing: There is no such file, and the options do not forbid to fetch it.
        EngineUnavailable: The file is missing or damaged, or needs a key or a package that is not there.
    """
    engine = config.engine
    options = decode(KrokoOptions, _flat(config), engine=engine)
    path = find_file(
        model=config.model or DEFAULT_MODEL,
        download_root=config.download_root,
        named=options.model_path or options.model_file,
        folder=options.model_dir,
        file_name=options.model_filename,
    )
    by_option = options.model_path or options.model_file or options.model_dir
    if options.tail_padding_seconds is None:
        options = options.model_copy(update={"tail_padding_seconds": options.finalization_padding_seconds})
    try:
        file = read_file(path, engine=engine, model=str(path) if by_option else config.model)
    except ModelMissing as error:
        if options.auto_download_model and options.download_model:
            raise
        raise EngineUnavailable(str(error)) from error  # a file that is not to be fetched
    model = Model(
        config=config, options=options, family=_KROKO, folder=path, overrides=BLOCKS, name=path.name, source=path
    )
    language = language_code(options.language or language_of(path) or "")
    languages = (
        LanguageSupport(known=(language,), loaded=language)
        if language
        else languages_without_choice(model.config, model.name, model.folder.name)
    )
    if file.free:
        return _load_free(model, file, languages=languages)
    if not options.key:
        raise EngineUnavailable(
            f"engine {engine}: {path} is encrypted: give its licence key as the option `key`, or use a community model"
            f" from {HUB_URL}"
        )
    return _load_licensed(model, options, languages=languages)


def _flat(config: EngineConfig) -> dict[str, object]:
    """The options, with those of the nested object `recognizer` in their place: there they win."""
    nested = config.options.get("recognizer") or {}
    if not isinstance(nested, dict):
        raise option_error(config.engine, "recognizer", f"must be an object, not {nested!r}")
    return {name: value for name, value in config.options.items() if name != "recognizer"} | nested


def _load_free(model: Model, file: KrokoFile, *, languages: LanguageSupport) -> SherpaStreams:
    """Unpack a file into a private folder, for as long as sherpa-onnx takes to read it."""
    engine = model.engine
    with tempfile.TemporaryDirectory(prefix="trio-stt-kroko-") as name:
        try:
            file.unpack(Path(name))
        except OSError as error:
            raise EngineUnavailable(f"engine {engine}: cannot unpack {file.path}: {error}") from error
        # The header says which kind of transducer it is, instead of the encoder's metadata.
        typed = model.options.model_copy(update={"model_type": file.model_type})
        try:
            return open_model(replace(model, folder=Path(name), options=typed), languages=languages)
        except EngineUnavailable as error:
            raise EngineUnavailable(str(error).replace(name, str(file.path))) from error


def _load_licensed(model: Model, options: KrokoOptions, *, languages: LanguageSupport) -> SherpaStreams:
    engine, path = model.engine, model.source
    wanted = options.provider or model.config.device
    device, _ = choose_device(
        "cpu" if wanted == "auto" else wanted, engine=engine, cuda_devices=1, without_cuda="no CUDA"
    )
    install = f"KROKO_LICENSE=ON {install_command(_SOURCE)}"
    kroko = import_backend("kroko_onnx", engine=engine, package=_PACKAGE, install=install)
    arguments = {"model_path": str(path), "key": options.key, "referralcode": options.referralcode, "provider": device}
    recognizer = open_recognizer(kroko.OnlineRecognizer, model, arguments, library=_PACKAGE, licensed=True)
    info = EngineInfo(
        engine=engine,
        model=str(path),
        device=device,
        max_batch=MAX_BATCH,
        streaming=True,
        devices=CPU_AND_CUDA,
        languages=languages,
        times="words",
    )
    return SherpaStreams(
        recognizer,
        info=info,
        tail_s=options.tail_padding_seconds,
        normalize=model.config.normalize_audio,
    )
