"""The engine for Kroko's streaming models: community files with sherpa-onnx, licensed ones with the package kroko-onnx.

It owns the choice between the two, and Kroko's options. It must not import trio, and either library only when an engine
is loaded.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trio_stt.errors import EngineUnavailable, ModelMissing, SettingError
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo
from trio_stt.lanes.engines.common import Options, import_backend
from trio_stt.lanes.engines.sherpa.kroko_files import (
    BLOCKS,
    DEFAULT_MODEL,
    HUB_URL,
    KrokoFile,
    find_file,
    language_of,
    read_file,
)
from trio_stt.lanes.engines.sherpa.loading import keywords_of, open_recognizer
from trio_stt.lanes.engines.sherpa.online_families import TRANSDUCERS, ZIPFORMER2, OnlineFamily
from trio_stt.lanes.engines.sherpa.streaming import open_model
from trio_stt.lanes.engines.sherpa.streams import MAX_BATCH, SherpaStreams, asked_tail_s, needed_tail_s

_PACKAGE = "kroko-onnx"
_INSTALL = "KROKO_LICENSE=ON pip install git+https://github.com/kroko-ai/kroko-onnx"
_PROVIDERS = ("auto", "cpu", "cuda")
_CHUNK_IN_NAME = re.compile(r"-(\d+)-[LMS]-")
_FRAMES_PER_CHUNK_UNIT = 2
"""The number in a file's name counts steps of 20 ms."""

_LOOK_AHEAD_FRAMES = 13
"""What a Zipformer2 looks at beyond its chunk."""

_USUAL_CHUNK = 64
_QUIET_OPTIONS = ("suppress_native_output", "suppress_output", "quiet", "silent")
_FILE_OPTIONS = ("model_path", "model_file", "model_dir")
_DOWNLOAD_OPTIONS = ("auto_download_model", "download_model")


def load(config: EngineConfig) -> SherpaStreams:
    """Load the model file that `config` names; ignores beams and prompts, and the precision is the file's own.

    Raises:
        SettingError: An option is unknown, of the wrong type or impossible.
        ModelMissing: There is no such file, and the options do not forbid to fetch it.
        EngineUnavailable: The file is missing or unfit, or needs a key or a package that is not there.
    """
    engine = config.engine
    options = _flat(config, engine)
    path = find_file(options, model=config.model or DEFAULT_MODEL, download_root=config.download_root)
    by_option = any(options.text(name) for name in _FILE_OPTIONS)
    key, referral_code = options.text("key"), options.text("referralcode")
    language = options.text("language").strip().lower() or language_of(path)
    tail_s = asked_tail_s(options, "tail_padding_seconds", "finalization_padding_seconds")
    wanted = options.text("provider") or config.device
    may_fetch = {options.boolean(name, default=True) for name in _DOWNLOAD_OPTIONS} == {True}
    for name in _QUIET_OPTIONS:  # nothing is printed here
        options.boolean(name, default=False)
    keywords = keywords_of(options, ZIPFORMER2.family, num_threads=config.num_threads)
    options.done()
    try:
        file = read_file(path, engine=engine, model=str(path) if by_option else config.model)
    except ModelMissing as error:
        if may_fetch:
            raise
        raise EngineUnavailable(str(error)) from error  # a file that is missing for good: nobody fetches it
    if file.free:
        return _load_free(config, options, file, keywords, wanted=wanted, tail_s=tail_s, language=language)
    if not key:
        raise EngineUnavailable(
            f"engine {engine}: {path} is encrypted: give its licence key as the option `key`, or use a community model"
            f" from {HUB_URL}"
        )
    if wanted not in _PROVIDERS:
        raise SettingError(f"engine {engine}: device {wanted!r} must be {', '.join(_PROVIDERS)}")
    keywords = {**keywords, "model_path": str(path), "key": key, "referralcode": referral_code}
    return _load_licensed(config, options, path, keywords, cuda=wanted == "cuda", tail_s=tail_s, language=language)


def _flat(config: EngineConfig, engine: str) -> Options:
    """The options, with those of the nested object `recognizer` in their place: there they win."""
    nested = Options(config.options, engine=engine).mapping("recognizer")
    values = {name: value for name, value in config.options.items() if name != "recognizer"}
    return Options({**values, **nested}, engine=engine)


def _load_free(
    config: EngineConfig,
    options: Options,
    file: KrokoFile,
    keywords: Mapping[str, object],
    *,
    wanted: str,
    tail_s: float | None,
    language: str | None,
) -> SherpaStreams:
    """Unpack a file where nobody else can write, for as long as sherpa-onnx takes to read it."""
    online = TRANSDUCERS.get(file.model_type)
    if online is None:
        known = ", ".join(TRANSDUCERS)
        raise EngineUnavailable(f"engine {config.engine}: {file.path} is of the type {file.model_type!r}, not {known}")
    with tempfile.TemporaryDirectory(prefix="trio-stt-kroko-") as name:
        folder = Path(name)
        try:
            file.unpack(folder)
        except OSError as error:
            raise EngineUnavailable(f"engine {config.engine}: cannot unpack {file.path}: {error}") from error
        try:
            return open_model(
                config,
                options,
                _as_in_file(online),
                folder,
                keywords={**keywords, "model_type": file.model_type},
                overrides=BLOCKS,
                wanted=wanted,
                tail_s=tail_s,
                language=language,
                called=file.path,
            )
        except EngineUnavailable as error:
            raise EngineUnavailable(str(error).replace(name, str(file.path))) from error


def _as_in_file(online: OnlineFamily) -> OnlineFamily:
    """The family as it stands in a `.data` file, whose header says the type instead of the encoder's metadata."""
    known = {key: part for key, part in online.family.metadata.items() if key != "model_type"}
    advice = f"fetch {DEFAULT_MODEL} (or another one) from {HUB_URL}"
    return replace(online, family=replace(online.family, metadata=known, metadata_one_of={}, advice=advice))


def _load_licensed(
    config: EngineConfig,
    options: Options,
    path: Path,
    keywords: Mapping[str, object],
    *,
    cuda: bool,
    tail_s: float | None,
    language: str | None,
) -> SherpaStreams:
    engine = config.engine
    kroko = import_backend("kroko_onnx", engine=engine, package=_PACKAGE, install=_INSTALL)
    device = "cuda" if cuda else "cpu"
    recognizer = open_recognizer(
        kroko.OnlineRecognizer,
        ZIPFORMER2.family,
        {name: value for name, value in keywords.items() if name != "model_type"} | {"provider": device},
        options=options,
        engine=engine,
        model=path,
        library=_PACKAGE,
    )
    info = EngineInfo(engine=engine, model=str(path), device=device, max_batch=MAX_BATCH, streaming=True, times="words")
    return SherpaStreams(
        recognizer,
        info=info,
        tail_s=needed_tail_s(_window_frames(path)) if tail_s is None else tail_s,
        language=language,
        normalize=config.normalize_audio,
    )


def _window_frames(path: Path) -> int:
    """How far an encrypted model looks, by its name."""
    named = _CHUNK_IN_NAME.search(path.name)
    chunk = int(named[1]) if named else _USUAL_CHUNK
    return chunk * _FRAMES_PER_CHUNK_UNIT + _LOOK_AHEAD_FRAMES
