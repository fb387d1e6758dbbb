"""Shared parts of the dsp tests."""

import pytest

from trio_stt.dsp.silero import SileroModel


@pytest.fixture(scope="session")
def silero() -> SileroModel:
    return SileroModel()
