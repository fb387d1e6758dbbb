"""Names of engines."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.tone_models import write_ctc, write_transducer
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.runtime.packages import install_hint

CONTRACT_NAMES = (
    *("banafo_kroko", "cohere", "cohere_transcribe", "faster_whisper"),
    *("funasr", "granite", "granite_speech", "kroko"),
    *("kroko_onnx", "meta_omnilingual_asr", "moonshine", "moonshine_sherpa_onnx"),
    *("moonshine_streaming", "nvidia_parakeet", "omni_asr", "omnilingual"),
    *("omnilingual_asr", "openai_api", "openai_whisper", "parakeet"),
    *("parakeet_sherpa_onnx", "qwen3_asr", "qwen_asr", "sherpa_moonshine"),
    *("sherpa_onnx_moonshine", "sherpa_onnx_parakeet", "sherpa_parakeet", "whisper_cpp"),
)


@pytest.mark.contract("8.1")
@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("sherpa_onnx_moonshine", "sherpa_onnx_moonshine"),
        (" Sherpa-Moonshine\n", "sherpa_onnx_moonshine"),
        ("MOONSHINE-sherpa_onnx", "sherpa_onnx_moonshine"),
        ("Whisper-CPP", "whisper_cpp"),
        ("faster-whisper", "faster_whisper"),
        ("OpenAI_Whisper", "faster_whisper"),
        ("Parakeet", "sherpa_onnx_parakeet"),
        ("moonshine-streaming", "sherpa_onnx_moonshine"),
        ("omni-asr", "omnilingual_asr"),
    ],
)
def test_spelling_does_not_matter(spelling: str, canonical: str) -> None:
    assert registry.resolve(spelling).name == canonical


@pytest.mark.contract("8.1")
@pytest.mark.parametrize("name", ["", "nothing-like-it"])
def test_unknown_engine_lists_the_known_ones(name: str) -> None:
    with pytest.raises(SettingError) as raised:
        registry.load(EngineConfig(engine=name))
    assert str(raised.value) == (
        f"unknown engine {name!r}; the engines are {', '.join(spec.name for spec in registry.engine_specs())}"
    )


@pytest.mark.parametrize(("name", "close"), [("Moon-shin", "moonshine"), ("faster_wisper", "faster_whisper")])
def test_misspelled_engine_gets_the_name_that_is_most_like_it(name: str, close: str) -> None:
    with pytest.raises(SettingError, match=rf"unknown engine '{name}'; did you mean {close}\? the engines are "):
        registry.resolve(name)


@pytest.mark.contract("8.1")
@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_every_contract_name_is_listed(name: str) -> None:
    assert name in registry.engine_names()
    assert name in (registry.resolve(name).name, *registry.resolve(name).aliases)


def load_or_explain(config: EngineConfig) -> None:
    """Load an engine, or check that the error is one line that says how to get what is missing."""
    try:
        model_resolver.load(config).close()
    except EngineUnavailable as error:
        message = str(error)
    else:
        return
    assert message.startswith((f"engine {config.engine}: ", f"engine {registry.resolve(config.engine).name}: "))
    assert "\n" not in message
    assert re.search(
        r"run `(.*pip install|uv sync|trio-stt models pull) |download it where there is a network|set it to your key",
        message,
    ), message


@pytest.mark.contract("8.1")
@pytest.mark.parametrize("name", registry.engine_names())
def test_every_name_loads_or_names_what_is_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # loading sets it
    spec = registry.resolve(name)
    root = tmp_path / "models"
    load_or_explain(EngineConfig(engine=name, model=spec.default_model, download_root=root, offline=True))
    for backend, chosen in spec.backends.items():
        model = chosen.default_model or spec.default_model
        config = EngineConfig(engine=name, model=model, options={"backend": backend}, download_root=root, offline=True)
        load_or_explain(config)


@pytest.mark.contract("8.1")
@pytest.mark.parametrize(
    ("name", "backend", "package"),
    [
        ("qwen_asr", "vllm", "qwen-asr[vllm]"),
        ("funasr", "package", "funasr"),
    ],
)
def test_unsupported_backend_is_refused_with_its_package(name: str, backend: str, package: str) -> None:
    with pytest.raises(EngineUnavailable, match=rf"backend '{backend}' needs the package {re.escape(package)}, "):
        registry.load(EngineConfig(engine=name, options={"backend": backend}))


@pytest.mark.contract("8.1")
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("parakeet", "'sherpa_onnx' or 'transformers'"),
        ("moonshine", "'sherpa_onnx' or 'transformers'"),
        ("omni_asr", "'sherpa_onnx'"),
        ("cohere", "'sherpa_onnx' or 'transformers'"),
        ("funasr", "'sherpa_onnx'"),
    ],
)
@pytest.mark.parametrize("backend", ["other", ["nemo"], 3])
def test_unknown_backend_lists_the_known_ones(name: str, known: str, backend: object) -> None:
    with pytest.raises(SettingError, match=re.escape(f"option backend must be {known}, not {backend!r}")):
        registry.load(EngineConfig(engine=name, options={"backend": backend}))


@pytest.mark.contract("8.3")
@pytest.mark.parametrize(
    ("name", "backend", "module", "package"),
    [
        ("nvidia_parakeet", "transformers", "transformers", "transformers"),
        ("moonshine", "transformers", "transformers", "transformers"),
        ("qwen_asr", "transformers", "transformers", "transformers"),
        ("cohere", "transformers", "transformers", "transformers"),
        ("granite", None, "transformers", "transformers"),
    ],
)
def test_backend_without_its_package_names_the_package(
    name: str, backend: str | None, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineUnavailable, match=rf"the package {package} .*{re.escape(install_hint('transformers'))}"):
        registry.load(EngineConfig(engine=name, options={"backend": backend} if backend else {}))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineUnavailable, match=rf"the package torch .*{re.escape(install_hint('transformers'))}"):
        registry.load(EngineConfig(engine=name, options={"backend": backend} if backend else {}))


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("backend", ["sherpa_onnx", "sherpa-onnx", None])
def test_default_backend_may_be_named(backend: str | None, tmp_path: Path) -> None:
    config = EngineConfig(engine="parakeet", model=str(write_transducer(tmp_path)), options={"backend": backend})
    assert registry.load(config).info.engine == "sherpa_onnx_parakeet"


@pytest.mark.contract("8.3")
@pytest.mark.parametrize(
    ("engine", "backend", "package"),
    [("parakeet", "nemo", "nemo_toolkit[asr]"), ("omni_asr", "package", "omnilingual-asr")],
)
def test_replaced_backend_runs_with_sherpa_onnx_and_warns(
    engine: str, backend: str, package: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write = write_transducer if engine == "parakeet" else write_ctc
    config = EngineConfig(engine=engine, model=str(write(tmp_path)), options={"backend": backend})
    registry.load(config).close()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"backend {backend!r} (package {package}) is not supported, so sherpa-onnx runs the model" in warning


@pytest.mark.contract("8.1")
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
        ("sherpa_onnx_parakeet", {"engine": "parakeet", "language": "de"}, True),
        ("parakeet", {"options": {"backend": "transformers"}}, False),
        ("openai_api", {"device": "cuda", "beam_size": 5}, True),
        ("openai_api", {"language": "de"}, False),
        ("faster_whisper", {"engine": "openai-whisper"}, True),
        ("faster_whisper", {"compute_type": "int8"}, False),
        ("faster_whisper", {"engine": "whisper_cpp"}, False),
    ],
)
def test_engine_is_shared_if_only_ignored_settings_differ(engine: str, changes: dict[str, Any], same: bool) -> None:
    config = EngineConfig(engine=engine)
    assert registry.same_engine(config, replace(config, **changes)) is same


@pytest.mark.parametrize(
    ("engine", "backend", "workers"),
    [
        ("parakeet", None, "shared"),
        ("parakeet", "nemo", "shared"),  # sherpa-onnx runs it
        ("parakeet", "transformers", "own"),
        ("parakeet", ["transformers"], "shared"),  # refused when it is loaded
        ("kroko", None, "one"),
        ("cohere", "transformers", "own"),
    ],
)
def test_workers_share_only_thread_safe_engines(engine: str, backend: object, workers: str) -> None:
    assert registry.adapter(EngineConfig(engine=engine, options={"backend": backend})).workers == workers


def test_backend_has_ignored_settings_of_its_own() -> None:
    config = EngineConfig(engine="parakeet", options={"backend": "transformers"})
    assert registry.same_engine(config, replace(config, beam_size=5, language="de"))
    assert not registry.same_engine(config, replace(config, compute_type="float16"))


def test_app_imports_no_library_that_it_may_not_need() -> None:
    unneeded = (
        "av",
        "sherpa_onnx",
        "pywhispercpp",
        "_pywhispercpp",
        "moonshine_voice",
        "faster_whisper",
        "ctranslate2",
        "httpx2",
        "torch",
        "transformers",
    )
    program = (
        "import sys, trio_stt.app; from trio_stt.lanes.engines import registry; registry.engine_names();"
        f"print([name for name in {unneeded!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    assert done.stdout.strip() == "[]"
