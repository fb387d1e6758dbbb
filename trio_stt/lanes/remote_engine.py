"""What runs beside an engine in another process: loads it, and answers the messages of its executor.

It imports neither Trio nor anything of the connection, so that it runs at the end of a pipe or in an actor.
"""

from collections.abc import Callable

from trio_stt.errors import EngineError, EngineUnavailable
from trio_stt.lanes.engine_messages import Answer, ClipReceiver, Failed, Load, Loaded, Transcribe, Transcribed
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.lanes.loaded_engine import LoadedEngine


class RemoteEngine:
    """One engine and the audio of its utterances. All calls must come from one thread.

    Args:
        load: Loads the engine of a configuration.
    """

    def __init__(self, load: Callable[[EngineConfig], Engine]) -> None:
        self._load = load
        self._engine: LoadedEngine | None = None
        self._receiver = ClipReceiver()

    def answer(self, message: Load | Transcribe) -> Answer:
        """Carry out one request. Never raises an `Exception`."""
        try:
            if isinstance(message, Load):
                self._engine = LoadedEngine.load(lambda: self._load(message.config))
                return Loaded(self._engine.info)
            batch = self._receiver.batch(message)
            if self._engine is None:
                raise EngineUnavailable("no engine is loaded")
            return Transcribed(tuple(self._engine.transcribe(batch)))
        except EngineError as error:
            return Failed.of(error)

    def close(self) -> None:
        """Free the engine. Raises whatever the engine raises."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
