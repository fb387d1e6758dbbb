"""The default engine with its real model."""

from collections.abc import Iterator

import pytest

from tests.support.real import moonshine_asset
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig


@pytest.fixture(scope="module")
def moonshine() -> Iterator[Engine]:
    moonshine_asset("tiny-en")
    engine = registry.load(EngineConfig(engine="sherpa_onnx_moonshine"))
    yield engine
    engine.close()
