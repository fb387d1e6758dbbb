"""Checks of the fields of a `session.update`."""

from collections.abc import Mapping
from typing import Any

_MAX_TEXT_CHARACTERS = 10_000
_MAX_TEXTS = 1000

Json = dict[str, Any]


class InvalidUpdate(Exception):  # noqa: N818 - named after the update, which is what is wrong
    """A `session.update` cannot be applied.

    Attributes:
        param: The field at fault.
    """

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param}: {message}")
        self.param = param


def checked_object(value: object, param: str) -> Mapping[str, Any]:
    """An object of JSON; raises InvalidUpdate."""
    if not isinstance(value, dict):
        raise InvalidUpdate(param, "must be an object")
    return value


def checked_text(value: object, param: str) -> str | None:
    """A string or null; raises InvalidUpdate."""
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_TEXT_CHARACTERS):
        raise InvalidUpdate(param, f"must be a string of at most {_MAX_TEXT_CHARACTERS} characters")
    return value


def checked_texts(value: object, param: str) -> list[str]:
    """A list of strings, empty for null; raises InvalidUpdate."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidUpdate(param, "must be a list of strings")
    if len(value) > _MAX_TEXTS or sum(map(len, value)) > _MAX_TEXT_CHARACTERS:
        limit = f"at most {_MAX_TEXTS} strings, together of at most {_MAX_TEXT_CHARACTERS} characters"
        raise InvalidUpdate(param, f"must be {limit}")
    return value
