"""Names of engines."""

import subprocess
import sys

import pytest

from trio_stt.errors import SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("sherpa_onnx_moonshine", "sherpa_onnx_moonshine"),
        (" Sherpa-Moonshine\n", "sherpa_onnx_moonshine"),
        ("MOONSHINE-sherpa_onnx", "sherpa_onnx_moonshine"),
        ("Whisper-CPP", "whisper_cpp"),
    ],
)
def test_spelling_does_not_matter(spelling: str, canonical: str) -> None:
    assert registry.resolve(spelling).name == canonical


@pytest.mark.parametrize("name", ["", "moonshine", "whisper", "sherpa onnx moonshine"])
def test_an_unknown_engine_is_named_with_those_that_exist(name: str) -> None:
    with pytest.raises(SettingError) as raised:
        registry.load(EngineConfig(engine=name))
    assert repr(name) in str(raised.value)
    assert all(known in str(raised.value) for known in registry.engine_names())


def test_names_are_sorted_and_all_resolve() -> None:
    names = registry.engine_names()
    assert list(names) == sorted(names)
    assert {registry.resolve(name).name for name in names} == {spec.name for spec in registry.engine_specs()}


def test_naming_imports_no_backend() -> None:
    backends = "sherpa_onnx", "pywhispercpp", "_pywhispercpp", "moonshine_voice"
    program = (
        "import sys; from trio_stt.lanes.engines import registry; registry.engine_names();"
        f"print([name for name in {backends!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    assert done.stdout.strip() == "[]"
