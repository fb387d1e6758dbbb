"""Settings for tests: from flags, and values that each setting must accept or refuse, derived from its declaration."""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from trio_stt.cli.options import add_settings, given_settings
from trio_stt.settings import ENV_PREFIX, Declaration, Settings, declarations, load_settings

PERMISSIVE_VALUES: dict[str, object] = {"realtime_max_audio_seconds": 0, "max_audio_queue_seconds_per_session": 0}
"""Values with which every value of every other setting is valid."""

_RESOURCES = (
    [{"num_gpus": 0.5}, {"stt": 2.0, "num_cpus": 1.0}, None],
    [{}, {"num_gpus": 0}, {"num_gpus": -1}, {"num_cpus": 1.5}],
)
PARSED: dict[str, tuple[list[Any], list[Any]]] = {
    "ray_address": (["ray://10.0.0.1:10001", "ray://[::1]:10001", None], ["10.0.0.1:10001", "ray://a", "ray://a:0/b"]),
    "lane_resources": _RESOURCES,
    "realtime_lane_resources": _RESOURCES,
}
"""Good and bad values of settings whose type does not tell them."""

SETTABLE = [declaration for declaration in declarations() if declaration.is_settable]


@pytest.fixture
def no_settings_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(variable)


def from_flags(*arguments: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return load_settings(given_settings(parser.parse_args(arguments)))


@dataclass(frozen=True)
class Bounds:
    """The limits that a declaration gives for a value.

    `low` and `high` limit a number, or each item of a list; `above_low` excludes `low` itself.
    """

    low: Any = None
    high: Any = None
    above_low: bool = False
    shortest: int = 0
    longest: int | None = None


def bounds(declaration: Declaration) -> Bounds:
    found: dict[str, Any] = {}
    for rule in _rules(declaration):
        match rule:
            case Ge(ge=low):
                found["low"] = low
            case Gt(gt=low):
                found |= {"low": low, "above_low": True}
            case Le(le=high):
                found["high"] = high
            case MinLen(min_length=shortest):
                found["shortest"] = shortest
            case MaxLen(max_length=longest):
                found["longest"] = longest
            case _:
                pass
    return Bounds(**found)


def _rules(declaration: Declaration) -> Iterator[object]:
    yield from declaration.field.metadata
    for part in get_args(declaration.field.annotation):
        for extra in getattr(part, "__metadata__", ()):
            yield from getattr(extra, "metadata", ())


def is_optional(declaration: Declaration) -> bool:
    return type(None) in get_args(declaration.field.annotation)


def good_values(declaration: Declaration) -> list[Any]:
    """Valid JSON values, including both limits; lists are sorted already."""
    allowed = bounds(declaration)
    match declaration.value_type():
        case _ if declaration.name in PARSED:
            return PARSED[declaration.name][0]
        case bool():
            return [True, False]
        case int() | float() as zero:
            lowest = allowed.low + 0.001 if allowed.above_low else allowed.low
            return [type(zero)(lowest), type(zero)(allowed.high)]
        case tuple():
            return [[], [float(allowed.low), 0.5, float(allowed.high)]]
        case dict():
            return [{"a": [1, None]}, None]
    texts: list[Any] = list(declaration.choices) or ["some_text"]
    if allowed.longest:
        texts.append("x" * allowed.longest)
    return [*texts, None] if is_optional(declaration) else texts


def bad_values(declaration: Declaration) -> list[Any]:
    """JSON values of the right type that are out of range."""
    if declaration.name in PARSED:
        return PARSED[declaration.name][1]
    allowed = bounds(declaration)
    match declaration.value_type():
        case bool() | dict():
            return []
        case int():
            return [allowed.low - 1, allowed.high + 1, 10**400]
        case float():
            return [allowed.low if allowed.above_low else allowed.low - 0.001, allowed.high + 0.001]
        case tuple():
            assert allowed.longest
            return [[allowed.low - 0.001], [0.1, allowed.high + 0.001], [i / 100 for i in range(allowed.longest + 1)]]
    texts: list[Any] = ["nonsense"] if declaration.choices else []
    texts += ["x" * (allowed.longest + 1)] if allowed.longest else []
    return [*texts, ""] if allowed.shortest else texts


def as_text(value: Any) -> str:
    """A JSON value as the text of a flag or an environment variable."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def as_held(value: Any) -> Any:
    """A JSON value as the settings store it."""
    return tuple(value) if isinstance(value, list) else value
