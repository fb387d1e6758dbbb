"""Selection of device, precision and language, shared by all adapters."""

import pytest

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.selection import choose_device, choose_language, precision_name


@pytest.mark.parametrize(
    ("wanted", "cuda_devices", "device", "has_notice"),
    [
        ("auto", 0, "cpu", False),
        ("auto", 1, "cuda", False),
        ("cpu", 1, "cpu", False),
        ("cuda", 1, "cuda", False),
        ("cuda", 0, "cpu", True),
    ],
)
def test_cuda_is_used_if_there_is_a_device(wanted: str, cuda_devices: int, device: str, has_notice: bool) -> None:
    chosen, notice = choose_device(wanted, engine="e", cuda_devices=cuda_devices, without_cuda="torch finds no CUDA")
    assert chosen == device
    assert notice == ("engine e: torch finds no CUDA, so it runs on the CPU" if has_notice else None)


def test_unknown_device_and_index_are_refused() -> None:
    with pytest.raises(SettingError, match="device 'tpu' must be auto, cpu or cuda"):
        choose_device("tpu", engine="e", cuda_devices=1, without_cuda="")
    with pytest.raises(SettingError, match="gpu_device_index 2 is beyond the 2 CUDA devices"):
        choose_device("auto", engine="e", cuda_devices=2, without_cuda="", index=2)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("", "default"), ("auto", "default"), (" FP16 ", "float16"), ("half", "float16"), ("bf16", "bfloat16")],
)
def test_spellings_of_precisions(wanted: str, name: str) -> None:
    assert precision_name(wanted, engine="e", known=("default", "auto", "float16", "bfloat16")) == name


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(SettingError, match="compute_type 'int4' must be one of default, float16"):
        precision_name("int4", engine="e", known=("default", "float16"))


@pytest.mark.parametrize(
    ("wanted", "known", "language"),
    [
        ("DE ", ("de", "en"), "de"),
        (None, ("de", "en"), None),
        ("", ("en",), "en"),
        (None, ["en"], "en"),
        ("en", ("en",), "en"),
    ],
)
def test_language_is_chosen_or_detected(wanted: str | None, known: tuple[str, ...], language: str | None) -> None:
    assert choose_language(wanted, known, engine="e", model="m") == language


@pytest.mark.parametrize(
    ("wanted", "known", "expected_message"),
    [
        ("tlh", ("de", "en"), "language 'tlh' is unknown to m; it has de, en"),
        ("de", ("en",), "language 'de' needs a multilingual model, .*; m is English-only"),
        (None, ("de", "en"), "m needs a language; it has de, en"),
    ],
)
def test_unknown_or_missing_language_is_refused(
    wanted: str | None, known: tuple[str, ...], expected_message: str
) -> None:
    with pytest.raises(SettingError, match=expected_message):
        choose_language(wanted, known, engine="e", model="m", required=True)
