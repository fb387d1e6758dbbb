"""Where utterances begin and end, on the audio clock. See docs/protocol.md, Utterances.

It sees one verdict per window and never the samples; it owns positions and decisions. It must not know of clients,
recognisers or time of day.
"""

from collections import deque
from dataclasses import dataclass

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES, samples_of
from trio_stt.dsp.detector import VadResult
from trio_stt.speech.events import (
    SilenceConfirmed,
    SpeculationDue,
    SpeechResumed,
    UtteranceAborted,
    UtteranceEnded,
    UtteranceEvent,
    UtteranceStarted,
)
from trio_stt.speech.segmenter_config import SILENCE_CONFIRMATION_S, SegmenterConfig

SPEECH_PROBABILITY = 0.5
"""Silero's own threshold, from which speech begins or goes on after a pause. `stop` makes an utterance of it, though
nothing had started one."""
KEEP_PROBABILITY = 0.35
"""From here on a window is speech when the window before was. Silero's own hysteresis; the fading end of a word, where
the probability wavers about one threshold, is then one end at every sample rate and level."""
_LEAST_PROBABILITY = 0.1
"""However sensitive the start is set, what is less probable is silence: an utterance must be able to end."""
_LEAST_SPOKEN_WINDOWS = 3
"""The shortest words have a tenth of a second of speech; a click or a breath has one or two windows."""
_CUT_SEARCH_WINDOWS = SAMPLE_RATE_HZ // WINDOW_SAMPLES  # a forced cut looks back one second


@dataclass(slots=True)
class _Recording:
    """The running utterance."""

    start_sample: int
    trigger_sample: int
    speech_end_sample: int
    spoken_windows: int
    confirmed: bool = False
    speculation_end_sample: int | None = None


class Segmenter:
    """Turns verdicts into utterances. Feed windows in order; every call returns the events that it caused."""

    def __init__(self, config: SegmenterConfig) -> None:
        self._config = config
        self._position = 0
        self._utterances = 0
        self._recording: _Recording | None = None
        self._floor_sample = 0  # no utterance reaches back before it
        self._gap_end_sample = 0
        self._run_start_sample: int | None = None  # of the current run of probable speech
        self._tail_samples = 0  # from the floor on, while that run may be the end of a wake word
        self._heard: deque[tuple[int, int]] = deque()  # (start, end) of probable speech within the pre-roll
        self._levels: deque[tuple[float, int]] = deque(maxlen=_CUT_SEARCH_WINDOWS)  # (RMS, start) of recent windows

    @property
    def position_sample(self) -> int:
        """Position after the last window."""
        return self._position

    @property
    def speaking(self) -> bool:
        """Whether an utterance is running."""
        return self._recording is not None

    @property
    def spoken(self) -> bool:
        """Whether the running utterance has as much speech as the shortest words."""
        return self._recording is not None and self._recording.spoken_windows >= _LEAST_SPOKEN_WINDOWS

    @property
    def needed_from_sample(self) -> int:
        """Oldest sample that an utterance, running or yet to start, can contain."""
        if self._recording:
            return self._recording.start_sample
        return self._preroll_start(self._position)

    def push(self, vad_result: VadResult, samples: int = WINDOW_SAMPLES) -> list[UtteranceEvent]:
        """Take one window's verdict.

        Args:
            vad_result: Result of the detectors for it.
            samples: Its true length; less than a whole window only for the last one before `stop`.
        """
        start = self._position
        self._position = end = start + samples
        if samples == WINDOW_SAMPLES:  # a window filled up with zeros is no quiet place to cut
            self._levels.append((vad_result.rms, start))
        self._follow_run(vad_result, start, end)
        if self._recording is None:
            return self._listen(vad_result, start)
        return self._record(self._recording)

    def skip(self, samples: int) -> None:
        """Take a window in which nobody is listened to; it can only be pre-roll."""
        self._position += samples
        self._break_run()
        self._heard.clear()
        self._levels.clear()

    def cut_wake_word(self, tail_samples: int, *, talking: bool) -> None:
        """A wake word was heard up to here: nothing from before is recorded.

        Args:
            tail_samples: How long speech that goes on is still the wake word. It starts no utterance by itself, but
                whoever talks on for longer starts one that reaches back to here.
            talking: Whether speech is going on.
        """
        self._floor_sample = self._position
        if talking:
            self._run_start_sample, self._tail_samples = self._position, tail_samples

    def begin(self) -> None:
        """The client starts streaming: audio from before a pause in the stream is not glued to what comes."""
        if self._recording is None:
            self._forget()

    def stop(self) -> list[UtteranceEvent]:
        """The client stops: the running utterance ends here, and speech too short to have triggered is one, too."""
        events: list[UtteranceEvent] = []
        if self._recording is None and len(self._heard) >= _LEAST_SPOKEN_WINDOWS:
            oldest = self._preroll_start(self._position)  # nothing older was kept
            events.append(self._start(self._heard[0][0], oldest, speech_end_sample=self._heard[-1][1]))
        if self._recording is not None:
            events.append(self._end(self._recording))
        self._forget()
        return events

    def clear(self, unheard_samples: int = 0) -> list[UtteranceEvent]:
        """Throw the running utterance away, everything heard so far, and `unheard_samples` received after it."""
        self._position += unheard_samples
        aborted = self._recording is not None
        self._recording = None
        self._forget()
        return [UtteranceAborted(utterance=self._utterances)] if aborted else []

    def _forget(self) -> None:
        self.skip(0)
        self._floor_sample = self._position

    def _break_run(self) -> None:
        self._run_start_sample, self._tail_samples = None, 0

    def _is_wake_word(self, window_start: int) -> bool:
        return window_start < self._floor_sample + self._tail_samples

    def _follow_run(self, vad_result: VadResult, start: int, end: int) -> None:
        least = SPEECH_PROBABILITY if self._run_start_sample is None else KEEP_PROBABILITY
        # Who lets speech start below that means that it is speech.
        if vad_result.probability >= min(least, max(self._config.start_probability, _LEAST_PROBABILITY)):
            if self._run_start_sample is None:
                self._run_start_sample = start
            if self._recording is None and not self._is_wake_word(start):
                self._heard.append((start, end))
        else:
            self._break_run()
        while self._heard and self._heard[0][0] < self._preroll_start(end):
            self._heard.popleft()

    def _preroll_start(self, before_sample: int) -> int:
        return max(self._floor_sample, before_sample - self._config.preroll_samples - self._tail_samples)

    def _listen(self, vad_result: VadResult, window_start: int) -> list[UtteranceEvent]:
        # WebRTC has its say in the detector: where it hears nothing in loud audio, Silero is not even asked.
        if vad_result.probability <= self._config.start_probability:
            return []
        if window_start < self._gap_end_sample or self._is_wake_word(window_start):
            return []
        return [self._start(window_start, self._preroll_start(window_start), speech_end_sample=self._position)]

    def _start(self, trigger_sample: int, start_sample: int, *, speech_end_sample: int) -> UtteranceStarted:
        self._utterances += 1
        if self._run_start_sample is None:
            self._run_start_sample = trigger_sample
        run = self._run_start_sample
        spoken_windows = max(len(self._heard), (self._position - run) // WINDOW_SAMPLES)
        self._recording = _Recording(start_sample, trigger_sample, speech_end_sample, spoken_windows)
        self._heard.clear()
        return UtteranceStarted(
            utterance=self._utterances,
            start_sample=start_sample,
            trigger_sample=trigger_sample,
            speech_sample=min(max(run, start_sample), trigger_sample),
        )

    def _record(self, recording: _Recording) -> list[UtteranceEvent]:
        events: list[UtteranceEvent] = []
        if self._run_start_sample is not None:
            recording.speech_end_sample = self._position
            recording.spoken_windows += 1
            if recording.confirmed:
                recording.confirmed = False
                recording.speculation_end_sample = None
                events.append(SpeechResumed(utterance=self._utterances))
        else:
            events += self._silence(recording)
        if self._recording is not None and self._is_too_long(recording):
            events += self._cut(recording)
        return events

    def _silence(self, recording: _Recording) -> list[UtteranceEvent]:
        events: list[UtteranceEvent] = []
        silence = self._position - recording.speech_end_sample
        old_enough = self._position - recording.trigger_sample >= self._config.min_length_samples
        if not recording.confirmed:
            if silence < samples_of(SILENCE_CONFIRMATION_S) or not old_enough:
                return events
            recording.confirmed = True
            events.append(SilenceConfirmed(utterance=self._utterances))
        due = self._config.speculation_samples
        if due and silence >= due and recording.speculation_end_sample is None and self.spoken:
            recording.speculation_end_sample = self._position
            events.append(
                SpeculationDue(
                    utterance=self._utterances, start_sample=recording.start_sample, end_sample=self._position
                )
            )
        if silence >= self._config.silence_samples:
            events.append(self._end(recording))
        return events

    def _is_too_long(self, recording: _Recording) -> bool:
        longest = self._config.max_length_samples
        return bool(longest) and self._position - recording.trigger_sample >= longest

    def _end(self, recording: _Recording, *, forced: bool = False) -> UtteranceEnded:
        self._recording = None
        clip_end = recording.speculation_end_sample or self._position
        # What follows the clip was not transcribed: the next utterance's pre-roll may reach back to it.
        self._floor_sample = clip_end
        self._gap_end_sample = self._position + self._config.min_gap_samples
        return self._ended(recording, clip_end, self._position, forced=forced)

    def _ended(self, recording: _Recording, clip_end: int, end: int, *, forced: bool) -> UtteranceEnded:
        return UtteranceEnded(
            utterance=self._utterances,
            start_sample=recording.start_sample,
            clip_end_sample=clip_end,
            trigger_sample=recording.trigger_sample,
            speech_end_sample=min(recording.speech_end_sample, clip_end),
            end_sample=end,
            spoken=recording.spoken_windows >= _LEAST_SPOKEN_WINDOWS,
            forced=forced,
        )

    def _cut(self, recording: _Recording) -> list[UtteranceEvent]:
        """End an utterance of the maximum length; talk that goes on is the next one, without a gap or an overlap."""
        if recording.speech_end_sample < self._position:  # a pause: whatever comes next is a start of its own
            return [self._end(recording, forced=True)]
        _, quietest = min(self._levels, key=lambda level: (level[0], -level[1]))  # the latest of equals
        cut = max(quietest + WINDOW_SAMPLES // 2, recording.start_sample + 1)
        ended = self._ended(recording, cut, cut, forced=True)
        self._utterances += 1
        self._recording = _Recording(cut, cut, recording.speech_end_sample, _LEAST_SPOKEN_WINDOWS)  # the talk goes on
        started = UtteranceStarted(utterance=self._utterances, start_sample=cut, trigger_sample=cut, speech_sample=cut)
        return [ended, started]
