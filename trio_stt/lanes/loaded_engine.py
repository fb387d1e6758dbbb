"""What an executor keeps beside the engine, on its thread: guards around every call, and the streams of utterances.

It knows neither Trio nor threads, so that a process or an actor can hold an engine in the same way.
"""

from collections.abc import Callable, Sequence
from typing import Self

import outcome

from trio_stt.errors import EngineError, EngineUnavailable, TranscriptionFailed, TrioSttError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Engine, EngineInfo, Request, StreamingEngine, Transcript
from trio_stt.lanes.utterance_streams import UtteranceStreams

_MAX_CHARACTERS_PER_S = 100
"""Four times the rate of the fastest speech, in any script."""

_SPARE_CHARACTERS = 10_000
"""Added to the limit, so that a repetition on a short clip passes here and is rejected as a repetition later. Longer
text would block the event loop."""


class LoadedEngine:
    """An engine whose calls raise `EngineError` only and return nothing but valid transcripts.

    Utterances that grow from call to call go to streams of the engine where it streams.

    Attributes:
        info: What was loaded.
    """

    def __init__(self, engine: Engine) -> None:
        self.info: EngineInfo = engine.info
        streams = self.info.streaming and isinstance(engine, StreamingEngine)
        self._engine: Engine = UtteranceStreams(engine) if streams else engine  # type: ignore[arg-type] # checked above

    @classmethod
    def load(cls, load: Callable[[], Engine]) -> Self:
        """Load an engine with `load`.

        Raises:
            EngineUnavailable: `load` raised, even a SystemExit; the original is the cause.
        """
        # outcome.capture also takes a SystemExit, with which some native packages end a load.
        loaded = outcome.capture(lambda: cls(load()))
        if isinstance(loaded, outcome.Value):
            return loaded.value
        if isinstance(loaded.error, EngineUnavailable):
            raise loaded.error
        reason = f"the engine could not be loaded: {_one_line(loaded.error)}"
        if isinstance(loaded.error, TrioSttError):
            reason = str(loaded.error)
        raise EngineUnavailable(reason) from loaded.error

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip.

        Raises:
            EngineError: The engine raised it.
            EngineUnavailable: The engine has no memory left. The lane then tries the clips on a fresh one, because the
                next attempt on this one would fail as well.
            TranscriptionFailed: The engine raised anything else, even a SystemExit, which is the cause; or it returned
                anything else than one transcript per clip, more text than can be spoken in the time, or text that is
                not valid Unicode. The message begins with the engine's name.
        """
        name = self.info.engine
        captured = outcome.capture(self._engine.transcribe, batch)
        if isinstance(captured, outcome.Error):
            if isinstance(captured.error, MemoryError) or isinstance(captured.error.__cause__, MemoryError):
                raise EngineUnavailable(f"{name} has no memory left") from captured.error
            if isinstance(captured.error, EngineError):
                raise captured.error
            raise TranscriptionFailed(f"{name} raised {_one_line(captured.error)}") from captured.error
        # `object`, because adapters pass on what native libraries return: the annotation is only a promise.
        returned: object = captured.value
        if not isinstance(returned, list):
            raise TranscriptionFailed(f"{name} returned {type(returned).__name__} instead of a list of transcripts")
        transcripts = [item for item in returned if isinstance(item, Transcript) and isinstance(item.text, str)]
        if len(transcripts) != len(returned) or len(transcripts) != len(batch):
            raise TranscriptionFailed(
                f"{name} returned {len(returned)} items, {len(transcripts)} of them transcripts, for {len(batch)} clips"
            )
        for transcript, request in zip(transcripts, batch, strict=True):
            limit = _SPARE_CHARACTERS + _MAX_CHARACTERS_PER_S * request.samples.size // SAMPLE_RATE_HZ
            if len(transcript.text) > limit:
                raise TranscriptionFailed(
                    f"{name} returned {len(transcript.text)} characters; a clip of this length has {limit} at most"
                )
            if any("\ud800" <= character <= "\udfff" for character in transcript.text):
                raise TranscriptionFailed(f"{name} returned half of a surrogate pair, which is not valid Unicode")
        return transcripts

    def close(self) -> None:
        """Free the engine. Raises whatever it raises."""
        self._engine.close()


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
