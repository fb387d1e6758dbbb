"""Suggests names for one that was misspelt."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The end of an error message that suggests up to three similar names; empty if there is none.

    Args:
        name: The name that was given, without `prefix`.
        known: The names to choose from, likewise.
        prefix: What stands before each of them; it makes no names similar.
    """
    *others, last = [prefix + other for other in get_close_matches(name, list(known))] or [""]
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""
