"""Callbacks that do not keep alive whom they call, so that a session is gone when its last task is.

Parts that hold each other wait for the garbage collector, which looks at all sessions to free one, while all of them
wait for it. It must not know what is called.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakMethod

_P = ParamSpec("_P")
_T = TypeVar("_T")


def weak_callback(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """A bound method for parts of its own object, which lives as long as they are used.

    Raises:
        ReferenceError: When called after that.
    """
    reference, name = WeakMethod(method), method.__qualname__

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        bound = reference()
        if bound is None:
            raise ReferenceError(f"{name} was called after the end of its object")
        return bound(*args, **kwargs)

    return call
