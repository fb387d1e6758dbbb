"""Structs of engine options: what they accept, and errors that name the option, its type, its limits and the value."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.options import (
    Arguments,
    Count,
    EngineOptions,
    ExistingPaths,
    NotNegative,
    Number,
    SampleRate,
    decode,
)


class Inner(EngineOptions):
    num_threads: Count | None = None


class Options(EngineOptions):
    count: Count = 5
    seconds: Annotated[Number | None, Field(ge=0.1, le=600)] = None
    penalty: NotNegative = 1.0
    flag: bool = False
    text: str = "default"
    inner: Inner = Inner()
    choice: Literal["a", "b"] = "a"
    sample_rate: SampleRate = 16_000
    paths: ExistingPaths = ""
    arguments: Arguments
    files: dict[str, str] = Field(default_factory=dict)


def test_strings_of_numbers_and_booleans_are_accepted_and_null_is_the_default() -> None:
    options = decode(
        Options,
        {"count": "3", "seconds": "1.5", "flag": "Yes", "text": None, "inner": {"num_threads": "2"}, "arguments": None},
        engine="e",
    )
    assert (options.count, options.seconds, options.flag, options.text) == (3, 1.5, True, "default")
    assert (options.inner.num_threads, options.arguments) == (2, {})
    assert "text" not in options.model_fields_set


@pytest.mark.parametrize(
    ("values", "expected_message"),
    [
        ({"count": "many"}, "option count must be a whole number of at least 1, not 'many'"),
        ({"count": 0}, "option count must be a whole number of at least 1, not 0"),
        ({"count": 2.5}, "option count must be a whole number of at least 1, not 2.5"),
        ({"count": True}, "option count must be a whole number of at least 1, not True"),
        ({"seconds": 601}, "option seconds must be a number from 0.1 to 600, not 601"),
        ({"seconds": float("inf")}, "option seconds must be a number from 0.1 to 600, not inf"),
        ({"penalty": -1}, "option penalty must be a number of at least 0, not -1"),
        ({"penalty": "nan"}, "option penalty must be a number of at least 0, not 'nan'"),
        ({"flag": "maybe"}, "option flag must be true or false, not 'maybe'"),
        ({"text": 5}, "option text must be a string, not 5"),
        ({"inner": 5}, "option inner must be an object, not 5"),
        ({"inner": {"num_threads": 0}}, "option inner.num_threads must be a whole number of at least 1, not 0"),
        ({"inner": {"threads": 1}}, "option inner.threads does not exist; there are num_threads"),
        ({"choice": "c"}, "option choice must be 'a' or 'b', not 'c'"),
        ({"sample_rate": 8_000}, "option sample_rate must be 16000: every clip that reaches an engine has this rate"),
        ({"paths": "/no/such"}, "option paths names /no/such, which does not exist"),
        ({"arguments": "fast"}, "option arguments must be an object, not 'fast'"),
        ({"files": {"model": 3}}, "option files.model must be a string, not 3"),
        ({"unknown": 1}, "option unknown does not exist; there are arguments, choice, count, "),
    ],
)
def test_invalid_option_is_named_with_its_limits(values: dict[str, object], expected_message: str) -> None:
    with pytest.raises(SettingError) as raised:
        decode(Options, values, engine="e")
    assert str(raised.value).startswith(f"engine e: {expected_message}")


def test_prefix_names_the_place_of_nested_options() -> None:
    with pytest.raises(SettingError, match=r"option model\.inner\.num_threads must be"):
        decode(Options, {"inner": {"num_threads": -1}}, engine="e", prefix="model.")
