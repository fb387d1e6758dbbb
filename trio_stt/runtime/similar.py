"""Suggests names for one that was misspelt."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "", most: int = 3) -> str:
    """The part of an error message that suggests similar names; empty if there is none.

    Args:
        name: The name that was given, without `prefix`.
        known: The names to choose from, likewise.
        prefix: What stands before each of them; it makes no names similar.
        most: The largest number of suggestions.
    """
    *others, last = [prefix + other for other in get_close_matches(name, list(known), n=most)] or [""]
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""
