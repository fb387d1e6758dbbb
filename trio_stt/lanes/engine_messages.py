"""Messages between an executor and its engine in another process: what they hold, and how they are encoded.

A message is msgpack, preceded by its length: four bytes, little endian. Audio is float32, little endian. The executor
sends `Load`, then `Transcribe`; each is answered once, in order. Before the answer to a `Load`, a child process reports
a download with `Downloading`. It knows neither Trio nor the kind of the connection.
"""

import struct
import weakref
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Hints, Request, StreamKey, Transcript

HEADER = struct.Struct("<I")
"""The length of the message that follows, in bytes."""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One clip on its way to the engine.

    Attributes:
        samples: Audio that the other side lacks.
        length: Samples of the whole clip. Those before `samples` were sent before, for the same utterance.
        hints: How it is to be transcribed.
        utterance: Number of the utterance that the clip holds from its first sample on; None for a clip of its own.
        ends: Whether the utterance ends with this clip.
    """

    samples: bytes
    length: int
    hints: Hints
    utterance: int | None = None
    ends: bool = True


class Load(msgspec.Struct, frozen=True, tag=True):
    """Asks for an engine. Answered by `Loaded` or `Failed`."""

    config: EngineConfig


class Transcribe(msgspec.Struct, frozen=True, tag=True):
    """Asks for the transcripts of a batch. Answered by `Transcribed` or `Failed`.

    Attributes:
        clips: At least one.
        forgotten: Numbers of utterances that are over.
    """

    clips: tuple[Clip, ...]
    forgotten: tuple[int, ...] = ()


class Downloading(msgspec.Struct, frozen=True, tag=True):
    """The model of a `Load` is still being downloaded. Sent repeatedly before the answer."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The engine is loaded."""

    info: EngineInfo


class Transcribed(msgspec.Struct, frozen=True, tag=True):
    """The transcripts of a batch, one for each clip."""

    transcripts: tuple[Transcript, ...]


class Failed(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """An `EngineError`.

    Attributes:
        unavailable: Whether the engine cannot go on; else only this batch failed.
        message: Of the error.
        cause: Kind of the error's cause, which decides whether another attempt is useful; None if there is no cause.
        detail: The cause in one line.
    """

    unavailable: bool
    message: str
    cause: str | None = None
    detail: str = ""

    @classmethod
    def of(cls, error: EngineError) -> "Failed":
        """The message for an error."""
        cause = error.__cause__
        kind = None if cause is None else next((k for k, c in _CAUSES.items() if isinstance(cause, c)), _OTHER)
        return cls(
            unavailable=isinstance(error, EngineUnavailable),
            message=str(error),
            cause=kind,
            detail="" if cause is None else f"{type(cause).__name__}: {cause}",
        )

    def error(self) -> EngineError:
        """The error, with a cause of the same kind."""
        error = (EngineUnavailable if self.unavailable else TranscriptionFailed)(self.message)
        if self.cause is not None:
            error.__cause__ = _CAUSES.get(self.cause, RuntimeError)(self.detail)
        return error


_CAUSES: dict[str, type[Exception]] = {"setting": SettingError, "import": ImportError}
_OTHER = "other"

Answer = Loaded | Transcribed | Failed | Downloading


def _path_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    if kind is object:  # an engine's own option
        return value
    raise NotImplementedError(f"{kind.__name__} cannot be received")


_encoder = msgspec.msgpack.Encoder(enc_hook=_path_text)
_requests = msgspec.msgpack.Decoder(Load | Transcribe, dec_hook=_path)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def encode(message: Load | Transcribe | Answer) -> bytes:
    """A message with its header."""
    content = _encoder.encode(message)
    return HEADER.pack(len(content)) + content


def decode_request(content: bytes | bytearray) -> Load | Transcribe:
    """Decode a message to the engine, without its header."""
    return _requests.decode(content)


def decode_answer(content: bytes | bytearray) -> Answer:
    """Decode a message from the engine, without its header.

    Raises:
        EngineUnavailable: It is no answer, or one of another version.
    """
    try:
        return _answers.decode(content)
    except (msgspec.MsgspecError, TypeError) as error:
        raise EngineUnavailable("the engine gave an answer that this version does not know") from error


def engine_info(answer: Answer) -> EngineInfo:
    """What an engine is, by its answer to a `Load`.

    Raises:
        EngineError: The answer is `Failed`, or none to a `Load`.
    """
    if not isinstance(answer, Loaded):
        raise _error_of(answer)
    return answer.info


def transcripts(answer: Answer, clips: int) -> list[Transcript]:
    """The transcripts of a batch, by the answer to its `Transcribe`.

    Args:
        answer: Of the engine.
        clips: Number of clips in the batch.

    Raises:
        EngineError: The answer is `Failed`, or none to this batch.
    """
    if not isinstance(answer, Transcribed):
        raise _error_of(answer)
    if len(answer.transcripts) != clips:
        raise EngineUnavailable(f"the engine gave {len(answer.transcripts)} transcripts for {clips} clips")
    return list(answer.transcripts)


def _error_of(answer: Answer) -> EngineError:
    if isinstance(answer, Failed):
        return answer.error()
    return EngineUnavailable(f"the engine gave an unexpected answer, {type(answer).__name__}")


class ClipSender:
    """Turns requests into clips. Of an utterance that streams, only audio that the other side lacks is sent.

    Args:
        streaming: Whether the engine has streams. Others get whole clips, so that nothing of an utterance is kept
            beside them.
    """

    def __init__(self, *, streaming: bool) -> None:
        self._streaming = streaming
        self._numbers = count()
        # Weak keys, as in `UtteranceStreams`: an utterance is over when its session drops the key.
        self._sent: dict[weakref.ref[StreamKey], tuple[int, int]] = {}  # number, samples

    def message(self, batch: Sequence[Request]) -> Transcribe:
        """The message for a batch; it must be sent."""
        over = [key for key in self._sent if key() is None]
        forgotten = tuple(self._sent.pop(key)[0] for key in over)
        return Transcribe(clips=tuple(map(self._clip, batch)), forgotten=forgotten)

    def _clip(self, request: Request) -> Clip:
        number, known = None, 0
        if self._streaming and request.utterance is not None:
            key = weakref.ref(request.utterance)
            number, known = self._sent.get(key) or (next(self._numbers), 0)
            self._sent[key] = (number, max(known, request.samples.size))
        return Clip(
            samples=request.samples[known:].astype("<f4", copy=False).tobytes(),
            length=request.samples.size,
            hints=request.hints,
            utterance=number,
            ends=request.ends,
        )


class ClipReceiver:
    """Turns clips back into requests, beside the engine. Keeps the audio of the utterances that are not over."""

    def __init__(self) -> None:
        self._utterances: dict[int, tuple[StreamKey, NDArray[np.float32]]] = {}

    @property
    def utterances(self) -> int:
        """Number of utterances whose audio is kept."""
        return len(self._utterances)

    def batch(self, message: Transcribe) -> list[Request]:
        """The requests of a message."""
        for number in message.forgotten:
            self._utterances.pop(number, None)
        return [self._request(clip) for clip in message.clips]

    def _request(self, clip: Clip) -> Request:
        samples, key = np.frombuffer(clip.samples, "<f4").astype(np.float32, copy=False), None
        if clip.utterance is not None:
            key, known = self._utterances.get(clip.utterance) or (StreamKey(), np.empty(0, np.float32))
            if samples.size:
                known = np.concatenate((known, samples))
            self._utterances[clip.utterance] = (key, known)
            samples = known[: clip.length]
        return Request(samples=samples, hints=clip.hints, utterance=key, ends=clip.ends)
