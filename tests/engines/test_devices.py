"""The device report, with fake packages and drivers."""

import ctypes
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from trio_stt.lanes.engines.devices import DeviceReport, device_report
from trio_stt.runtime.packages import install_command, install_hint

TORCH = "class version:\n    cuda = {built!r}\nclass cuda:\n    is_available = staticmethod(lambda: {works})\n"
CTRANSLATE2 = (
    "def get_cuda_device_count():\n    return {count}\n"
    "def get_supported_compute_types(device):\n"
    "    return {{'float32', 'int8'}} | {{'cpu': set(), 'cuda': {{'float16'}}}}[device]\n"
)


class Driver:
    """A fake of NVIDIA's driver library."""

    def __init__(self, *, devices: int, code: int = 0) -> None:
        self._devices = devices
        self._code = code

    def cuInit(self, _: int) -> int:  # noqa: N802 - the library's name
        return self._code

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - the library's name
        count._obj.value = self._devices  # as a real library gets it from byref
        return 0


def no_driver(name: str) -> Driver:
    raise OSError(name)


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages hide the installed ones; the fake machine has a GPU unless a test removes it."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver(devices=1))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("sherpa_onnx", "_pywhispercpp", "faster_whisper", "ctranslate2", "transformers", "torch", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)  # so that a fake one does not stay behind
        monkeypatch.delitem(sys.modules, name)
    install(tmp_path, "sherpa_onnx", "raise AssertionError('it must not be imported')")
    (tmp_path / "sherpa_onnx/lib").mkdir()
    install(tmp_path, "_pywhispercpp", "whisper_print_system_info = lambda: 'WHISPER : COREML = 0 | CPU : AVX = 1'")
    install(tmp_path, "faster_whisper", "raise AssertionError('it must not be imported')")
    install(tmp_path, "ctranslate2", CTRANSLATE2.format(count=0))
    install(tmp_path, "transformers", "raise AssertionError('it must not be imported')")
    install(tmp_path, "torch", TORCH.format(built=None, works=False))
    install(tmp_path, "httpx2", "raise AssertionError('it must not be imported')")
    return tmp_path


def install(folder: Path, name: str, code: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "__init__.py").write_text(code)


def reports(device: str) -> dict[str, DeviceReport]:
    return {report.engine: report for report in device_report() if report.device == device}


def test_every_family_runs_on_cpu_or_remotely() -> None:
    assert {engine: report.available for engine, report in reports("cpu").items()} == dict.fromkeys(
        ("sherpa_onnx", "whisper_cpp", "faster_whisper", "transformers"), True
    )
    assert reports("cpu")["faster_whisper"].reason == "precisions: float32, int8"
    assert reports("remote")["openai_api"].available


def test_package_without_cuda_is_reported() -> None:
    for engine, package in (
        ("sherpa_onnx", "sherpa-onnx"),
        ("whisper_cpp", "pywhispercpp"),
        ("faster_whisper", "ctranslate2"),
        ("transformers", "torch"),
    ):
        report = reports("cuda")[engine]
        assert not report.available
        assert report.reason == f"the installed {package} has no CUDA; see docs/engines.md"


def with_cuda(packages: Path) -> None:
    (packages / "sherpa_onnx/lib/libonnxruntime_providers_cuda.so").touch()
    install(packages, "_pywhispercpp", "whisper_print_system_info = lambda: 'CUDA : ARCHS = 890 | CPU : AVX = 1'")
    install(packages, "ctranslate2", CTRANSLATE2.format(count=1))
    install(packages, "torch", TORCH.format(built="12.8", works=True))


def test_packages_with_cuda_use_the_driver(packages: Path) -> None:
    with_cuda(packages)
    assert all(report.available for report in device_report())
    assert reports("cuda")["faster_whisper"].reason == "precisions: float16, float32, int8"


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (no_driver, r"no NVIDIA driver \(\S+ cannot be loaded\)"),
        (lambda _: Driver(devices=0), "the NVIDIA driver finds no device"),
        (lambda _: Driver(devices=0, code=100), r"the NVIDIA driver finds no device \(CUDA error 100\)"),
    ],
)
def test_no_driver_or_device_means_no_cuda(
    packages: Path, monkeypatch: pytest.MonkeyPatch, driver: object, reason: str
) -> None:
    with_cuda(packages)
    monkeypatch.setattr(ctypes, "CDLL", driver)
    for report in reports("cuda").values():
        assert not report.available
        assert re.fullmatch(reason, report.reason)
    assert all(report.available for report in reports("cpu").values())


def test_torch_may_find_no_device_although_the_driver_has_one(packages: Path) -> None:
    install(packages, "torch", TORCH.format(built="12.8", works=False))
    report = reports("cuda")["transformers"]
    assert (report.available, report.reason) == (False, "torch finds no CUDA device that it can use")


@pytest.mark.parametrize(
    ("module", "engine", "command"),
    [
        ("sherpa_onnx", "sherpa_onnx", install_command("sherpa-onnx")),
        ("_pywhispercpp", "whisper_cpp", install_command("pywhispercpp")),
        ("ctranslate2", "faster_whisper", install_hint("faster-whisper")),
        ("torch", "transformers", install_hint("transformers")),
        ("httpx2", "openai_api", install_hint("openai-api")),
    ],
)
def test_missing_package_names_the_install_command(
    monkeypatch: pytest.MonkeyPatch, module: str, engine: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for report in device_report():
        assert report.available == (report.engine != engine and report.device != "cuda")
        if report.engine == engine:
            assert report.reason == f"the package {module} is not installed; run `{command}`"


def test_broken_library_affects_only_its_own_family(packages: Path) -> None:
    install(packages, "_pywhispercpp", "raise ImportError('libcudart.so.12:\\n cannot open shared object file')")
    broken = reports("cpu")["whisper_cpp"]
    assert not broken.available
    assert broken.reason == "pywhispercpp cannot be loaded: libcudart.so.12: cannot open shared object file"
    assert reports("cpu")["sherpa_onnx"].available
