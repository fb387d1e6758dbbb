"""A streaming engine over an online recogniser of sherpa-onnx, or of a library with the same interface.

It owns the recogniser and what it is fed. It must not know model families or import sherpa-onnx.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineInfo, EngineStream, Hints, TimedText, Transcript
from trio_stt.lanes.engines.common import Clip, ClipEngine, prepare_clip
from trio_stt.lanes.engines.word_times import words

FRAME_S = 0.01
"""Distance of two frames of features, in seconds."""

MAX_BATCH = 32
"""Streams in one call. More gain little on a CPU, because each chunk waits for the whole batch."""

_MIN_TAIL_S = 0.66
"""What sherpa-onnx's own examples feed after the end: it also covers a model that writes a word late."""

_MAX_WINDOW_FRAMES = 1_000
"""Where the search for a model's window ends; the largest known one has 269."""


def needed_tail_s(recognizer: Any, *, extra_frames: int = 0) -> float:
    """Find out how many seconds of silence a model needs after the end of an utterance.

    sherpa-onnx decodes whole windows only, and wants one frame more than a window. The last window with speech may hold
    one frame of it, so all its other frames have to follow. Frames are fed until a first window is ready; the last one
    of them is still open then, and does not count.
    """
    stream = recognizer.create_stream()
    frame = np.zeros(round(FRAME_S * SAMPLE_RATE_HZ), np.float32)
    fed = 0
    while fed < _MAX_WINDOW_FRAMES and not recognizer.is_ready(stream):
        stream.accept_waveform(SAMPLE_RATE_HZ, frame)
        fed += 1
    return max(_MIN_TAIL_S, (fed - 1 + extra_frames) * FRAME_S)


class SherpaStreams(ClipEngine):
    """A loaded streaming model; implements `StreamingEngine`.

    Args:
        recognizer: The online recogniser.
        info: What was loaded; without streaming if `normalize` is on, because a peak is known only at the end.
        tail_s: Seconds of silence after the end of an utterance, without which the model would not write its last word;
            None for what the model needs.
        extra_tail_frames: Frames that the model needs beyond its window.
        normalize: Scale each clip's peak to 0.95.
        times_scale: Factor for the recogniser's times.
    """

    def __init__(
        self,
        recognizer: Any,
        *,
        info: EngineInfo,
        tail_s: float | None = None,
        extra_tail_frames: int = 0,
        normalize: bool = False,
        times_scale: float = 1.0,
    ) -> None:
        info = _not_streaming(info) if normalize else info
        super().__init__(recognizer, info=info, normalize=normalize)
        needed_s = needed_tail_s(recognizer, extra_frames=extra_tail_frames) if tail_s is None else tail_s
        self.tail: NDArray[np.float32] = np.zeros(round(needed_s * SAMPLE_RATE_HZ), np.float32)
        self.times_scale = times_scale

    def open_stream(self) -> "SherpaStream":
        """Start an utterance, see `StreamingEngine.open_stream`."""
        return SherpaStream(self, self.model.create_stream())

    def decode(self, streams: Sequence[EngineStream]) -> None:
        """Process what was fed, see `StreamingEngine.decode`."""
        recognizer = self.model
        natives = [stream.native for stream in streams if isinstance(stream, SherpaStream)]
        try:
            while ready := [native for native in natives if recognizer.is_ready(native)]:
                recognizer.decode_streams(ready)
        except (RuntimeError, ValueError) as error:
            raise self.failure(error) from error

    def _transcribe(self, model: Any, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """Each clip on a stream of its own."""
        del model, hints
        streams = [self.open_stream() for _ in clips]
        for stream, clip in zip(streams, clips, strict=True):
            stream.feed(clip)
            stream.finish()
        self.decode(streams)
        return [stream.result() for stream in streams]


class SherpaStream:
    """One utterance of a `SherpaStreams`; implements `EngineStream`."""

    def __init__(self, engine: SherpaStreams, native: Any) -> None:
        self._engine = engine
        self.native = native
        self._samples = 0

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Append samples, see `EngineStream.feed`."""
        clip = prepare_clip(samples, engine=self._engine.info.engine)
        self.native.accept_waveform(SAMPLE_RATE_HZ, clip)
        self._samples += clip.size

    def finish(self) -> None:
        """Mark the end of the utterance, see `EngineStream.finish`."""
        self.native.accept_waveform(SAMPLE_RATE_HZ, self._engine.tail)
        self.native.input_finished()

    def result(self) -> Transcript:
        """The transcript so far, see `EngineStream.result`."""
        recognizer = self._engine.model
        try:
            # sherpa-onnx: the first gives times, the second text only. Its relatives have only the second.
            result = getattr(recognizer, "get_result_all", recognizer.get_result)(self.native)
            text = " ".join((result if isinstance(result, str) else result.text).split())
            segments = () if isinstance(result, str) else self._words(result, text)
        except (RuntimeError, IndexError, ValueError) as error:  # native errors; ValueError: text that is not UTF-8
            raise self._engine.failure(error) from error
        return Transcript(text=text, language=self._engine.info.languages.loaded, segments=segments)

    def _words(self, result: Any, text: str) -> tuple[TimedText, ...]:
        return words(result, text=text, duration_s=self._samples / SAMPLE_RATE_HZ, times_scale=self._engine.times_scale)


def _not_streaming(info: EngineInfo) -> EngineInfo:
    notice = f"engine {info.engine}: with normalize_audio each partial transcribes its utterance from the start again"
    return replace(info, streaming=False, notice="; ".join(filter(None, (info.notice, notice))))
