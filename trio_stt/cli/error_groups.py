"""Exception groups, reduced to the error that a message needs."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwrap_errors(*kinds: type[BaseException]) -> Iterator[None]:
    """Raise the first error of these kinds by itself, if the block raises a group that contains no other kinds.

    Not an `except*` clause: CPython 3.11.2, which Debian 12 has, wraps what such a clause raises in a group again.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        expected, others = group.split(kinds)
        if expected is None or others is not None:
            raise
        raise unwrap_group(expected) from None


def unwrap_group(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception in a group that is not a group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
