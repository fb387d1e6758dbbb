"""Loads a lane's engine; downloads its model first if the catalogue has it and this machine does not.

It owns when a model is downloaded for a server, and what the log says about it. It must not know how a download works,
or which files an engine needs.
"""

import logging
import math
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trio_stt.errors import DownloadInterrupted, EngineUnavailable, ModelError, ModelMissing, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.languages import language_name
from trio_stt.models import catalogue
from trio_stt.models.cache import ModelCache, default_root, human_size
from trio_stt.models.recommendation import best_live
from trio_stt.models.spec import ModelSpec

logger = logging.getLogger(__name__)

_LOG_INTERVAL_S = 10.0

_DOWNLOAD_PAUSES_S = (2.0, 4.0, 8.0, 16.0)
"""Seconds between the attempts at a download. Each attempt retries by itself while it makes progress. Half a minute
in total: enough for a network that comes up after the server; without a network, the server ends soon."""

_GIVEN_UP_S = 60.0
"""Seconds for which a download that was given up is not started again: each worker of a lane asks for its model."""

_POLL_S = 0.2
"""Seconds between two checks whether anything still waits for the model."""


def load(config: EngineConfig, *, unwanted: Callable[[], bool] = lambda: False) -> Engine:
    """Load an engine; download its model first if the catalogue has it and this machine does not.

    Blocks; call it on the thread that will use the engine.

    Args:
        config: Of the engine. A model of the user's with this name is preferred to one that was pulled.
        unwanted: Called during a download; True ends it, because nothing waits for the engine any more.

    Raises:
        SettingError: See `registry.load`.
        ModelMissing: The catalogue has the model, this machine does not, and `config.offline` is on.
        EngineUnavailable: See `registry.load`; or the model cannot be downloaded.
    """
    if config.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that access the hub themselves
    entry = known_model(config)
    if entry is None:
        return registry.load(config)
    local = replace(config, offline=True)
    try:
        return registry.load(local)
    except ModelMissing as error:
        if error.model != config.model:  # an option names the model, so a download would not be used
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
        try:
            path = fetch(entry, store, unwanted=unwanted)
        except ModelError as error:
            raise EngineUnavailable(
                f"engine {config.engine}: the model {config.model} could not be downloaded: {error}"
            ) from (error if isinstance(error, DownloadInterrupted) else None)
    return registry.load(replace(local, model=str(path)))


def fetch(entry: ModelSpec, store: ModelCache, *, unwanted: Callable[[], bool] = lambda: False) -> Path:
    """Return a model's file or folder; download it if it is missing. Logs what happens. Blocks.

    If the network fails, the download is tried again after a pause, a limited number of times.

    Args:
        entry: The model.
        store: Where it is kept.
        unwanted: Called meanwhile; True ends the download, because nothing waits for the model any more.

    Raises:
        DownloadInterrupted: The network failed at every attempt.
        ModelError: It cannot be downloaded, or is not wanted any more.
    """
    path, place = store.find(entry), store.root / entry.place
    if path is not None:
        return path
    given_up_s, reason = _given_up.get(place, (-math.inf, None))
    if reason is not None and time.monotonic() < given_up_s + _GIVEN_UP_S:
        raise reason
    size = f" ({human_size(entry.size_bytes)})" if entry.size_bytes else ""
    logger.info("%s is not on this machine: downloading it%s to %s", entry.name, size, store.root)
    progress, pauses_s = _LogProgress(entry, unwanted), iter(_DOWNLOAD_PAUSES_S)
    while True:
        try:
            path = store.pull(entry, progress)
        except DownloadInterrupted as error:
            pause_s = next(pauses_s, None)
            if pause_s is None:
                _given_up[place] = time.monotonic(), error
                raise
            logger.warning("%s; trying again in %g s", error, pause_s)
            _pause(pause_s, progress)
        else:
            logger.info("%s is complete: %s", entry.name, path)
            return path


def _pause(seconds: float, progress: "_LogProgress") -> None:
    """Wait; raises ModelError as soon as the download is not wanted any more."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        progress.progress(0, None)
        time.sleep(min(_POLL_S, seconds))


def choose_for_language(language: str, store: ModelCache, *, offline: bool) -> ModelSpec:
    """The best model for live speech in a language: one on this machine if nothing may be downloaded. Logs why.

    Raises:
        SettingError: There is none.
    """
    name = language_name(language).capitalize()
    best = best_live(language)
    if best is None:
        raise SettingError(
            f"language: no model of the catalogue has {language!r}; choose a model that does with --engine and --model"
        )
    if offline:
        missing, best = best[0], best_live(language, lambda entry: store.find(entry) is not None)
        if best is None:
            raise SettingError(
                f"language: offline is on, and no model on this machine has {name}; without it, run"
                f" `trio-stt models pull {missing.name} --engine {missing.engine}`"
            )
    entry, reason = best
    logger.info("language %s: engine %s with model %s, %s", name, entry.engine, entry.name, reason)
    return entry


def known_model(config: EngineConfig) -> ModelSpec | None:
    """The catalogue's entry for a configuration; None if another backend runs the model from files of its own."""
    spec = registry.resolve(config.engine)
    if str(config.options.get("backend")) in spec.backends.keys() | spec.packages.keys():
        return None
    return catalogue.find(spec.name, config.model)


def pull_command(entry: ModelSpec, config: EngineConfig) -> str:
    """The command after which a server with this configuration finds the model."""
    words = ["trio-stt", "models", "pull", entry.name, "--engine", entry.engine]
    if config.download_root:
        words += ["--download-root", str(config.download_root)]
    return shlex.join(words)


_given_up: dict[Path, tuple[float, DownloadInterrupted]] = {}
"""Where a model would be → when its download was given up, and why. One engine thread at a time asks for a model."""


class _LogProgress:
    """Logs the progress at intervals, and ends a download that nothing waits for."""

    def __init__(self, entry: ModelSpec, unwanted: Callable[[], bool]) -> None:
        self._entry = entry
        self._unwanted = unwanted
        self._next_s = time.monotonic() + _LOG_INTERVAL_S

    def message(self, text: str) -> None:
        logger.info("%s", text)

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        if self._unwanted():
            raise ModelError("the server stops; the downloaded part is kept for the next start")
        if time.monotonic() >= self._next_s and done_bytes:
            self._next_s = time.monotonic() + _LOG_INTERVAL_S
            logger.info("%s: %s of %s", self._entry.name, human_size(done_bytes), human_size(total_bytes))
