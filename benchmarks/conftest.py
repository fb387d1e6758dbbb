"""Kernels are timed in one process: beside others, `pytest-benchmark` would measure nothing, and say so nowhere."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Take back the processes that pyproject.toml gives to the tests; pytest-xdist looks behind this."""
    config.option.numprocesses = 0
