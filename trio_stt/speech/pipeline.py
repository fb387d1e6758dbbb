"""One stream's way from PCM to utterances: resampling, tape, windows, verdicts, segmenter, wake words.

It owns the stream's audio and positions. It must not know of clients, clocks or recognisers; the same samples give the
same events however they are split.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES, kernels
from trio_stt.dsp.detector import VadResult
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.sample_buffer import SampleBuffer
from trio_stt.speech.events import SpeechEvent, UtteranceEvent
from trio_stt.speech.segmenter import KEEP_PROBABILITY, Segmenter
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.wake_mode import WakeMode, WakeState

_REPLAY_SAMPLES = 16 * WINDOW_SAMPLES
"""Audio, 0.5 s, that the speech detector hears after all when a wake word wakes it, to know whether someone talks on.
And commands that follow after 0.2 s or more start 1.4 windows after their first sample on average; else 1.8."""


class Detector(Protocol):
    """What the listener needs of a speech detector."""

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
        """Judge the next window, int16 of shape (512,); `speaking` while an utterance is running."""

    def reset(self) -> None:
        """Forget everything heard."""


class SpeechPipeline:
    """Feed it samples in order. Events name positions; `clip` gives their audio until the next call that feeds it.

    While it waits for a wake word, the speech detector sleeps.
    """

    def __init__(
        self,
        config: SegmenterConfig,
        detector: Detector,
        wake: WakeMode | None = None,
        tap: Callable[[NDArray[np.int16]], None] | None = None,
    ) -> None:
        """Make a listener that has heard nothing.

        Args:
            config: Where utterances begin and end.
            detector: Of this stream.
            wake: Of this stream; without one, speech always counts. With one, only from `begin` to `stop`.
            tap: Is handed all audio at 16 kHz: int16, shape (n,), mono.
        """
        self._segmenter = Segmenter(config)
        self._detector = detector
        self._wake = wake
        self._unheard_from_sample = 0  # by the speech detector
        self._tap = tap
        self._sample_buffer = SampleBuffer()
        self._resampler: StreamResampler | None = None
        self._rate_hz = 0

    @property
    def position_sample(self) -> int:
        """Position after the last sample that was judged."""
        return self._segmenter.position_sample

    @property
    def speaking(self) -> bool:
        """Whether an utterance is running, taken or refused."""
        return self._segmenter.speaking

    @property
    def spoken(self) -> bool:
        """Whether the running utterance has as much speech as the shortest words."""
        return self._segmenter.spoken

    @property
    def wake_state(self) -> WakeState:
        """Where the stream is between waiting for a wake word and listening."""
        return self._wake.state if self._wake else WakeState.OFF

    def begin(self) -> list[SpeechEvent]:
        """The client starts streaming."""
        self._segmenter.begin()
        self._unheard_from_sample = self.position_sample
        return [*self._wake.begin(self.position_sample)] if self._wake else []

    def push(self, samples: NDArray[np.int16], rate_hz: int) -> list[SpeechEvent]:
        """Hear samples.

        Args:
            samples: int16, shape (n,), mono.
            rate_hz: 8,000 to 192,000; a change flushes what the resampler still holds of the old rate.
        """
        self._sample_buffer.forget_before(self._needed_from_sample)
        if rate_hz != self._rate_hz or self._resampler is None:
            self._flush_resampler()
            self._resampler = StreamResampler(rate_hz)
            self._rate_hz = rate_hz
        self._append(self._resampler.push(samples))
        return self._judge_whole_windows()

    def flush(self) -> list[SpeechEvent]:
        """Judge all that was received and end the running utterance; the stream goes on."""
        if self._wake and self._wake.waiting:
            return []  # none can run, and a window filled up with zeros would cut into the word
        return self._judge_all() + self._with_wake(self._segmenter.stop())

    def stop(self) -> list[SpeechEvent]:
        """The client stops: judge all that was received, then end the running utterance."""
        events = [*self._judge_all(), *self._segmenter.stop()]
        self._detector.reset()
        return [*events, *self._wake.stop(self.position_sample)] if self._wake else events

    def clear(self) -> list[SpeechEvent]:
        """Throw away all that was received."""
        self._flush_resampler()
        events = self._segmenter.clear(self._sample_buffer.end_sample - self.position_sample)
        self._unheard_from_sample = self.position_sample
        return [*events, *self._wake.clear(self.position_sample)] if self._wake else [*events]

    def reject_utterance(self) -> None:
        """The running utterance is not recorded: with wake words, no follow-up window opens at its end."""
        if self._wake:
            self._wake.reject()

    def clip(self, start_sample: int, end_sample: int) -> NDArray[np.float32]:
        """Audio of an event of the last call or of the running utterance: float32, mono, -1 to 1, a copy."""
        return kernels.to_float32(self._sample_buffer.read(start_sample, end_sample))

    @property
    def _needed_from_sample(self) -> int:
        if not self._wake:
            return self._segmenter.needed_from_sample
        return min(self._segmenter.needed_from_sample, self.position_sample - _REPLAY_SAMPLES)

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            self._append(self._resampler.flush())

    def _append(self, samples: NDArray[np.int16]) -> None:
        self._sample_buffer.append(samples)
        if self._tap:
            self._tap(samples)

    def _judge_all(self) -> list[SpeechEvent]:
        self._flush_resampler()
        events = self._judge_whole_windows()
        start, end = self.position_sample, self._sample_buffer.end_sample
        if end > start:
            window = np.zeros(WINDOW_SAMPLES, np.int16)
            window[: end - start] = self._sample_buffer.read(start, end)
            events += self._judge(window, end - start)
        return events

    def _judge_whole_windows(self) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        for end in range(self.position_sample + WINDOW_SAMPLES, self._sample_buffer.end_sample + 1, WINDOW_SAMPLES):
            events += self._judge(self._sample_buffer.read(end - WINDOW_SAMPLES, end), WINDOW_SAMPLES)
        return events

    def _judge(self, window: NDArray[np.int16], samples: int) -> list[SpeechEvent]:
        if self._wake and self._wake.waiting:
            return self._wait(self._wake, window, samples)
        vad_result = self._detector.detect(window, speaking=self._segmenter.speaking)
        events = self._with_wake(self._segmenter.push(vad_result, samples))
        if self._wake:
            self._unheard_from_sample = self.position_sample
        return events

    def _with_wake(self, events: Sequence[UtteranceEvent]) -> list[SpeechEvent]:
        return [*events, *self._wake.follow(events, self.position_sample)] if self._wake else [*events]

    def _wait(self, wake: WakeMode, window: NDArray[np.int16], samples: int) -> list[SpeechEvent]:
        self._segmenter.skip(samples)
        events = wake.process(window, self.position_sample)
        if events:
            talking = self._catch_up()
            if wake.config.tail_samples:
                self._segmenter.cut_wake_word(wake.config.tail_samples, talking=talking)
        return [*events]

    def _catch_up(self) -> bool:
        """Wake the speech detector: it hears the newest audio that it has not heard. Returns whether that is speech."""
        end = self.position_sample
        if end - self._unheard_from_sample > _REPLAY_SAMPLES:
            self._detector.reset()  # what it remembers, levels and noise, is older than all that it hears now
        oldest = max(self._unheard_from_sample, end - _REPLAY_SAMPLES)
        probability = 0.0
        for start in range(end - (end - oldest) // WINDOW_SAMPLES * WINDOW_SAMPLES, end, WINDOW_SAMPLES):
            window = self._sample_buffer.read(start, start + WINDOW_SAMPLES)
            probability = self._detector.detect(window, speaking=False).probability
        return probability >= KEEP_PROBABILITY
