"""Every imported package is declared, and every declared one is pinned to the tested version."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
UNPINNED = {"torch": "installed by hand, at the version that .ci/run names"}
PRIVATE_MODULES = {"_pywhispercpp": "pywhispercpp"}  # compiled modules that their distributions do not list


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def declared() -> list[Requirement]:
    """The requirements of the package and its extras."""
    table = project()["project"]
    extras = [line for extra in table["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in [*table["dependencies"], *extras]]


def imported_modules(source: str) -> Iterator[str]:
    """The top-level modules that a file imports, by statement or by `importlib.import_module` with a literal name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module))]):
                yield module.partition(".")[0]


def third_party_imports() -> dict[str, Path]:
    """Each third-party module that the package imports, with a file that imports it."""
    found = {
        module: file
        for file in sorted((ROOT / "trio_stt").rglob("*.py"))
        for module in imported_modules(file.read_text(encoding="utf-8"))
    }
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, "trio_stt"}}


def test_every_third_party_import_is_a_declared_dependency() -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    distributions = {**packages_distributions(), **{module: [name] for module, name in PRIVATE_MODULES.items()}}
    undeclared = {
        module: str(file.relative_to(ROOT))
        for module, file in third_party_imports().items()
        if not names.intersection(map(canonicalize_name, distributions.get(module, [module])))
    }
    assert not undeclared


def test_uv_and_pip_read_the_same_versions() -> None:
    assert project()["tool"]["uv"]["constraint-dependencies"] == pins(), "run .ci/pin"


def test_pins_are_exact_and_name_no_address() -> None:
    for pin in map(Requirement, pins()):
        assert pin.url is None
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    if requirement.name in UNPINNED:
        return
    pinned = [pin for pin in map(Requirement, pins()) if pin.name == canonicalize_name(requirement.name)]
    assert pinned, "run .ci/pin"
    for pin in pinned:
        assert all(requirement.specifier.contains(specifier.version) for specifier in pin.specifier)


def test_installed_versions_are_the_pinned_ones() -> None:
    installed = {canonicalize_name(name) for names in packages_distributions().values() for name in names}
    expected = [pin for pin in map(Requirement, pins()) if pin.name in installed]
    assert expected
    for pin in expected:
        if pin.marker is None or pin.marker.evaluate():
            assert pin.specifier.contains(version(pin.name)), pin
