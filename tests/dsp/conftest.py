"""Shared parts of the dsp tests."""

import pytest

from trio_stt.dsp.kernels import warm_up
from trio_stt.dsp.silero import SileroModel


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    warm_up()


@pytest.fixture(scope="session")
def silero() -> SileroModel:
    return SileroModel()
