"""Kernel benchmarks run in one process: with pytest-xdist, `pytest-benchmark` measures nothing without a warning."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Reset the number of processes that pyproject.toml sets for the tests, before pytest-xdist reads it."""
    config.option.numprocesses = 0
