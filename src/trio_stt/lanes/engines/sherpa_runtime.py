"""What every adapter over sherpa-onnx does alike: where it runs, the options that all models share, words with times.

It must not know any model family, must not import trio, and gets sherpa-onnx from its caller.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, TimedText
from trio_stt.lanes.engines.common import Options

_PROVIDERS = ("cpu", "cuda")

_TOKEN_S = 0.08
"""How long a token is taken to sound where the model does not say: one frame of NeMo's encoders, the coarsest ones."""


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


def words(result: Any, *, text: str, duration_s: float, times_scale: float = 1.0) -> tuple[TimedText, ...]:
    """Put a result's tokens together to words with times inside the clip.

    A word begins at its first token's time and ends after its last one's, but not after the next word begins. There
    are none where the model gives no times, or where the tokens do not spell the text (a rule has rewritten it).

    Args:
        result: sherpa-onnx's result: `tokens`, with a space before each that begins a word, `timestamps` in seconds,
            and `durations` in seconds; all or some of them may be missing.
        text: The words of the transcript.
        duration_s: The clip's length.
        times_scale: By what the times must be multiplied.
    """
    tokens = list(getattr(result, "tokens", ()))
    starts_s = [start_s * times_scale for start_s in getattr(result, "timestamps", ())]
    if not tokens or len(tokens) != len(starts_s):
        return ()
    durations_s = list(getattr(result, "durations", ()))
    if len(durations_s) != len(tokens):
        durations_s = [_TOKEN_S] * len(tokens)
    spelled: list[str] = []
    times_s: list[tuple[float, float]] = []
    for token, start_s, lasts_s in zip(tokens, starts_s, durations_s, strict=True):
        if token.startswith(" ") or not spelled:
            spelled.append("")
            times_s.append((start_s, start_s))
        spelled[-1] += token
        times_s[-1] = (times_s[-1][0], start_s + lasts_s)
    if " ".join(word.strip() for word in spelled) != text:
        return ()
    limits_s = [min(following[0], duration_s) for _, following in pairwise(times_s)] + [duration_s]
    return tuple(
        TimedText(text=word.strip(), start_s=(start := min(start_s, limit_s)), end_s=max(start, min(end_s, limit_s)))
        for word, (start_s, end_s), limit_s in zip(spelled, times_s, limits_s, strict=True)
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message that is not blank."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
