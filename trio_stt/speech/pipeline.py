"""Speech pipeline of one stream, from PCM to utterances: resampler, buffer, voice detector, segmenter, wake mode.

It owns the stream's audio and positions. It does not know clients, clocks or engines. The same samples give the same
events however they are split into packets.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES, kernels
from trio_stt.dsp.detector import VadResult
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.sample_buffer import SampleBuffer
from trio_stt.speech.endpointing import TurnState
from trio_stt.speech.events import SpeechEvent, TurnQuestion, UtteranceEvent
from trio_stt.speech.segmenter import KEEP_PROBABILITY, Segmenter
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.wake_mode import WakeMode, WakeState

_REPLAY_SAMPLES = 16 * WINDOW_SAMPLES
"""Audio, 0.5 s, that is replayed to the speech detector when a wake word wakes it, to detect whether speech continues.
With the replay, a command that follows after 0.2 s or more starts 1.4 windows after its first sample on average,
without it 1.8."""


class Detector(Protocol):
    """Speech detector, as the pipeline needs it."""

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
        """Process the next window, int16, shape (512,); `speaking` while an utterance is running."""

    def reset(self) -> None:
        """Go back to the initial state."""


class SpeechPipeline:
    """Turns samples, pushed in order, into events. `clip` returns the audio of an event until the next `push`.

    While the pipeline waits for a wake word, the speech detector does not run.
    """

    def __init__(
        self,
        config: SegmenterConfig,
        detector: Detector,
        wake: WakeMode | None = None,
        tap: Callable[[NDArray[np.int16]], None] | None = None,
    ) -> None:
        """Start an empty stream.

        Args:
            config: Settings of the segmenter.
            detector: Speech detector of this stream.
            wake: Wake mode of this stream; with one, speech counts only from `begin` to `stop`, without one always.
            tap: Called with all audio at 16 kHz: int16, shape (n,), mono.
        """
        self._segmenter = Segmenter(config)
        self._detector = detector
        self._wake = wake
        self._undetected_from_sample = 0  # oldest sample that the speech detector has not processed
        self._tap = tap
        self._sample_buffer = SampleBuffer()
        self._resampler: StreamResampler | None = None
        self._rate_hz = 0

    @property
    def position_sample(self) -> int:
        """Position after the last sample that was processed."""
        return self._segmenter.position_sample

    @property
    def speaking(self) -> bool:
        """Whether an utterance is running, accepted or rejected."""
        return self._segmenter.speaking

    @property
    def spoken(self) -> bool:
        """Whether the running utterance has at least as much speech as the shortest words."""
        return self._segmenter.spoken

    @property
    def waits_for_answer(self) -> bool:
        """Whether audio waits for the answer to a `TurnQuestion`: what it causes may depend on it."""
        return self._segmenter.waits_for_answer and self._whole_window_waits

    @property
    def doubtful(self) -> bool:
        """Whether the running utterance may be no speech at all."""
        return self._segmenter.doubtful

    @property
    def dropped_candidates(self) -> int:
        """Sounds so far that might have been speech and were dropped without an utterance."""
        return self._segmenter.dropped_candidates

    @property
    def wake_state(self) -> WakeState:
        """State of the wake mode."""
        return self._wake.state if self._wake else WakeState.OFF

    def begin(self) -> list[SpeechEvent]:
        """Note that the client starts streaming."""
        self._segmenter.begin()
        self._undetected_from_sample = self.position_sample
        return [*self._wake.begin(self.position_sample)] if self._wake else []

    def configure(self, config: SegmenterConfig) -> None:
        """Change the settings of the segmenter; a running utterance keeps those that it began with."""
        self._segmenter.configure(config)

    def push(self, samples: NDArray[np.int16], rate_hz: int) -> list[SpeechEvent]:
        """Process samples.

        Args:
            samples: int16, shape (n,), mono.
            rate_hz: 8,000 to 192,000; a change first flushes what the resampler holds back at the old rate.

        Raises:
            PacketError: The rate is out of range.
        """
        self._sample_buffer.forget_before(self._needed_from_sample)
        if rate_hz != self._rate_hz or self._resampler is None:
            self._flush_resampler()
            self._resampler = StreamResampler(rate_hz)
            self._rate_hz = rate_hz
        self._append(self._resampler.push(samples))
        return self._process_whole_windows()

    def answer(self, question: TurnQuestion, turn_state: TurnState) -> list[SpeechEvent]:
        """Answer a question, and process the audio that waited for it. Without effect if its pause is over."""
        return [*self._segmenter.answer(question, turn_state), *self._process_whole_windows()]

    def give_up_question(self) -> list[SpeechEvent]:
        """Process the audio that waited for an answer without it."""
        self._segmenter.give_up_question()
        return self._process_whole_windows()

    def flush(self) -> list[SpeechEvent]:
        """Process all received audio and end the running utterance; the stream continues."""
        if self._wake and self._wake.waiting:
            return []  # no utterance can run, and a window padded with zeros would cut into a wake word
        return self._process_all() + self._with_wake(self._segmenter.stop())

    def stop(self) -> list[SpeechEvent]:
        """Process all received audio and end the running utterance, because the client stops."""
        events = [*self._process_all(), *self._segmenter.stop()]
        self._detector.reset()
        return [*events, *self._wake.stop(self.position_sample)] if self._wake else events

    def clear(self) -> list[SpeechEvent]:
        """Discard all received audio and the running utterance."""
        self._flush_resampler()
        events = self._segmenter.clear(self._sample_buffer.end_sample - self.position_sample)
        self._undetected_from_sample = self.position_sample
        return [*events, *self._wake.clear(self.position_sample)] if self._wake else [*events]

    def reject_utterance(self) -> None:
        """Note that the running utterance was rejected: with wake words, no follow-up window opens at its end."""
        if self._wake:
            self._wake.reject()

    def clip(self, start_sample: int, end_sample: int) -> NDArray[np.float32]:
        """Audio of an event of the last call or of the running utterance: float32, shape (n,), mono, -1 to 1, a copy.

        Raises:
            IndexError: Some of it is not in the sample buffer.
        """
        return kernels.to_float32(self._sample_buffer.read(start_sample, end_sample))

    @property
    def _needed_from_sample(self) -> int:
        if not self._wake:
            return self._segmenter.needed_from_sample
        return min(self._segmenter.needed_from_sample, self.position_sample - _REPLAY_SAMPLES)

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            self._append(self._resampler.flush())

    @property
    def _whole_window_waits(self) -> bool:
        return self._sample_buffer.end_sample - self.position_sample >= WINDOW_SAMPLES

    def _append(self, samples: NDArray[np.int16]) -> None:
        self._sample_buffer.append(samples)
        if self._tap:
            self._tap(samples)

    def _process_all(self) -> list[SpeechEvent]:
        self._flush_resampler()
        events = self._process_whole_windows()
        while self.waits_for_answer:  # the stream ends here, whatever the answer would be
            self._segmenter.give_up_question()
            events += self._process_whole_windows()
        start, end = self.position_sample, self._sample_buffer.end_sample
        if end > start:
            window = np.zeros(WINDOW_SAMPLES, np.int16)
            window[: end - start] = self._sample_buffer.read(start, end)
            events += self._process_window(window, end - start)
        return events

    def _process_whole_windows(self) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        while self._whole_window_waits and not self._segmenter.waits_for_answer:
            start = self.position_sample
            window = self._sample_buffer.read(start, start + WINDOW_SAMPLES)
            events += self._process_window(window, WINDOW_SAMPLES)
        return events

    def _process_window(self, window: NDArray[np.int16], samples: int) -> list[SpeechEvent]:
        if self._wake and self._wake.waiting:
            return self._process_waiting(self._wake, window, samples)
        vad_result = self._detector.detect(window, speaking=self._segmenter.speaking)
        events = self._with_wake(self._segmenter.push(vad_result, samples))
        if self._wake:
            self._undetected_from_sample = self.position_sample
        return events

    def _with_wake(self, events: Sequence[UtteranceEvent]) -> list[SpeechEvent]:
        return [*events, *self._wake.follow(events, self.position_sample)] if self._wake else [*events]

    def _process_waiting(self, wake: WakeMode, window: NDArray[np.int16], samples: int) -> list[SpeechEvent]:
        self._segmenter.skip(samples)
        events = wake.process(window, self.position_sample)
        if events:
            talking = self._wake_detector()
            if wake.config.tail_samples:
                self._segmenter.cut_wake_word(wake.config.tail_samples, talking=talking)
        return [*events]

    def _wake_detector(self) -> bool:
        """Replay the newest skipped audio to the speech detector; returns whether its last window is speech."""
        end = self.position_sample
        if end - self._undetected_from_sample > _REPLAY_SAMPLES:
            self._detector.reset()  # its levels and noise floor are older than the audio that it gets now
        oldest = max(self._undetected_from_sample, end - _REPLAY_SAMPLES)
        probability = 0.0
        # Whole windows counted back from the end, so that the next window follows without a gap.
        for start in range(end - (end - oldest) // WINDOW_SAMPLES * WINDOW_SAMPLES, end, WINDOW_SAMPLES):
            window = self._sample_buffer.read(start, start + WINDOW_SAMPLES)
            probability = self._detector.detect(window, speaking=False).probability
        return probability >= KEEP_PROBABILITY
