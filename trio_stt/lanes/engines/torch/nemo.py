"""Parakeet and its relatives through NVIDIA NeMo, where the option `backend` of `sherpa_onnx_parakeet` says `nemo`.

It owns the loaded model and what NeMo is asked. It must not import trio, and NeMo and torch only when an engine is
loaded. Written against NeMo's documented interface (`ASRModel.from_pretrained`, `restore_from`, `transcribe`).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from trio_stt.errors import EngineUnavailable, ModelMissing, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Request, TimedText, Transcript
from trio_stt.lanes.engines.common import Options, first_line, import_backend, prepare_clips, resolve_relative
from trio_stt.lanes.engines.torch.runtime import (
    HALVES,
    MAX_BATCH_ON_CUDA,
    check_sample_rate,
    choose_device,
    devices,
    give_memory_back,
    import_torch,
    pad_short,
    precision,
)

_PACKAGE = "nemo_toolkit[asr]"

_FORBIDDEN = ("audio", "batch_size", "return_hypotheses", "timestamps", "verbose")
"""Arguments of `transcribe` that are ours to say."""


class Nemo:
    """A loaded NeMo model. Made by `load`; implements `Engine`."""

    def __init__(
        self,
        model: Any,
        *,
        info: EngineInfo,
        normalize: bool,
        half: str | None,
        timestamps: bool,
        call: Mapping[str, object],
        torch: Any,
    ) -> None:
        self._model = model
        self._half = half
        self._info = info
        self._normalize = normalize
        self._timestamps = timestamps
        self._call = call
        self._torch = torch

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; NeMo gets arrays, never files."""
        if self._model is None:
            raise TranscriptionFailed(f"engine {self._info.engine}: it was closed")
        clips = prepare_clips(batch, engine=self._info.engine, normalize=self._normalize)
        try:
            half = getattr(self._torch, self._half) if self._half else None
            # NeMo computes its features in float32 whatever the model is, so halves are a matter of each operation.
            autocast = self._torch.autocast(self._info.device, dtype=half, enabled=half is not None)
            with self._torch.inference_mode(), autocast:
                answer = self._model.transcribe(
                    audio=[pad_short(clip) for clip in clips],
                    batch_size=min(len(clips), MAX_BATCH_ON_CUDA),
                    return_hypotheses=True,
                    timestamps=self._timestamps or None,
                    verbose=False,
                    **self._call,
                )
            # Transducers used to answer with a pair: the best hypotheses, and all of them.
            best = answer[0] if isinstance(answer, tuple) else answer
            return [
                _transcript(hypothesis, clip.size / SAMPLE_RATE_HZ) if clip.any() else Transcript(text="")
                for hypothesis, clip in zip(best, clips, strict=True)
            ]
        except Exception as error:
            raise TranscriptionFailed(f"engine {self._info.engine}: {first_line(error)}") from error

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        if self._model is not None:
            self._model = None
            give_memory_back(self._torch)


def load(config: EngineConfig) -> Nemo:
    """Load the model that `config` names: a `.nemo` file, or a name that NeMo downloads.

    Options: `model`, further arguments of `from_pretrained` or `restore_from`; `transcribe`, further arguments of each
    call; `timestamps`, words with times; `sample_rate`. Language, beams and prompts mean nothing to these models.

    Raises:
        SettingError: The device, the precision or an option is unknown, of the wrong type or impossible.
        ModelMissing: There is no such file.
        EngineUnavailable: The package is missing, or the model unfit.
    """
    engine = config.engine
    options = Options(config.options, engine=engine)
    check_sample_rate(options)
    loading, call = options.mapping("model"), options.mapping("transcribe")
    timestamps = options.boolean("timestamps", default=False)
    options.done()
    for name in _FORBIDDEN:
        if name in call:
            raise options.error(f"transcribe.{name}", "has no place here: other options and settings say it")
    dtype = precision(config.compute_type, engine=engine)
    torch = import_torch(engine=engine)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    asr = import_backend("nemo.collections.asr", engine=engine, package=_PACKAGE)
    device, notice = choose_device(config.device, engine=engine, index=config.gpu_device_index, torch=torch)
    file = resolve_relative(config.model, download_root=config.download_root, kind="file")
    local = config.model.endswith(".nemo")
    if local and not file.is_file():
        raise ModelMissing(
            f"engine {engine}: no model file {file}; give a .nemo file, or a name that NeMo knows", model=config.model
        )
    if not local and "/" not in config.model:
        raise EngineUnavailable(
            f"engine {engine}: no model {file}; give a .nemo file, or owner/name on the Hugging Face hub"
        )
    try:
        if local:
            model = asr.models.ASRModel.restore_from(str(file), map_location=device, **loading)
        else:
            model = asr.models.ASRModel.from_pretrained(config.model, map_location=device, **loading)
        model.eval()
    except Exception as error:
        raise EngineUnavailable(f"engine {engine}: NeMo cannot load {config.model}: {first_line(error)}") from error
    info = EngineInfo(
        engine=engine,
        model=f"{file if local else config.model} with NeMo",
        device=device.partition(":")[0],
        max_batch=MAX_BATCH_ON_CUDA if device != "cpu" else 1,
        notice=notice,
        devices=devices(torch),
        times="words" if timestamps else "none",
    )
    return Nemo(
        model,
        info=info,
        normalize=config.normalize_audio,
        half=dtype if dtype in HALVES else None,
        timestamps=timestamps,
        call=call,
        torch=torch,
    )


def _transcript(hypothesis: Any, duration_s: float) -> Transcript:
    """What NeMo heard: a hypothesis, with words and their times where they were asked for; or plain text."""
    text = " ".join(str(getattr(hypothesis, "text", hypothesis)).split())
    timed = getattr(hypothesis, "timestamp", None)
    words = timed.get("word", ()) if isinstance(timed, Mapping) else ()
    segments = tuple(
        TimedText(
            text=str(word["word"]),
            start_s=(start_s := min(max(0.0, float(word["start"])), duration_s)),
            end_s=max(start_s, min(float(word["end"]), duration_s)),
        )
        for word in words
    )
    return Transcript(text=text, segments=segments if " ".join(s.text for s in segments) == text else ())
