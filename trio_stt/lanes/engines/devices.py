"""Reports what each family of engines can run on here, and why not, without loading a model.

`trio-stt doctor` shows it. `selection` decides where an engine runs.
"""

import ctypes
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from trio_stt.runtime.packages import install_command, install_hint, package_folder

_GUIDE = "see docs/engines.md"
_OF_THE_FILE = "precision of the model file"
_OF_TORCH = "precisions: bfloat16, float16, float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """Whether one family of engines can run on one device of this machine.

    Attributes:
        engine: The family: `sherpa_onnx`, `whisper_cpp`, `faster_whisper`, `transformers` or `openai_api`.
        device: `cpu`, `cuda` or `remote`.
        available: Whether it can.
        reason: One line: the precisions that it has, or what is missing and how to get it.
    """

    engine: str
    device: Literal["cpu", "cuda", "remote"]
    available: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What an installed family has: its precisions on the CPU, and on CUDA or the reason why it cannot use CUDA."""

    cpu: str
    cuda: str
    has_cuda: bool


def device_report() -> tuple[DeviceReport, ...]:
    """Report every family of engines. Loads the native libraries of those that are installed."""
    driver = cuda_driver()
    return (
        *_local("sherpa_onnx", _sherpa_onnx, driver, package="sherpa-onnx", modules=("sherpa_onnx",)),
        *_local("whisper_cpp", _whisper_cpp, driver, package="pywhispercpp", modules=("_pywhispercpp",)),
        *_local(
            *("faster_whisper", _faster_whisper, driver),
            package="ctranslate2",
            modules=("faster_whisper", "ctranslate2"),
            extra="faster-whisper",
        ),
        *_local(
            *("transformers", _transformers, driver),
            package="torch",
            modules=("transformers", "torch"),
            extra="transformers",
        ),
        _openai_api(),
    )


def cuda_driver() -> str | None:
    """Why CUDA cannot run on this machine, or None if the driver finds a device."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"no NVIDIA driver ({name} cannot be loaded)"
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"the NVIDIA driver finds no device{f' (CUDA error {code})' if code else ''}"
    return None


def offers_cuda(package: Path) -> bool:
    """Whether the sherpa-onnx in this folder was built with CUDA."""
    return any((package / "lib").glob("*onnxruntime_providers_cuda*"))


def _local(
    engine: str,
    inspect: Callable[[str | None], _Found],
    driver: str | None,
    *,
    package: str,
    modules: Sequence[str],
    extra: str = "",
) -> tuple[DeviceReport, DeviceReport]:
    """Report a family that runs on this machine; `package` is the one that runs its models."""
    problem = _missing(modules, package=package, extra=extra)
    if problem is None:
        try:
            found = inspect(driver)
        except (ImportError, OSError, RuntimeError) as error:
            problem = f"{package} cannot be loaded: {' '.join(str(error).split())}"
    if problem is not None:
        found = _Found(cpu=problem, cuda=problem, has_cuda=False)
    return (
        DeviceReport(engine=engine, device="cpu", available=problem is None, reason=found.cpu),
        DeviceReport(engine=engine, device="cuda", available=found.has_cuda, reason=found.cuda),
    )


def _sherpa_onnx(driver: str | None) -> _Found:
    folder = package_folder("sherpa_onnx")
    cuda = f"{_OF_THE_FILE}; the first device, choose it with CUDA_VISIBLE_DEVICES"
    built = folder is not None and offers_cuda(folder)
    return _found(driver, built=built, package="sherpa-onnx", cpu=_OF_THE_FILE, cuda=cuda)


def _whisper_cpp(driver: str | None) -> _Found:
    system_info = str(importlib.import_module("_pywhispercpp").whisper_print_system_info())
    return _found(driver, built="CUDA" in system_info, package="pywhispercpp", cpu=_OF_THE_FILE, cuda=_OF_THE_FILE)


def _faster_whisper(driver: str | None) -> _Found:
    native = importlib.import_module("ctranslate2")
    count = native.get_cuda_device_count() if driver is None else 0
    cuda = f"precisions: {_listed(native.get_supported_compute_types('cuda'))}" if count else ""
    return _found(
        driver,
        built=count > 0 or driver is not None,  # without a driver, CTranslate2 does not say
        package="ctranslate2",
        cpu=f"precisions: {_listed(native.get_supported_compute_types('cpu'))}",
        cuda=cuda,
    )


def _transformers(driver: str | None) -> _Found:
    torch = importlib.import_module("torch")
    built = torch.version.cuda is not None
    works = built and bool(torch.cuda.is_available())
    if built and driver is None and not works:
        driver = "torch finds no CUDA device that it can use"
    return _found(driver, built=built, package="torch", cpu=_OF_TORCH, cuda=_OF_TORCH)


def _openai_api() -> DeviceReport:
    problem = _missing(("httpx2",), package="httpx2", extra="openai-api")
    reason = problem or "the server's device"
    return DeviceReport(engine="openai_api", device="remote", available=problem is None, reason=reason)


def _found(driver: str | None, *, built: bool, package: str, cpu: str, cuda: str) -> _Found:
    """Combine what is known: `driver` says why there is no CUDA device, `built` whether the package supports CUDA."""
    why_not = "" if built else f"the installed {package} has no CUDA; {_GUIDE}"
    reasons = [reason for reason in (why_not, driver) if reason]
    return _Found(cpu=cpu, cuda="; ".join(reasons) or cuda, has_cuda=not reasons)


def _missing(modules: Sequence[str], *, package: str, extra: str) -> str | None:
    """The first module that is not installed, and how to install it; None if all are. Imports none of them."""
    for module in modules:
        if find_spec(module) is None:
            command = install_hint(extra) if extra else install_command(package)
            return f"the package {module} is not installed; run `{command}`"
    return None


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
