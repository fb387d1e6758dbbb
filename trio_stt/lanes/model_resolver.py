"""From a lane's configuration to its engine, by way of the network where its model is known but not here.

It owns when a model is fetched for a server, and what its log says of that. It must not know how one is fetched, or
which files an engine wants.
"""

import logging
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import replace

from trio_stt.errors import EngineUnavailable, ModelError, ModelMissing
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.models import catalogue
from trio_stt.models.cache import ModelCache, default_root, human_size
from trio_stt.models.spec import ModelSpec

logger = logging.getLogger(__name__)

_TELL_EVERY_S = 10.0


def load(config: EngineConfig, *, unwanted: Callable[[], bool] = lambda: False) -> Engine:
    """Load an engine; fetch its model first if the catalogue knows it and it is nowhere on this machine.

    Blocks; call it on the thread that will use the engine.

    Args:
        config: Of the engine. Its model is the user's own if there is one under this name, then one that was pulled.
        unwanted: Asked during a download: whether nobody waits for the engine any more.

    Raises:
        SettingError: As the engine says.
        ModelMissing: The model is known, but not here, and `config.offline` is on.
        EngineUnavailable: As the engine says, or the model cannot be fetched.
    """
    if config.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that would ask the hub by themselves
    entry = known_model(config)
    if entry is None:
        return registry.load(config)
    local = replace(config, offline=True)
    try:
        return registry.load(local)
    except ModelMissing as error:
        if error.model != config.model:  # an option names it, and would name it again
            raise
    store = ModelCache(config.download_root.expanduser() if config.download_root else default_root())
    path = store.find(entry)
    if path is None and config.offline:
        raise ModelMissing(
            f"engine {config.engine}: the model {config.model} is not on this machine, and offline is on; run"
            f" `{pull_command(entry, config)}`",
            model=config.model,
        )
    if path is None:
        size = f" ({human_size(entry.size_bytes)})" if entry.size_bytes else ""
        logger.info("%s is not on this machine: fetching it%s to %s", entry.name, size, store.root)
        try:
            path = store.pull(entry, _LogWatcher(entry, unwanted))
        except ModelError as error:
            raise EngineUnavailable(
                f"engine {config.engine}: the model {config.model} could not be fetched: {error}"
            ) from error
        logger.info("%s is here: %s", entry.name, path)
    return registry.load(replace(local, model=str(path)))


def known_model(config: EngineConfig) -> ModelSpec | None:
    """What the catalogue has for a configuration; nothing where another package runs the model, from its own files."""
    spec = registry.resolve(config.engine)
    if str(config.options.get("backend")) in spec.backends.keys() | spec.packages.keys():
        return None
    return catalogue.find(spec.name, config.model)


def pull_command(entry: ModelSpec, config: EngineConfig) -> str:
    """What to type so that a server with this configuration finds the model."""
    words = ["trio-stt", "models", "pull", entry.name, "--engine", entry.engine]
    if config.download_root:
        words += ["--download-root", str(config.download_root)]
    return shlex.join(words)


class _LogWatcher:
    """Writes a line now and then, and ends a download that nobody waits for."""

    def __init__(self, entry: ModelSpec, unwanted: Callable[[], bool]) -> None:
        self._entry = entry
        self._unwanted = unwanted
        self._next_s = time.monotonic() + _TELL_EVERY_S

    def say(self, text: str) -> None:
        logger.info("%s", text)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        if self._unwanted():
            raise ModelError("the server ends; what came is kept for the next start")
        if time.monotonic() >= self._next_s and done_bytes:
            self._next_s = time.monotonic() + _TELL_EVERY_S
            logger.info("%s: %s of %s", self._entry.name, human_size(done_bytes), human_size(total_bytes))
