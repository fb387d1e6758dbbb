"""The small random checkpoints of every family, and how the tests load one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.hf_prompted import write_cohere, write_qwen3
from tests.support.hf_random import write_moonshine, write_parakeet, write_wav2vec2, write_whisper
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig

RATE_HZ = 16_000

WRITERS: dict[str, Callable[[Path], Path]] = {
    "parakeet_ctc": write_parakeet,
    "parakeet_rnnt": lambda folder: write_parakeet(folder, "RNNT"),
    "parakeet_tdt": lambda folder: write_parakeet(folder, "TDT"),
    "wav2vec2": lambda folder: write_wav2vec2(folder, masked=True),
    "wav2vec2_old": lambda folder: write_wav2vec2(folder, masked=False),
    "moonshine": write_moonshine,
    "whisper": write_whisper,
    "cohere": write_cohere,
    "qwen3": write_qwen3,
}


def load_from(folder: Path, options: Mapping[str, object] | None = None, **changes: Any) -> Engine:
    language = "en" if folder.name == "cohere" else None  # Cohere Transcribe needs one
    config = EngineConfig(engine="transformers", model=str(folder), language=language, options=options or {})
    return registry.load(replace(config, **changes))
