"""One stream's way from PCM to utterances: resampling, tape, windows, verdicts, segmenter.

It owns the stream's audio and positions. It must not know of clients, clocks or recognisers; the same samples give the
same events however they are split.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES, kernels
from trio_stt.dsp.detector import Verdict
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.tape import AudioTape
from trio_stt.speech.events import SpeechEvent
from trio_stt.speech.segmenter import Segmenter, SegmenterConfig


class Detector(Protocol):
    """What the listener needs of a speech detector."""

    def verdict(self, window: NDArray[np.int16], *, speaking: bool) -> Verdict:
        """Judge the next window, int16 of shape (512,); `speaking` while an utterance is running."""

    def reset(self) -> None:
        """Forget everything heard."""


class Listener:
    """Feed it samples in order. Events name positions; `clip` gives their audio until the next call that feeds it."""

    def __init__(self, config: SegmenterConfig, detector: Detector) -> None:
        self._segmenter = Segmenter(config)
        self._detector = detector
        self._tape = AudioTape()
        self._resampler: StreamResampler | None = None
        self._rate_hz = 0

    @property
    def position_sample(self) -> int:
        """Position after the last sample that was judged."""
        return self._segmenter.position_sample

    def begin(self) -> None:
        """The client starts streaming."""
        self._segmenter.begin()

    def push(self, samples: NDArray[np.int16], rate_hz: int) -> list[SpeechEvent]:
        """Hear samples.

        Args:
            samples: int16, shape (n,), mono.
            rate_hz: 8,000 to 192,000; a change flushes what the resampler still holds of the old rate.
        """
        self._tape.forget_before(self._segmenter.needed_from_sample)
        if rate_hz != self._rate_hz or self._resampler is None:
            self._flush_resampler()
            self._resampler = StreamResampler(rate_hz)
            self._rate_hz = rate_hz
        self._tape.append(self._resampler.push(samples))
        return self._judge_whole_windows()

    def stop(self) -> list[SpeechEvent]:
        """The client stops: judge all that was received, then end the running utterance."""
        self._flush_resampler()
        events = self._judge_whole_windows()
        start, end = self.position_sample, self._tape.end_sample
        if end > start:
            window = np.zeros(WINDOW_SAMPLES, np.int16)
            window[: end - start] = self._tape.read(start, end)
            events += self._judge(window, end - start)
        events += self._segmenter.stop()
        self._detector.reset()
        return events

    def clear(self) -> list[SpeechEvent]:
        """Throw away all that was received."""
        self._flush_resampler()
        return self._segmenter.clear(self._tape.end_sample - self.position_sample)

    def clip(self, start_sample: int, end_sample: int) -> NDArray[np.float32]:
        """Audio of an event of the last call or of the running utterance: float32, mono, -1 to 1, a copy."""
        return kernels.to_float32(self._tape.read(start_sample, end_sample))

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            self._tape.append(self._resampler.flush())

    def _judge_whole_windows(self) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        while self._tape.end_sample - self.position_sample >= WINDOW_SAMPLES:
            start = self.position_sample
            events += self._judge(self._tape.read(start, start + WINDOW_SAMPLES), WINDOW_SAMPLES)
        return events

    def _judge(self, window: NDArray[np.int16], samples: int) -> list[SpeechEvent]:
        verdict = self._detector.verdict(window, speaking=self._segmenter.speaking)
        return self._segmenter.push(verdict, samples)
