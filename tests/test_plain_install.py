"""What an installer without uv's overrides brings: all declared dependencies and theirs, read from their metadata."""

import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {
    "torch",
    "tflite-runtime",
    "transformers",
    "scipy",
    "tensorflow",
    "moonshine-voice",
    "silero-vad",
    "openwakeword",
}


def closure() -> set[str]:
    """The names of all packages that a plain install brings on this system."""
    waiting, found = [Requirement(line) for line in PROJECT["project"]["dependencies"]], set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if name in found and extras == {""}:
            continue
        found.add(name)
        try:
            further = requires(requirement.name) or []
        except PackageNotFoundError:
            continue
        for line in further:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


def test_plain_install_brings_no_heavy_package() -> None:
    found = closure()
    assert {"numba", "llvmlite", "av", "trio", "onnxruntime"} <= found
    assert not found & HEAVY


def test_uv_installs_the_models_that_packages_carry_by_default() -> None:
    assert PROJECT["tool"]["uv"]["default-groups"] == ["models"]
    names = {Requirement(line).name for line in PROJECT["dependency-groups"]["models"]}
    assert names == {"silero-vad", "openwakeword", "moonshine-voice", "pipecat-ai"}


def test_uv_is_silent_about_bytecode() -> None:
    assert "compile-bytecode" not in PROJECT["tool"]["uv"], "`uv run` would report it at each run"
