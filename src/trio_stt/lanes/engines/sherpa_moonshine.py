"""The engine `sherpa_onnx_moonshine`: Moonshine, run by sherpa-onnx's offline recogniser.

It owns the recogniser and what it is fed; where the files are is `moonshine_files`' business. It must not import trio,
and sherpa-onnx only when an engine is loaded.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Request, Transcript
from trio_stt.lanes.engines.common import Options, import_backend, prepare_clips
from trio_stt.lanes.engines.moonshine_files import MoonshineFiles, check_token_table, find_files, token_table

ENGINE = "sherpa_onnx_moonshine"

_LEAD_SAMPLES = SAMPLE_RATE_HZ // 10
_TAIL_SAMPLES = SAMPLE_RATE_HZ // 4
"""Zeros put around each clip, 0.1 s and 0.25 s.

Moonshine mishears first and last words that touch the clip's edge. Measured on 13 cuts of 1 to 13 s from seven
recordings: 2.6 % mean WER with these and 6.7 % without over four margins and two levels, 4.9 % and 6.7 % over six
shifts of the start. They also keep a clip above the 0.06 s below which the encoder has no frame and sherpa-onnx
complains on standard error.
"""

_PROVIDERS = ("cpu", "cuda")
_ENGLISH = ("", "en", "english")


class SherpaMoonshine:
    """A loaded Moonshine model. Made by `load`; implements `Engine`."""

    def __init__(self, recognizer: Any, *, info: EngineInfo, normalize: bool) -> None:
        self._recognizer = recognizer
        self._info = info
        self._normalize = normalize

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; sherpa-onnx decodes the clips of a batch one after the other."""
        if self._recognizer is None:
            raise TranscriptionFailed(f"engine {ENGINE}: it was closed")
        clips = prepare_clips(batch, engine=ENGINE, normalize=self._normalize)
        streams = []
        for clip in clips:
            stream = self._recognizer.create_stream()
            stream.accept_waveform(SAMPLE_RATE_HZ, np.pad(clip, (_LEAD_SAMPLES, _TAIL_SAMPLES)))
            streams.append(stream)
        try:
            self._recognizer.decode_streams(streams)
            texts = [stream.result.text.strip() for stream in streams]
        except (RuntimeError, ValueError) as error:  # native errors; ValueError: text that is not UTF-8
            raise TranscriptionFailed(f"engine {ENGINE}: {_first_line(error)}") from error
        return [Transcript(text=text, language="en") for text in texts]

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        self._recognizer = None


def load(config: EngineConfig) -> SherpaMoonshine:
    """Load the model that `config` names; takes `en`, `english` or no language, ignores beams and prompts.

    Raises:
        SettingError: The language is not English, or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package, the model or a file is missing or unfit.
    """
    if (config.language or "").strip().lower() not in _ENGLISH:
        raise SettingError(f"engine {ENGINE}: language {config.language!r} is not known to Moonshine, only 'en' is")
    options = Options(config.options, engine=ENGINE)
    files = find_files(engine=ENGINE, model=config.model, download_root=config.download_root, options=options)
    keywords = _recognizer_options(options, num_threads=config.num_threads)
    wanted = options.text("provider") or config.device
    options.done()
    sherpa = import_backend("sherpa_onnx", engine=ENGINE, package="sherpa-onnx")
    provider, notice = _provider(wanted, index=config.gpu_device_index, offers_cuda=_offers_cuda(sherpa))
    with ExitStack() as stack:
        paths = {option: str(path) for option, path in files.paths.items()}
        paths["tokens"] = str(_usable_tokens(files, stack))
        try:
            if files.merged:
                paths["decoder"] = paths.pop("merged_decoder")
                recognizer = sherpa.OfflineRecognizer.from_moonshine_v2(**paths, **keywords, provider=provider)
            else:
                recognizer = sherpa.OfflineRecognizer.from_moonshine(**paths, **keywords, provider=provider)
        except RuntimeError as error:
            raise EngineUnavailable(
                f"engine {ENGINE}: sherpa-onnx cannot load {files.model}: {_first_line(error)}"
            ) from error
    info = EngineInfo(engine=ENGINE, model=files.model, device=provider, notice=notice)
    return SherpaMoonshine(recognizer, info=info, normalize=config.normalize_audio)


def _recognizer_options(options: Options, *, num_threads: int) -> dict[str, object]:
    """Read what goes to the recogniser as it is; sherpa-onnx ends the process on some bad values, so they stop here."""
    model = options.nested("model")
    threads = options.integer("num_threads", model.integer("num_threads", num_threads))
    model.done()
    method = options.text("decoding_method", "greedy_search")
    if method != "greedy_search":
        raise options.error("decoding_method", f"must be 'greedy_search', the only one for Moonshine, not {method!r}")
    for name in ("sample_rate", "input_sample_rate"):
        if options.integer(name, SAMPLE_RATE_HZ) != SAMPLE_RATE_HZ:
            raise options.error(name, f"must be {SAMPLE_RATE_HZ}: every clip that reaches an engine has this rate")
    keywords: dict[str, object] = {
        "num_threads": threads,
        "decoding_method": method,
        "debug": options.boolean("debug", default=False),
    }
    for name in ("rule_fsts", "rule_fars", "hr_rule_fsts", "hr_lexicon", "hr_dict_dir"):
        value = options.text(name)
        for part in filter(None, value.split(",")):
            if not Path(part).exists():
                raise options.error(name, f"names {part}, which does not exist")
        keywords[name] = value
    return keywords


def _provider(wanted: str, *, index: int, offers_cuda: bool) -> tuple[str, str | None]:
    """Return where to run, and a notice if that is not what was asked."""
    if wanted not in ("auto", *_PROVIDERS):
        raise SettingError(f"engine {ENGINE}: device {wanted!r} must be auto, {' or '.join(_PROVIDERS)}")
    if wanted == "cuda" and not offers_cuda:
        return "cpu", f"engine {ENGINE}: the installed sherpa-onnx has no CUDA, so it runs on the CPU"
    if wanted == "cpu" or not offers_cuda:
        return "cpu", None
    notice = f"engine {ENGINE}: sherpa-onnx takes the first CUDA device; choose with CUDA_VISIBLE_DEVICES, not by index"
    return "cuda", notice if index else None


def _offers_cuda(sherpa: Any) -> bool:
    """Tell whether this build of sherpa-onnx carries onnxruntime's CUDA provider beside its libraries."""
    return any((Path(sherpa.__file__).parent / "lib").glob("*onnxruntime_providers_cuda*"))


def _usable_tokens(files: MoonshineFiles, stack: ExitStack) -> Path:
    """Return a `tokens.txt`, made from a `tokenizer.bin` where there is none; a made one lasts as long as `stack`.

    sherpa-onnx reads it once, while it loads, so nothing has to be kept and no folder of the user's has to be writable.
    """
    path = files.paths["tokens"]
    try:
        if path.suffix != ".bin":
            check_token_table(path.read_text(encoding="utf-8"), merged=files.merged)
            return path
        table = token_table(path.read_bytes())
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trio-stt-"))) / "tokens.txt"
        made.write_text(table, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"engine {ENGINE}: cannot use the tokens of {path}: {_first_line(error)}") from error
    return made


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
