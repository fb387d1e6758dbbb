"""Names of engines."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

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
        ("faster-whisper", "faster_whisper"),
        ("OpenAI_Whisper", "faster_whisper"),
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


@pytest.mark.parametrize(
    ("engine", "changes", "same"),
    [
        ("sherpa_onnx_moonshine", {"beam_size": 5, "compute_type": "int8", "gpu_device_index": 1}, True),
        ("sherpa_onnx_moonshine", {"model": "other"}, False),
        ("whisper_cpp", {"compute_type": "int8"}, True),
        ("whisper_cpp", {"gpu_device_index": 1}, False),
        ("faster_whisper", {"engine": "openai-whisper"}, True),
        ("faster_whisper", {"compute_type": "int8"}, False),
        ("faster_whisper", {"engine": "whisper_cpp"}, False),
    ],
)
def test_one_engine_serves_both_where_nothing_differs_that_counts(
    engine: str, changes: dict[str, Any], same: bool
) -> None:
    config = EngineConfig(engine=engine)
    assert registry.same_engine(config, replace(config, **changes)) is same


def test_naming_imports_no_backend() -> None:
    backends = "sherpa_onnx", "pywhispercpp", "_pywhispercpp", "moonshine_voice", "faster_whisper", "ctranslate2"
    program = (
        "import sys; from trio_stt.lanes.engines import registry; registry.engine_names();"
        f"print([name for name in {backends!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    assert done.stdout.strip() == "[]"
