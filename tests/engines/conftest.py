"""The two engines with real models, loaded once."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.ggml import whisper_tiny_en
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig

NAMES = ("sherpa_onnx_moonshine", "whisper_cpp")


def real_config(name: str) -> EngineConfig:
    """The configuration under which an engine has its real model."""
    config = EngineConfig(engine=name)
    if name == "whisper_cpp":
        return replace(config, model=str(whisper_tiny_en()))
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
