"""Takes a model from the Hugging Face hub's cache, or downloads it.

It must not know any library: the caller passes its own download function.
"""

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from trio_stt.errors import ModelMissing

T = TypeVar("T")

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""`owner/name`, the form of a model's name on the hub."""

_logger = logging.getLogger(__name__)


class NotAvailable(Exception):  # noqa: N818 - a state, never raised to a caller of `fetch_model`
    """A part of a model is not in the cache, or cannot be downloaded; the message says what."""


def fetch_model(name: str, *, engine: str, offline: bool, fetch: Callable[[bool], T]) -> T:
    """Return what `fetch` makes of a model in the cache, after a download if necessary.

    Args:
        name: `owner/name`, or a name that the library knows.
        engine: Canonical engine name, for messages.
        offline: Use only files on this machine.
        fetch: Gets the model: only from the cache if called with True, so that no request is sent; with False it also
            downloads. Raises `NotAvailable`.

    Raises:
        ModelMissing: The model is not on this machine, and cannot be downloaded.
    """
    problem = ""
    for cached_only in (True,) if offline else (True, False):
        if not cached_only:
            _logger.info("engine %s: downloading the model %s", engine, name)
        try:
            return fetch(cached_only)
        except NotAvailable as error:
            problem = str(error)
    raise ModelMissing(
        f"engine {engine}: the model {name} is not on this machine"
        + ("" if offline else f" and cannot be downloaded ({problem})")
        + "; download it where there is a network, and give its folder as model",
        model=name,
    )
