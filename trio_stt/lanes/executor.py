"""What a lane needs from whatever runs its engine, and the guards that every such host puts around an engine's calls.

It must not know threads or clocks: the product's host is `EngineThread`, tests also use one on virtual time.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import outcome

from trio_stt.errors import EngineError, EngineUnavailable, TranscriptionFailed, TrioSttError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Engine, EngineInfo, Request, StreamingEngine, Transcript
from trio_stt.lanes.streams import Streams

_CHARACTERS_PER_S = 100
"""Four times what the fastest talkers say, in any script."""
_SPARE_CHARACTERS = 10_000
"""For loops of an engine on a short clip, which are refused later; longer ones would hold up the event loop."""


class EngineExecutor(Protocol):
    """Runs one engine. One task uses it, one call at a time."""

    @property
    def info(self) -> EngineInfo | None:
        """What was loaded, or None before."""

    async def start(self, load: Callable[[], Engine]) -> EngineInfo:
        """Load the engine. To be called once; `aclose` is due afterwards even when it failed or was cancelled.

        Raises:
            EngineUnavailable: It could not be loaded.
        """

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip, as `Engine.transcribe` says.

        Cancelling it leaves at once; what the engine still does is thrown away, and the next call waits behind it.

        Raises:
            TranscriptionFailed: The engine raised, or returned something else than one transcript for each clip.
            EngineUnavailable: No engine is loaded, or it says that it is unfit.
        """

    async def aclose(self) -> None:
        """Free the engine, within the host's own deadline and even in a cancelled scope. Again does nothing."""

    def abandon(self, returned: Callable[[], None]) -> None:
        """Leave an engine that hangs to itself, instead of `aclose`.

        Should it ever come back, it is closed, and `returned` is called once in trio's thread; it must not raise.
        """


def load_guarded(load: Callable[[], Engine]) -> tuple[Engine, EngineInfo]:
    """Load an engine and ask what it is; turn whatever is raised, even a SystemExit, into one kind of error.

    Raises:
        EngineUnavailable: `load` raised; the original is its cause.
    """
    loaded = outcome.capture(_load, load)
    if isinstance(loaded, outcome.Value):
        return loaded.value
    if isinstance(loaded.error, EngineUnavailable):
        raise loaded.error
    reason = f"the engine could not be loaded: {_told(loaded.error)}"
    if isinstance(loaded.error, TrioSttError):
        reason = str(loaded.error)
    raise EngineUnavailable(reason) from loaded.error


def transcribe_guarded(engine: Engine, name: str, batch: Sequence[Request]) -> list[Transcript]:
    """Transcribe with an engine, and trust neither what it raises nor what it returns.

    Raises:
        EngineError: As the engine raised it.
        TranscriptionFailed: It raised anything else, even a SystemExit, which is the cause, or returned something
            else than one transcript for each clip, or text that nobody could say or no message can carry. The message
            begins with the engine's `name`.
    """
    captured = outcome.capture(engine.transcribe, batch)
    if isinstance(captured, outcome.Error):
        if isinstance(captured.error, EngineError):
            raise captured.error
        raise TranscriptionFailed(f"{name} raised {_told(captured.error)}") from captured.error
    # An object for the type checker: the annotation is a promise of code that wraps native libraries.
    returned: object = captured.value
    if not isinstance(returned, list):
        raise TranscriptionFailed(f"{name} returned {type(returned).__name__} instead of a list of transcripts")
    transcripts = [item for item in returned if isinstance(item, Transcript) and isinstance(item.text, str)]
    if len(transcripts) != len(returned) or len(transcripts) != len(batch):
        raise TranscriptionFailed(
            f"{name} returned {len(returned)} items, {len(transcripts)} of them transcripts, for {len(batch)} clips"
        )
    for transcript, request in zip(transcripts, batch, strict=True):
        most = _SPARE_CHARACTERS + _CHARACTERS_PER_S * request.samples.size // SAMPLE_RATE_HZ
        if len(transcript.text) > most:
            raise TranscriptionFailed(
                f"{name} returned {len(transcript.text)} characters; nobody says more than {most}"
            )
        if any("\ud800" <= character <= "\udfff" for character in transcript.text):
            raise TranscriptionFailed(f"{name} returned text with half of a surrogate pair, which is no Unicode")
    return transcripts


def _load(load: Callable[[], Engine]) -> tuple[Engine, EngineInfo]:
    engine = load()
    info = engine.info
    if info.streaming and isinstance(engine, StreamingEngine):
        engine = Streams(engine)
    return engine, info


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
