"""Segmenter: decides from one VAD result per window where utterances begin and end, in audio time.

It owns positions and decisions and never sees samples, clients, engines or the wall clock. See docs/protocol.md,
Utterances.
"""

from trio_stt.dsp import WINDOW_SAMPLES, samples_of
from trio_stt.dsp.detector import VadResult
from trio_stt.speech.endpointing import TurnState
from trio_stt.speech.events import TurnQuestion, UtteranceAborted, UtteranceEnded, UtteranceEvent, UtteranceStarted
from trio_stt.speech.evidence import Candidate
from trio_stt.speech.running_utterance import MIN_SPOKEN_WINDOWS, RunningUtterance
from trio_stt.speech.segmenter_config import SegmenterConfig

SPEECH_PROBABILITY = 0.5
"""Probability from which a run of speech begins, or continues after a pause: Silero's own threshold. It opens a
candidate, which `stop` ends as an utterance even if it was not confirmed yet."""
KEEP_PROBABILITY = 0.35
"""Probability from which a window continues a run of speech: Silero's own hysteresis of 0.15."""
_MURMUR_PROBABILITY = 0.2
"""Probability from which a window may be speech that the detector hardly knows: with `benchmarks.real_speech --change
narrow`, a hoarse voice (montreal_cold_corpus3) stays between 0.2 and 0.4 for 2.5 s in the middle of a turn. Windows of
a pause are below 0.1. Of 1821 other clips, plain and changed, two begin earlier by this, 0.3 s at most."""
_MURMUR_SAMPLES = samples_of(3.0)
"""How far an utterance reaches back over such sound at most; in that recording, over 2.5 s."""
_MIN_PROBABILITY = 0.1
"""A less probable window is silence however sensitive the start is set, so that an utterance can end."""


class Segmenter:
    """Turns VAD results into utterances. Windows must come in order; each call returns the events that it caused."""

    def __init__(self, config: SegmenterConfig) -> None:
        self._config = config
        self._next_config = config  # from the next utterance on
        self._position = 0
        self._utterances = 0
        self._running: RunningUtterance | None = None
        self._floor_sample = 0  # no utterance reaches back before it
        self._gap_end_sample = 0
        self._run_start_sample: int | None = None  # of the current run of probable speech
        self._murmur_start_sample: int | None = None  # of the current run of windows that may be speech
        self._tail_samples = 0  # from the floor on, speech that may still be the end of a wake word
        self._candidate: Candidate | None = None  # what may become the next utterance
        self._dropped_candidates = 0

    @property
    def position_sample(self) -> int:
        """Position after the last window."""
        return self._position

    @property
    def speaking(self) -> bool:
        """Whether an utterance is running."""
        return self._running is not None

    @property
    def spoken(self) -> bool:
        """Whether the running utterance has at least as much speech as the shortest words."""
        return self._running is not None and self._running.spoken

    @property
    def waits_for_answer(self) -> bool:
        """Whether what the next window causes may depend on the answer to the newest question."""
        return self._running is not None and self._running.waits_for_answer(self._position)

    def answer(self, question: TurnQuestion, turn_state: TurnState) -> list[UtteranceEvent]:
        """Answer a question; without effect if its pause is over."""
        return self._running.answer(question, turn_state, self._position) if self._running else []

    def give_up_question(self) -> None:
        """Go on without an answer to the newest question."""
        if self._running is not None:
            self._running.answer(None, TurnState.UNKNOWN, self._position)

    @property
    def doubtful(self) -> bool:
        """Whether the running utterance may be no speech at all."""
        return self._running is not None and self._running.evidence.doubtful

    @property
    def dropped_candidates(self) -> int:
        """Sounds so far that might have been speech and were dropped without an utterance."""
        return self._dropped_candidates

    @property
    def needed_from_sample(self) -> int:
        """Oldest sample that the running or the next utterance can contain."""
        if self._running:
            return self._running.start_sample
        return self._preroll_start(self._candidate.start_sample if self._candidate else self._position)

    def push(self, vad_result: VadResult, samples: int = WINDOW_SAMPLES) -> list[UtteranceEvent]:
        """Process the VAD result of the next window.

        Args:
            vad_result: Result of the detectors for the window.
            samples: Its length; less than a whole window only for the last one before `stop`.
        """
        start = self._position
        self._position += samples
        self._update_run(vad_result, start)
        self._follow_murmur(vad_result.probability, start)
        if self._running is None:
            return self._wait_for_start(vad_result, start)
        self._running.evidence.add(vad_result.probability)
        speech = self._run_start_sample is not None
        events = self._running.extend(self._position, speech=speech, rms=vad_result.rms)
        if events and isinstance(ended := events[-1], UtteranceEnded):
            if ended.continued:
                events.append(self._continue(self._running, ended.end_sample))
            else:
                self._finish(ended)
        return events

    def skip(self, samples: int) -> None:
        """Advance over a window in which no speech counts, as while waiting for a wake word; it can become pre-roll."""
        self._position += samples
        self._break_run()
        self._murmur_start_sample = None
        self._candidate = None

    def cut_wake_word(self, tail_samples: int, *, talking: bool) -> None:
        """Note that a wake word was detected up to here: no utterance contains audio from before.

        Args:
            tail_samples: Time in which continuing speech still counts as the wake word. It starts no utterance by
                itself; speech that continues for longer starts one that reaches back to here.
            talking: Whether speech continues.
        """
        self._floor_sample = self._position
        if talking:
            self._run_start_sample, self._tail_samples = self._position, tail_samples

    def configure(self, config: SegmenterConfig) -> None:
        """Change the settings; a running utterance keeps those that it began with."""
        self._next_config = config
        if self._running is None:
            self._adopt_config()

    def _adopt_config(self) -> None:
        if self._config is not self._next_config:
            # A longer pre-roll must not reach back to audio that was already forgotten.
            self._floor_sample = self.needed_from_sample
            self._config = self._next_config

    def begin(self) -> None:
        """Note that the client starts streaming: audio from before a gap in the stream is not pre-roll."""
        if self._running is None:
            self._reset_preroll()

    def stop(self) -> list[UtteranceEvent]:
        """End the running utterance, because the client stops. A candidate with enough speech also becomes one."""
        events: list[UtteranceEvent] = []
        candidate = self._candidate
        if self._running is None and candidate is not None and candidate.speech_windows >= MIN_SPOKEN_WINDOWS:
            events.append(self._start(candidate, candidate.start_sample))
        if self._running is not None:
            ended = self._running.end(self._position)
            self._finish(ended)
            events.append(ended)
        self._reset_preroll()
        return events

    def clear(self, pending_samples: int = 0) -> list[UtteranceEvent]:
        """Discard the running utterance, the pre-roll, and `pending_samples` that were received and not processed."""
        self._position += pending_samples
        aborted = self._running is not None
        self._running = None
        self._adopt_config()
        self._reset_preroll()
        return [UtteranceAborted(utterance=self._utterances)] if aborted else []

    def _reset_preroll(self) -> None:
        self.skip(0)
        self._floor_sample = self._position

    def _break_run(self) -> None:
        self._run_start_sample, self._tail_samples = None, 0

    def _follow_murmur(self, probability: float, start: int) -> None:
        """Note where sound began that may be speech. It starts no utterance, but one that starts in it contains it."""
        if probability < _MURMUR_PROBABILITY or not self._config.confirms_by_evidence:
            self._murmur_start_sample = None
        elif self._murmur_start_sample is None:
            self._murmur_start_sample = start

    def _is_wake_word(self, window_start: int) -> bool:
        return window_start < self._floor_sample + self._tail_samples

    def _update_run(self, vad_result: VadResult, start: int) -> None:
        least = SPEECH_PROBABILITY if self._run_start_sample is None else KEEP_PROBABILITY
        # A start_probability below these thresholds lowers them: what may start an utterance is speech.
        if vad_result.probability >= min(least, max(self._config.start_probability, _MIN_PROBABILITY)):
            if self._run_start_sample is None:
                self._run_start_sample = start
        else:
            self._break_run()

    def _preroll_start(self, before_sample: int) -> int:
        start = before_sample - self._config.preroll_samples - self._tail_samples
        if self._murmur_start_sample is not None:  # no word of what led to the start is lost
            start = min(start, max(self._murmur_start_sample, self._position - _MURMUR_SAMPLES))
        return max(self._floor_sample, start)

    def _wait_for_start(self, vad_result: VadResult, window_start: int) -> list[UtteranceEvent]:
        # WebRTC's result is not needed here: without it the detector does not run Silero, and the probability is 0.
        clear = vad_result.probability > self._config.start_probability
        candidate = self._follow_candidate(vad_result, window_start, clear=clear)
        if candidate is None or window_start < self._gap_end_sample:
            return []
        if not clear and not (self._config.confirms_by_evidence and candidate.confirmed):
            return []
        return [self._start(candidate, max(candidate.start_sample, self._gap_end_sample))]

    def _follow_candidate(self, vad_result: VadResult, window_start: int, *, clear: bool) -> Candidate | None:
        """The candidate after the next window, if there is one."""
        speech = self._run_start_sample is not None
        if self._candidate is None and (speech or clear) and not self._is_wake_word(window_start):
            self._candidate = Candidate(window_start, self._position)
        if self._candidate is not None:
            self._candidate.add(vad_result.probability, end_sample=self._position, speech=speech)
            if self._candidate.refuted and not (speech or clear):
                self._candidate = None
                self._dropped_candidates += 1
        return self._candidate

    def _start(self, candidate: Candidate, trigger_sample: int) -> UtteranceStarted:
        start, run = self._preroll_start(candidate.start_sample), candidate.start_sample
        if self._run_start_sample is not None:  # after a wake word, the run began before the candidate
            run = min(run, self._run_start_sample)
        self._candidate = None
        self._utterances += 1
        started = UtteranceStarted(
            utterance=self._utterances,
            start_sample=start,
            trigger_sample=trigger_sample,
            speech_sample=max(run, start),
        )
        self._running = RunningUtterance(
            started,
            self._config,
            speech_end_sample=candidate.speech_end_sample,
            spoken_windows=candidate.speech_windows,
            evidence=candidate.evidence,
        )
        return started

    def _finish(self, ended: UtteranceEnded) -> None:
        """Wait for the next utterance."""
        self._running = None
        # Audio after the clip was not transcribed, so the next utterance's pre-roll may reach back to it.
        self._floor_sample = ended.clip_end_sample
        self._adopt_config()
        self._gap_end_sample = self._position + self._config.min_gap_samples

    def _continue(self, cut: RunningUtterance, at_sample: int) -> UtteranceStarted:
        """Start the next utterance where one was cut in speech, without a gap or an overlap."""
        self._utterances += 1
        started = UtteranceStarted(
            utterance=self._utterances, start_sample=at_sample, trigger_sample=at_sample, speech_sample=at_sample
        )
        self._running = RunningUtterance(
            started,
            self._config,
            speech_end_sample=cut.speech_end_sample,
            # The rest of a cut utterance counts as spoken, however short it is: it is the end of a sentence.
            spoken_windows=MIN_SPOKEN_WINDOWS,
            evidence=cut.evidence,
        )
        return started
