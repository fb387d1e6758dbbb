"""An engine's own options: one struct per backend, decoded once, with errors that name the option and its limits.

A struct is a subclass of `EngineOptions`; its fields are the options, their types say what is accepted. Numbers may be
given as strings and booleans as 1, true, yes, on, 0, false, no, off; null means the default. It must not know any
backend.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ


def _no_boolean(value: object) -> object:
    """Refuse true and false where a number is expected; Python counts them as 1 and 0."""
    return str(value) if isinstance(value, bool) else value


def _supported_rate(value: int) -> int:
    if value != SAMPLE_RATE_HZ:
        raise ValueError(f"must be {SAMPLE_RATE_HZ}: every clip that reaches an engine has this rate")
    return value


def _existing_paths(value: str) -> str:
    for part in filter(None, value.split(",")):
        if not Path(part).exists():
            raise ValueError(f"names {part}, which does not exist")
    return value


Integer = Annotated[int, BeforeValidator(_no_boolean)]
Count = Annotated[Integer, Field(ge=1)]
"""A whole number of at least 1."""

Number = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0)]
"""A number of at least 0."""

SampleRate = Annotated[Count, AfterValidator(_supported_rate)]
"""Options that other servers have; nothing but 16000 is accepted."""

ExistingPaths = Annotated[str, AfterValidator(_existing_paths)]
"""Paths separated by commas, all of which exist; or nothing."""

Arguments = Annotated[dict[str, object], Field(default_factory=dict)]
"""Arguments that go to the backend as they are; the backend checks them itself."""


class EngineOptions(BaseModel):
    """Base of every struct of options. Unknown names are refused, null gives the default."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, values: object) -> object:
        if isinstance(values, Mapping):
            return {name: value for name, value in values.items() if value is not None}
        return values


_Struct = TypeVar("_Struct", bound=EngineOptions)


def decode(struct: type[_Struct], values: Mapping[str, object], *, engine: str, prefix: str = "") -> _Struct:
    """Decode the options that the user gave.

    Args:
        struct: What the engine takes.
        values: The options.
        engine: Canonical engine name, for messages.
        prefix: Where the options are nested, with a final dot, for messages.

    Raises:
        SettingError: An option does not exist, has the wrong type or is out of range; the message says which, and what
            is accepted.
    """
    try:
        return struct.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        field: FieldInfo | None = None
        known = struct.model_fields
        given: Any = values
        for name in map(str, first["loc"]):
            field = known.get(name)
            known = getattr(field and field.annotation, "model_fields", {})
            given = given[name]
        place = ".".join(map(str, first["loc"]))
        raise option_error(engine, f"{prefix}{place}", _problem(struct, field, first, given)) from None


def option_error(engine: str, name: str, problem: str) -> SettingError:
    """Make the error that says what is wrong with one option."""
    return SettingError(f"engine {engine}: option {name} {problem}")


def _problem(struct: type[EngineOptions], field: FieldInfo | None, error: Any, given: object) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        for name in error["loc"][:-1]:
            struct = struct.model_fields[name].annotation  # type: ignore[assignment] # a nested struct
        return f"does not exist; there are {', '.join(sorted(struct.model_fields))}"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    expected = error["ctx"]["expected"] if kind == "literal_error" else _expected(field, kind)
    return f"must be {expected}, not {given!r}"


def _expected(field: FieldInfo | None, kind: str) -> str:
    """What a field accepts, in words, with its limits."""
    if kind.startswith("string"):
        return "a string"
    if kind.startswith("bool"):
        return "true or false"
    parts = [*_parts(field.annotation), *field.metadata] if field else []
    noun = "a whole number" if int in parts else "a number" if float in parts else "an object"
    low = next((limit.ge for limit in parts if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in parts if isinstance(limit, Le)), None)
    if high is not None:
        return f"{noun} from {low:g} to {high:g}"
    return noun if low is None else f"{noun} of at least {low:g}"


def _parts(annotation: Any) -> list[Any]:
    """The types and constraints of which an annotation such as `Count | None` consists."""
    inner = [part for each in get_args(annotation) for part in _parts(each)]
    constraints = getattr(annotation, "__metadata__", ())
    nested = [limit for each in constraints for limit in getattr(each, "metadata", ())]
    return [*inner, *nested] if inner else [annotation]
