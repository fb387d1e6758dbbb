"""Checkpoints that cannot be opened, and invalid options: one line for each."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engines.checkpoints import load_from
from tests.support.hf_whisper import needs_torch
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig

RATE_HZ = 16_000


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"generate": []}, "option generate must be an object"),
        ({"generate": {"nonsense": 1}}, "an option of `generate` is not valid"),
        ({"model": {"trust_remote_code": True}}, r"option model\.trust_remote_code has no place here"),
        ({"trust_remote_code": "perhaps"}, "trust_remote_code must be true or false"),
        ({"prompt": "Write."}, "option prompt has no effect on a model of the type 'whisper'"),
        ({"sample_rate": 8_000}, "sample_rate must be 16000"),
        ({"device": "tpu"}, "device 'tpu'"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, object], expected_message: str, written: Path) -> None:
    with pytest.raises(SettingError, match=f"engine transformers: .*{expected_message}"):
        load_from(written / "whisper", options)


@pytest.mark.parametrize(
    ("options", "name"), [({"timestamps": True}, "timestamps"), ({"generate": {"num_beams": 2}}, "generate")]
)
def test_option_without_effect_is_refused(options: Mapping[str, object], name: str, written: Path) -> None:
    with pytest.raises(SettingError, match=f"option {name} has no effect on a model of the type 'parakeet_ctc'"):
        load_from(written / "parakeet_ctc", options)


@pytest.mark.parametrize("spelled", ["int8", "int8_float16", "float64"])
def test_quantised_precision_is_refused(spelled: str, written: Path) -> None:
    with pytest.raises(SettingError, match=f"compute_type '{spelled}'"):
        load_from(written / "whisper", compute_type=spelled)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "processor_config.json", "tokenizer.json"])
def test_missing_file_is_one_line(file: str, written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "parakeet_ctc", tmp_path / "model")
    (tmp_path / "model" / file).unlink()
    with pytest.raises(EngineUnavailable, match=f"engine transformers: .*{tmp_path / 'model'}") as raised:
        load_from(tmp_path / "model")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("file", "kept"), [("model.safetensors", 1_000), ("config.json", 40), ("tokenizer.json", 40)])
def test_truncated_file_is_one_line(file: str, kept: int, written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "parakeet_ctc", tmp_path / "model")
    whole = (tmp_path / "model" / file).read_bytes()
    (tmp_path / "model" / file).write_bytes(whole[:kept])
    with pytest.raises(EngineUnavailable, match=f"engine transformers: .*{tmp_path / 'model'}") as raised:
        load_from(tmp_path / "model")
    assert "\n" not in str(raised.value)


def test_missing_weights_are_refused(written: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 - as above

    shutil.copytree(written / "parakeet_ctc", tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    del weights["ctc_head.weight"]
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineUnavailable, match=r"has no weights for ctc_head\.weight$"):
        load_from(tmp_path / "model")


def test_model_of_another_type_is_named(tmp_path: Path) -> None:
    needs_torch()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=r"of the type 'bert', which .* does not know as a speech recogniser"):
        load_from(tmp_path)


def test_remote_code_runs_only_with_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_torch()
    config = '{"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}'
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    (tmp_path / "own.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "from transformers import PretrainedConfig\n\n\nclass OwnConfig(PretrainedConfig):\n    model_type = 'own'\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.path", sys.path.copy())
    with pytest.raises(EngineUnavailable, match="code of its own, which runs only with the option trust_remote_code"):
        load_from(tmp_path)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(EngineUnavailable, match="of the type 'own'"):
        load_from(tmp_path, {"trust_remote_code": True})
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("environment", "settings"), [("1", {}), ("", {"options": {"local_files_only": True}}), ("", {"offline": True})]
)
def test_hub_model_that_may_not_be_downloaded_is_named(
    environment: str, settings: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_torch()
    monkeypatch.setenv("HF_HUB_OFFLINE", environment)
    with pytest.raises(EngineUnavailable, match=r"openai/whisper-tiny\.en is not on this machine; download it"):
        registry.load(EngineConfig(engine="transformers", download_root=tmp_path, **settings))


def test_hub_model_without_a_network_is_named(tmp_path: Path) -> None:
    needs_torch()
    program = (
        "import time\n"
        "from trio_stt.errors import EngineUnavailable\n"
        "from trio_stt.lanes.engines import registry\n"
        "from trio_stt.lanes.engines.base import EngineConfig\n"
        "time.sleep = lambda _: None\n"  # the hub's library waits before it tries again
        "try:\n"
        "    registry.load(EngineConfig(engine='transformers'))\n"
        "except EngineUnavailable as error:\n"
        "    print(error)\n"
    )
    # The library reads the endpoint when it is imported. Nothing listens there: every request is refused.
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": ""}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    (line,) = done.stdout.splitlines()
    assert "the model openai/whisper-tiny.en is not on this machine and cannot be downloaded" in line
