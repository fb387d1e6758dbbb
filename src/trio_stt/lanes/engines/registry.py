"""The names of the engines, and how to get from a name to a loaded engine.

It names every engine without importing its backend; a further engine is one more entry of `_SPECS` and its module.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import Engine, EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What is known of an engine before anything of it is imported.

    Attributes:
        name: Canonical name.
        aliases: Other names for the same engine, in canonical spelling.
        module: Its adapter, a module with `load(config: EngineConfig) -> Engine`.
        default_model: The model that an empty model name means.
        ignores: Fields of `EngineConfig` that make no difference to it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    module: str
    default_model: str
    ignores: frozenset[str] = frozenset()


_SPECS = (
    EngineSpec(
        name="sherpa_onnx_moonshine",
        aliases=("moonshine_sherpa_onnx", "sherpa_moonshine"),
        module="trio_stt.lanes.engines.sherpa_moonshine",
        default_model="moonshine-tiny-en",
        ignores=frozenset({"beam_size", "compute_type", "gpu_device_index"}),
    ),
    EngineSpec(
        name="whisper_cpp",
        module="trio_stt.lanes.engines.whisper_cpp",
        default_model="tiny.en",
        ignores=frozenset({"compute_type"}),
    ),
    EngineSpec(
        name="faster_whisper",
        aliases=("openai_whisper",),
        module="trio_stt.lanes.engines.faster_whisper",
        default_model="tiny.en",
    ),
)

_BY_NAME = {name: spec for spec in _SPECS for name in (spec.name, *spec.aliases)}


def engine_names() -> tuple[str, ...]:
    """Every accepted engine name, aliases included, sorted."""
    return tuple(sorted(_BY_NAME))


def engine_specs() -> tuple[EngineSpec, ...]:
    """Every engine once, sorted by name."""
    return tuple(sorted(_SPECS, key=lambda spec: spec.name))


def resolve(name: str) -> EngineSpec:
    """Find an engine by any of its names; case, surrounding space and `-` for `_` do not matter.

    Raises:
        SettingError: No engine has this name; the message lists all names.
    """
    spec = _BY_NAME.get(name.strip().lower().replace("-", "_"))
    if spec is None:
        raise SettingError(f"unknown engine {name!r}; there are {', '.join(engine_names())}")
    return spec


def same_engine(first: EngineConfig, second: EngineConfig) -> bool:
    """Whether one loaded engine could serve both: they differ at most in what their engine ignores."""
    spec = resolve(first.engine)
    neutral = replace(second, **{name: getattr(first, name) for name in spec.ignores})
    return resolve(second.engine) is spec and replace(neutral, engine=first.engine) == first


def load(config: EngineConfig) -> Engine:
    """Load an engine and its model. Blocks; call it on the thread that will use the engine.

    Raises:
        SettingError: The engine is unknown, or does not take this language, device or option.
        EngineUnavailable: A package, model or file is missing or unfit; the message says what to do.
    """
    adapter: Callable[[EngineConfig], Engine] = importlib.import_module(resolve(config.engine).module).load
    return adapter(config)
