"""What every adapter over sherpa-onnx does alike: where it runs, and the options that all models share.

It must not know any model family, must not import trio, and gets sherpa-onnx from its caller.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.common import Options

_PROVIDERS = ("cpu", "cuda")


def provider(wanted: str, *, engine: str, index: int, sherpa: Any) -> tuple[str, str | None]:
    """Return where to run, and a notice if that is not what was asked.

    Args:
        wanted: `auto`, `cpu` or `cuda`.
        engine: Canonical name, for messages.
        index: The CUDA device that was asked for where only the first can be had, else 0.
        sherpa: The module.

    Raises:
        SettingError: `wanted` is not `auto`, `cpu` or `cuda`.
    """
    if wanted not in ("auto", *_PROVIDERS):
        raise SettingError(f"engine {engine}: device {wanted!r} must be auto, {' or '.join(_PROVIDERS)}")
    has_cuda = "cuda" in devices(sherpa)
    if wanted == "cuda" and not has_cuda:
        return "cpu", f"engine {engine}: the installed sherpa-onnx has no CUDA, so it runs on the CPU"
    if wanted == "cpu" or not has_cuda:
        return "cpu", None
    notice = f"engine {engine}: sherpa-onnx takes the first CUDA device; choose with CUDA_VISIBLE_DEVICES, not by index"
    return "cuda", notice if index else None


def devices(sherpa: Any) -> tuple[str, ...]:
    """Where the installed sherpa-onnx could run."""
    return _PROVIDERS if offers_cuda(Path(sherpa.__file__).parent) else ("cpu",)


def offers_cuda(package: Path) -> bool:
    """Whether the sherpa-onnx that lies in this folder was built with CUDA."""
    return any((package / "lib").glob("*onnxruntime_providers_cuda*"))


def recognizer_options(options: Options, *, num_threads: int, methods: Sequence[str]) -> dict[str, object]:
    """Read the options that every recogniser shares; some bad values would end the process, so they stop here.

    Args:
        options: The engine's options.
        num_threads: CPU threads unless an option says otherwise.
        methods: The decoding methods that the model has; the first is the default.

    Raises:
        SettingError: An option is of the wrong type or impossible.
    """
    model = options.nested("model")
    threads = options.integer("num_threads", model.integer("num_threads", num_threads))
    model.done()
    method = options.text("decoding_method", methods[0])
    if method not in methods:
        raise options.error("decoding_method", f"must be {' or '.join(map(repr, methods))}, not {method!r}")
    for name in ("sample_rate", "input_sample_rate"):
        if options.integer(name, SAMPLE_RATE_HZ) != SAMPLE_RATE_HZ:
            raise options.error(name, f"must be {SAMPLE_RATE_HZ}: every clip that reaches an engine has this rate")
    keywords: dict[str, object] = {
        "num_threads": threads,
        "decoding_method": method,
        "debug": options.boolean("debug", default=False),
    }
    for name in ("rule_fsts", "rule_fars", "hr_rule_fsts", "hr_lexicon", "hr_dict_dir"):
        keywords[name] = existing_paths(options, name)
    return keywords


def existing_paths(options: Options, name: str) -> str:
    """Return an option that holds paths, separated by commas, or nothing.

    Raises:
        SettingError: One of them does not exist.
    """
    value = options.text(name)
    for part in filter(None, value.split(",")):
        if not Path(part).exists():
            raise options.error(name, f"names {part}, which does not exist")
    return value
