"""The utterances that a streaming engine is in the middle of: a clip is all that was said, the engine hears the rest.

Owns the streams, on the thread of the engine. It must not know jobs, lanes or threads, nor any model. As every clip
holds its utterance from the first sample on, nothing is lost when a stream is: another one is fed from the start. So a
clip that was dropped, a second attempt and an engine loaded anew need no care of their own.
"""

import weakref
from collections.abc import Sequence

from trio_stt.lanes.engines.base import EngineInfo, EngineStream, Request, StreamingEngine, StreamKey, Transcript


class _Heard:
    """What the engine has of one utterance; it has no stream any more when it heard the end."""

    def __init__(self, stream: EngineStream) -> None:
        self.stream: EngineStream | None = stream
        self.samples = 0
        self.transcript = Transcript(text="")

    def feed(self, request: Request) -> None:
        if self.stream is None:
            return
        new = request.samples[self.samples :]
        if new.size:
            self.stream.feed(new)
            self.samples = request.samples.size
        if request.ends:
            self.stream.finish()


class Streams:
    """A streaming engine to which utterances are given clip by clip; implements `Engine`.

    Args:
        engine: Hears the utterances, and clips that belong to none.
    """

    def __init__(self, engine: StreamingEngine) -> None:
        self._engine = engine
        # Weak: an utterance ends with its session or its last job. No callbacks: streams are freed on this thread.
        self._heard: dict[weakref.ref[StreamKey], _Heard] = {}

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._engine.info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; of an utterance, only what is new is heard.

        A clip that does not end its utterance and brings nothing new gets what was heard last: of a late one, that is
        more than it holds.
        """
        self._forget()
        alone = [request for request in batch if request.utterance is None]
        whole = iter(self._engine.transcribe(alone) if alone else ())
        growing = iter(self._hear([request for request in batch if request.utterance is not None]))
        return [next(whole if request.utterance is None else growing) for request in batch]

    def close(self) -> None:
        """Free the streams and the model. Calling it again does nothing."""
        self._heard.clear()
        self._engine.close()

    def _forget(self) -> None:
        for key in [key for key in self._heard if key() is None]:
            del self._heard[key]

    def _hear(self, requests: Sequence[Request]) -> list[Transcript]:
        try:
            heard = [self._feed(request) for request in requests]
            growing = {each: each.stream for each in heard if each.stream is not None}
            if growing:
                self._engine.decode(list(growing.values()))
            for each, stream in growing.items():
                each.transcript = stream.result()
        except BaseException:
            for request in requests:  # what a stream holds now is anybody's guess
                self._heard.pop(_key(request), None)
            raise
        for each, request in zip(heard, requests, strict=True):
            if request.ends:
                each.stream = None
        return [each.transcript for each in heard]

    def _feed(self, request: Request) -> _Heard:
        """Feed an utterance's stream; what was heard beyond the end of a shorter one cannot be taken back."""
        heard = self._heard.get(_key(request))
        if heard is None or (request.ends and (heard.stream is None or heard.samples > request.samples.size)):
            heard = self._heard[_key(request)] = _Heard(self._engine.open_stream())
        heard.feed(request)
        return heard


def _key(request: Request) -> weakref.ref[StreamKey]:
    assert request.utterance is not None  # noqa: S101 - for the type checker: only such requests get here
    return weakref.ref(request.utterance)
