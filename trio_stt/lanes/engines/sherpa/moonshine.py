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
from trio_stt.lanes.engines.common import Options, first_line, import_backend, prepare_clips
from trio_stt.lanes.engines.sherpa.moonshine_files import MoonshineFiles, check_token_table, find_files, token_table
from trio_stt.lanes.engines.sherpa.runtime import devices, provider, recognizer_options

ENGINE = "sherpa_onnx_moonshine"

_LEAD_SAMPLES = SAMPLE_RATE_HZ // 10
_TAIL_SAMPLES = SAMPLE_RATE_HZ // 4
"""Zeros put around each clip, 0.1 s and 0.25 s.

Moonshine mishears first and last words that touch the clip's edge. Measured on 13 cuts of 1 to 13 s from seven
recordings: 2.6 % mean WER with these and 6.7 % without over four margins and two levels, 4.9 % and 6.7 % over six
shifts of the start. They also keep a clip above the 0.06 s below which the encoder has no frame and sherpa-onnx
complains on standard error.
"""

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
            raise TranscriptionFailed(f"engine {ENGINE}: {first_line(error)}") from error
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
    keywords = recognizer_options(options, num_threads=config.num_threads, methods=("greedy_search",))
    wanted = options.text("provider") or config.device
    options.done()
    sherpa = import_backend("sherpa_onnx", engine=ENGINE, package="sherpa-onnx")
    device, notice = provider(wanted, engine=ENGINE, index=config.gpu_device_index, sherpa=sherpa)
    with ExitStack() as stack:
        paths = {option: str(path) for option, path in files.paths.items()}
        paths["tokens"] = str(_usable_tokens(files, stack))
        try:
            if files.merged:
                paths["decoder"] = paths.pop("merged_decoder")
                recognizer = sherpa.OfflineRecognizer.from_moonshine_v2(**paths, **keywords, provider=device)
            else:
                recognizer = sherpa.OfflineRecognizer.from_moonshine(**paths, **keywords, provider=device)
        except RuntimeError as error:
            raise EngineUnavailable(
                f"engine {ENGINE}: sherpa-onnx cannot load {files.model}: {first_line(error)}"
            ) from error
    info = EngineInfo(
        engine=ENGINE,
        model=files.model,
        device=device,
        notice=notice,
        devices=devices(sherpa),
        languages=("en",),
    )
    return SherpaMoonshine(recognizer, info=info, normalize=config.normalize_audio)


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
        raise EngineUnavailable(f"engine {ENGINE}: cannot use the tokens of {path}: {first_line(error)}") from error
    return made
