"""The names of the engines, and the way from a name to a loaded engine.

No backend is imported before an engine is loaded. To add an engine, add an entry to `_SPECS` and a module. Packages
that the reference server uses and trio-stt does not are listed too, so that messages can say what to use instead.
"""

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.runtime.similar import did_you_mean

Workers = Literal["shared", "own", "one"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What is known about an adapter before its backend is imported.

    Attributes:
        module: A module with `load(config: EngineConfig) -> Engine`.
        default_model: The model for an empty model name; empty for that of the engine.
        ignores: Fields of `EngineConfig` that have no effect on it.
        workers: Whether a lane's workers share one loaded engine, load one each, or the lane has one worker only.
        single_threaded: Whether a call on a CPU is fastest with one thread, so that more cores need more workers.
    """

    module: str
    default_model: str = ""
    ignores: frozenset[str] = frozenset()
    workers: Workers = "own"
    single_threaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec(Adapter):
    """An engine, with the adapter that runs it.

    Attributes:
        name: Canonical name.
        aliases: Other names for the same engine, in canonical spelling.
        backends: Values of the option `backend` → another adapter for the engine's models.
        replaced: Values of the option `backend` that ask for another package → that package. sherpa-onnx runs the model
            instead, and a warning says so.
        packages: Values of the option `backend` that ask for a package which is refused → that package.
    """

    name: str
    aliases: tuple[str, ...] = ()
    backends: Mapping[str, Adapter] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


_SHERPA_BACKENDS = ("sherpa_onnx", "sherpa-onnx")
_SHERPA_IGNORES = frozenset({"beam_size", "compute_type", "gpu_device_index"})
_STREAMS_IGNORE = frozenset({"beam_size", "compute_type", "language"})
_OFFLINE = "trio_stt.lanes.engines.sherpa.offline"
_TRANSFORMERS = "trio_stt.lanes.engines.torch.transformers_engine"

_SPECS = (
    EngineSpec(
        name="sherpa_onnx_moonshine",
        aliases=("moonshine", "moonshine_sherpa_onnx", "moonshine_streaming", "sherpa_moonshine"),
        module=_OFFLINE,
        default_model="moonshine-tiny-en",
        ignores=_SHERPA_IGNORES,
        workers="shared",
        single_threaded=True,  # measured: 4 s of speech take 94 ms with one thread, 113 ms and twice the CPU with two
        backends={
            "transformers": Adapter(
                module=_TRANSFORMERS,
                default_model="UsefulSensors/moonshine-streaming-medium",
                ignores=frozenset({"language"}),
            )
        },
    ),
    EngineSpec(
        name="sherpa_onnx_parakeet",
        aliases=("nvidia_parakeet", "parakeet", "parakeet_sherpa_onnx", "sherpa_parakeet"),
        module=_OFFLINE,
        default_model="nvidia/parakeet-tdt-0.6b-v3",
        ignores=_SHERPA_IGNORES | {"language"},
        workers="shared",
        backends={"transformers": Adapter(module=_TRANSFORMERS, ignores=frozenset({"beam_size", "language"}))},
        replaced={"nemo": "nemo_toolkit[asr]"},
    ),
    EngineSpec(
        name="omnilingual_asr",
        aliases=("meta_omnilingual_asr", "omni_asr", "omnilingual"),
        module=_OFFLINE,
        default_model="omniASR_CTC_1B_v2",
        ignores=_SHERPA_IGNORES | {"language"},
        workers="shared",
        replaced={"package": "omnilingual-asr"},
    ),
    EngineSpec(
        name="qwen3_asr",
        aliases=("qwen_asr",),
        module=_OFFLINE,
        default_model="Qwen/Qwen3-ASR-0.6B",
        ignores=_SHERPA_IGNORES,
        backends={"transformers": Adapter(module=_TRANSFORMERS, default_model="Qwen/Qwen3-ASR-1.7B-hf")},
        packages={"vllm": "qwen-asr[vllm]"},
    ),
    EngineSpec(
        name="cohere_transcribe",
        aliases=("cohere",),
        module=_OFFLINE,
        default_model="CohereLabs/cohere-transcribe-03-2026",
        ignores=_SHERPA_IGNORES,
        backends={"transformers": Adapter(module=_TRANSFORMERS)},
    ),
    EngineSpec(
        name="funasr",
        module=_OFFLINE,
        default_model="iic/SenseVoiceSmall",
        ignores=_SHERPA_IGNORES,
        packages={"package": "funasr"},
    ),
    EngineSpec(
        name="sherpa_onnx_streaming",
        module="trio_stt.lanes.engines.sherpa.streaming",
        default_model="sherpa-onnx-streaming-zipformer-en-2023-06-26",
        ignores=_STREAMS_IGNORE,
        workers="one",
    ),
    EngineSpec(
        name="kroko_onnx",
        aliases=("banafo_kroko", "kroko"),
        module="trio_stt.lanes.engines.sherpa.kroko",
        default_model="Kroko-EN-Community-64-L-Streaming-001.data",
        ignores=_STREAMS_IGNORE,
        workers="one",
    ),
    EngineSpec(
        name="openai_api",
        module="trio_stt.lanes.engines.remote.openai_api",
        default_model="whisper-1",
        ignores=frozenset({"beam_size", "compute_type", "device", "download_root", "gpu_device_index", "num_threads"}),
        workers="shared",
    ),
    EngineSpec(
        name="whisper_cpp",
        module="trio_stt.lanes.engines.whisper.whisper_cpp",
        default_model="tiny.en",
        ignores=frozenset({"compute_type"}),
    ),
    EngineSpec(
        name="faster_whisper",
        aliases=("openai_whisper",),
        module="trio_stt.lanes.engines.whisper.faster_whisper",
        default_model="tiny.en",
        workers="shared",
    ),
    EngineSpec(name="transformers", module=_TRANSFORMERS, default_model="openai/whisper-tiny.en"),
    EngineSpec(
        name="granite_speech",
        aliases=("granite",),
        module=_TRANSFORMERS,
        default_model="ibm-granite/granite-speech-4.1-2b",
    ),
)

_BY_NAME = {name: spec for spec in _SPECS for name in (spec.name, *spec.aliases)}


def engine_names() -> tuple[str, ...]:
    """Every engine name, aliases included, sorted."""
    return tuple(sorted(_BY_NAME))


def engine_specs() -> tuple[EngineSpec, ...]:
    """Every engine once, sorted by name."""
    return tuple(sorted(_SPECS, key=lambda spec: spec.name))


def resolve(name: str) -> EngineSpec:
    """Find an engine by any of its names; case, surrounding space and `-` for `_` do not matter.

    Raises:
        SettingError: No engine has this name; the message lists all engines, and the name that is most like this one.
    """
    spelled = name.strip().lower().replace("-", "_")
    spec = _BY_NAME.get(spelled)
    if spec is None:
        suggestion = did_you_mean(spelled, _BY_NAME, most=1) or ";"
        known = ", ".join(each.name for each in engine_specs())
        raise SettingError(f"unknown engine {name!r}{suggestion} the engines are {known}")
    return spec


def adapter(config: EngineConfig) -> Adapter:
    """What runs an engine: its own adapter, or the one that the option `backend` chooses."""
    spec = resolve(config.engine)
    return spec.backends.get(str(config.options.get("backend")), spec)


def same_engine(first: EngineConfig, second: EngineConfig) -> bool:
    """Whether one loaded engine can serve both: they differ at most in fields that their engine ignores."""
    neutral = replace(second, **{name: getattr(first, name) for name in adapter(first).ignores})
    return resolve(second.engine) is resolve(first.engine) and replace(neutral, engine=first.engine) == first


def load(config: EngineConfig) -> Engine:
    """Load an engine and its model. Blocks; call it on the thread that will use the engine.

    Raises:
        SettingError: The engine is unknown, or does not take this language, device or option.
        EngineUnavailable: A package, model or file is missing or cannot be used; the message says what to do.
    """
    spec, chosen = resolve(config.engine), adapter(config)
    model = config.model or spec.default_model
    if model == spec.default_model:
        model = chosen.default_model or model
    options = dict(config.options)
    if spec.backends or spec.replaced or spec.packages:
        backend = options.pop("backend", None)
        if chosen is spec:
            _check_backend(spec, backend)
    loader: Callable[[EngineConfig], Engine] = importlib.import_module(chosen.module).load
    return loader(replace(config, engine=spec.name, model=model, options=options))


def _check_backend(spec: EngineSpec, backend: object) -> None:
    """Check the option `backend` of an engine that runs with sherpa-onnx.

    Raises:
        SettingError: There is no such backend.
        EngineUnavailable: It needs a package that is not supported.
    """
    name = str(backend)
    if backend in (None, *_SHERPA_BACKENDS):
        return
    if name in spec.replaced:
        others = "".join(f", or choose the backend {other!r}" for other in sorted(spec.backends))
        logger.warning(
            "engine %s: backend %r (package %s) is not supported, so sherpa-onnx runs the model; leave backend out%s",
            *(spec.name, name, spec.replaced[name], others),
        )
    elif name in spec.packages:
        raise EngineUnavailable(
            f"engine {spec.name}: backend {name!r} needs the package {spec.packages[name]}, which is not supported;"
            " leave the option backend out to run such models with sherpa-onnx"
        )
    else:
        known = " or ".join(map(repr, (_SHERPA_BACKENDS[0], *sorted(spec.backends))))
        raise SettingError(f"engine {spec.name}: option backend must be {known}, not {backend!r}")
