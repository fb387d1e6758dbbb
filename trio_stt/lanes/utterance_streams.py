"""The streams of utterances in a streaming engine. A clip holds all of its utterance; the engine gets what is new.

Owns the streams, on the engine's thread. Every clip holds its utterance from the first sample on, so a lost stream
costs time and no words: a new one is fed from the start. Dropped clips, second attempts and reloaded engines therefore
need no treatment of their own.
"""

import weakref
from collections.abc import Sequence

from trio_stt.lanes.engines.base import EngineInfo, EngineStream, Request, StreamingEngine, StreamKey, Transcript


class _Utterance:
    """One utterance as far as the engine has it; without a stream once its end was decoded."""

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


class UtteranceStreams:
    """Feeds the utterances of clips to streams of an engine. Implements `Engine`.

    Args:
        engine: Decodes the streams, and transcribes clips that belong to no utterance.
    """

    def __init__(self, engine: StreamingEngine) -> None:
        self._engine = engine
        # Weak keys: the session holds the key, and an utterance is over when it drops it. No weakref callbacks, because
        # they would free streams on the event loop's thread; `_forget` does it on this one.
        self._utterances: dict[weakref.ref[StreamKey], _Utterance] = {}

    @property
    def info(self) -> EngineInfo:
        """What was loaded."""
        return self._engine.info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; of each utterance, only new samples are decoded.

        A clip that neither ends its utterance nor has new samples gets the latest transcript, which may cover more
        audio than the clip.
        """
        self._forget()
        clips = [request for request in batch if request.utterance is None]
        of_clips = iter(self._engine.transcribe(clips) if clips else ())
        of_utterances = iter(self._decode([request for request in batch if request.utterance is not None]))
        return [next(of_clips if request.utterance is None else of_utterances) for request in batch]

    def close(self) -> None:
        """Free the streams and the engine. Calling it again does nothing."""
        self._utterances.clear()
        self._engine.close()

    def _forget(self) -> None:
        """Free the streams of utterances that are over."""
        for key in [key for key in self._utterances if key() is None]:
            del self._utterances[key]

    def _decode(self, requests: Sequence[Request]) -> list[Transcript]:
        try:
            utterances = [self._feed(request) for request in requests]
            # Two clips of a batch may belong to one utterance: its stream is decoded once.
            growing = {each: each.stream for each in utterances if each.stream is not None}
            if growing:
                self._engine.decode(list(growing.values()))
            for each, stream in growing.items():
                each.transcript = stream.result()
        except BaseException:
            for request in requests:  # the streams' state is unknown now: the next clip starts new ones
                self._utterances.pop(_key(request), None)
            raise
        for each, request in zip(utterances, requests, strict=True):
            if request.ends:
                each.stream = None
        return [each.transcript for each in utterances]

    def _feed(self, request: Request) -> _Utterance:
        """Feed a clip to its utterance's stream.

        A final starts a new stream where the old one has ended or has samples beyond the final's last one, because a
        stream cannot go back.
        """
        utterance = self._utterances.get(_key(request))
        if utterance is None or (
            request.ends and (utterance.stream is None or utterance.samples > request.samples.size)
        ):
            utterance = self._utterances[_key(request)] = _Utterance(self._engine.open_stream())
        utterance.feed(request)
        return utterance


def _key(request: Request) -> weakref.ref[StreamKey]:
    assert request.utterance is not None  # noqa: S101 - for the type checker: only such requests get here
    return weakref.ref(request.utterance)
