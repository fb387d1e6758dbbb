"""Segmenter: decides from one VAD result per window where utterances begin and end, in audio time.

It owns positions and decisions and never sees samples, clients, engines or the wall clock. See docs/protocol.md,
Utterances.
"""

from dataclasses import dataclass, replace

from trio_stt.dsp import WINDOW_SAMPLES, samples_of
from trio_stt.dsp.detector import VadResult
from trio_stt.speech.endpointing import EARLIEST_END_S, TurnState
from trio_stt.speech.events import (
    SilenceConfirmed,
    SpeculationDue,
    SpeechResumed,
    TurnFinished,
    TurnQuestion,
    UtteranceAborted,
    UtteranceEnded,
    UtteranceEvent,
    UtteranceStarted,
)
from trio_stt.speech.evidence import Candidate, Evidence
from trio_stt.speech.quietest import quietest_window
from trio_stt.speech.segmenter_config import SILENCE_CONFIRMATION_S, SegmenterConfig

SPEECH_PROBABILITY = 0.5
"""Probability from which a run of speech begins, or continues after a pause: Silero's own threshold. It opens a
candidate, which `stop` ends as an utterance even if it was not confirmed yet."""
KEEP_PROBABILITY = 0.35
"""Probability from which a window continues a run of speech: Silero's own hysteresis of 0.15."""
_MIN_PROBABILITY = 0.1
"""A less probable window is silence however sensitive the start is set, so that an utterance can end."""
_MIN_SPOKEN_WINDOWS = 3
"""The shortest words have 0.1 s of speech; a click or a breath has one or two windows."""
_CUT_SEARCH_SAMPLES = samples_of(10.0)
"""Audio before the maximum length in which a forced cut is placed: readers pause every 2 to 5 s. A maximum length below
20 s leaves half of itself, so that no segment is short."""


@dataclass(slots=True)
class _RunningUtterance:
    """The running utterance. The last six describe the pause in which it is; speech resets them.

    Attributes:
        confirmed: Whether the pause is long enough to count as silence.
        speculation_end_sample: End of the clip that was last transcribed ahead.
        question: The question whether the talker is done.
        turn_state: Its answer.
        finished: Whether it was announced that the talker is done.
        resumed_windows: Speech since then: less than a word is no reason to go on.
    """

    start_sample: int
    trigger_sample: int
    speech_end_sample: int
    spoken_windows: int
    evidence: Evidence
    confirmed: bool = False
    speculation_end_sample: int | None = None
    question: TurnQuestion | None = None
    turn_state: TurnState | None = None
    finished: bool = False
    resumed_windows: int = 0

    @property
    def spoken(self) -> bool:
        """Whether it has at least as much speech as the shortest words."""
        return self.spoken_windows >= _MIN_SPOKEN_WINDOWS

    def resume(self) -> None:
        """End the pause."""
        self.confirmed = self.finished = False
        self.speculation_end_sample = self.question = self.turn_state = None
        self.resumed_windows = 0


class Segmenter:
    """Turns VAD results into utterances. Windows must come in order; each call returns the events that it caused."""

    def __init__(self, config: SegmenterConfig) -> None:
        self._config = config
        self._next_config = config  # from the next utterance on
        self._position = 0
        self._utterances = 0
        self._running: _RunningUtterance | None = None
        self._floor_sample = 0  # no utterance reaches back before it
        self._gap_end_sample = 0
        self._run_start_sample: int | None = None  # of the current run of probable speech
        self._tail_samples = 0  # from the floor on, speech that may still be the end of a wake word
        self._candidate: Candidate | None = None  # what may become the next utterance
        self._dropped_candidates = 0
        self._levels: list[float] = []  # RMS of the newest windows of the running utterance, while a cut may be near

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
        running = self._running
        if running is None or running.question is None or running.turn_state is not None:
            return False
        silence = self._position + WINDOW_SAMPLES - running.speech_end_sample
        return silence >= min(self._config.speculation_samples or silence, self._config.silence_samples)

    def answer(self, question: TurnQuestion, turn_state: TurnState) -> list[UtteranceEvent]:
        """Answer a question; without effect if its pause is over."""
        if self._running is None or self._running.question is not question:
            return []
        self._running.turn_state = turn_state
        return self._announce_finish(self._running)

    def give_up_question(self) -> None:
        """Go on without an answer to the newest question."""
        if self._running is not None and self._running.question is not None:
            self.answer(self._running.question, TurnState.UNKNOWN)

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
        if self._running is None:
            return self._wait_for_start(vad_result, start)
        self._running.evidence.add(vad_result.probability)
        return self._extend(self._running, vad_result.rms)

    def skip(self, samples: int) -> None:
        """Advance over a window in which no speech counts, as while waiting for a wake word; it can become pre-roll."""
        self._position += samples
        self._break_run()
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
        if self._running is None and candidate is not None and candidate.speech_windows >= _MIN_SPOKEN_WINDOWS:
            events.append(self._start(candidate, candidate.start_sample))
        if self._running is not None:
            events.append(self._end(self._running))
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
        return max(self._floor_sample, before_sample - self._config.preroll_samples - self._tail_samples)

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
        self._utterances += 1
        self._candidate = None
        self._levels.clear()
        start = self._preroll_start(candidate.start_sample)
        run = candidate.start_sample
        if self._run_start_sample is not None:  # after a wake word, the run began before the candidate
            run = min(run, self._run_start_sample)
        self._running = _RunningUtterance(
            start, trigger_sample, candidate.speech_end_sample, candidate.speech_windows, candidate.evidence
        )
        return UtteranceStarted(
            utterance=self._utterances,
            start_sample=start,
            trigger_sample=trigger_sample,
            speech_sample=max(run, start),
        )

    def _extend(self, running: _RunningUtterance, rms: float) -> list[UtteranceEvent]:
        events: list[UtteranceEvent] = []
        if self._run_start_sample is not None:
            running.speech_end_sample = self._position
            running.spoken_windows += 1
            running.resumed_windows += running.finished
            if running.confirmed and not 0 < running.resumed_windows < _MIN_SPOKEN_WINDOWS:
                running.resume()
                events.append(SpeechResumed(utterance=self._utterances))
        else:
            events += self._silence(running)
        if self._running is not None and self._config.max_length_samples:
            events += self._bound_length(running, rms)
        return events

    def _silence(self, running: _RunningUtterance) -> list[UtteranceEvent]:
        events: list[UtteranceEvent] = []
        silence = self._position - running.speech_end_sample
        old_enough = self._position - running.trigger_sample >= self._config.min_length_samples
        if not running.confirmed:
            if silence < samples_of(SILENCE_CONFIRMATION_S) or not old_enough:
                return events
            running.confirmed = True
            events.append(SilenceConfirmed(utterance=self._utterances))
        if self._speculation_is_due(running, silence):
            running.speculation_end_sample = self._position
            events.append(self._new_speculation(running))
        events += self._announce_finish(running)
        if silence >= self._config.silence_samples_of(running.turn_state):
            events.append(self._end(running))
        return events

    def _speculation_is_due(self, running: _RunningUtterance, silence: int) -> bool:
        """Whether a clip is to be transcribed ahead now: one for the question, and a later one unless that is final."""
        if not running.spoken:
            return False
        if self._config.question_samples and running.question is None:
            return silence >= self._config.question_samples
        was_question = running.question is not None and running.speculation_end_sample == running.question.end_sample
        if not self._config.speculation_samples or running.turn_state is TurnState.FINISHED:
            return False
        return silence >= self._config.speculation_samples and (was_question or running.speculation_end_sample is None)

    def _new_speculation(self, running: _RunningUtterance) -> SpeculationDue:
        start, end = running.start_sample, self._position
        if not self._config.question_samples or running.question is not None:
            return SpeculationDue(utterance=self._utterances, start_sample=start, end_sample=end)
        running.question = TurnQuestion(
            utterance=self._utterances,
            start_sample=start,
            end_sample=end,
            speech_end_sample=running.speech_end_sample,
        )
        return running.question

    def _announce_finish(self, running: _RunningUtterance) -> list[UtteranceEvent]:
        silence = self._position - running.speech_end_sample
        early = running.turn_state is not TurnState.FINISHED or silence < samples_of(EARLIEST_END_S)
        if early or running.finished or running.question is None:
            return []
        running.finished = True
        return [TurnFinished(utterance=self._utterances, question=running.question)]

    def _bound_length(self, running: _RunningUtterance, rms: float) -> list[UtteranceEvent]:
        """End an utterance at the maximum length."""
        left = self._config.max_length_samples - (self._position - running.trigger_sample)
        if left > min(_CUT_SEARCH_SAMPLES, self._config.max_length_samples // 2):
            return []
        self._levels.append(rms)
        if left > 0:
            return []
        # In a pause, the next speech needs a start of its own.
        return [self._end(running, forced=True)] if running.confirmed else self._cut(running)

    def _end(self, running: _RunningUtterance, *, forced: bool = False) -> UtteranceEnded:
        self._running = None
        clip_end = running.speculation_end_sample or self._position
        # Audio after the clip was not transcribed, so the next utterance's pre-roll may reach back to it.
        self._floor_sample = clip_end
        self._adopt_config()
        self._gap_end_sample = self._position + self._config.min_gap_samples
        return self._ended(running, clip_end, self._position, forced=forced)

    def _ended(self, running: _RunningUtterance, clip_end: int, end: int, *, forced: bool) -> UtteranceEnded:
        return UtteranceEnded(
            utterance=self._utterances,
            start_sample=running.start_sample,
            clip_end_sample=clip_end,
            trigger_sample=running.trigger_sample,
            speech_end_sample=min(running.speech_end_sample, clip_end),
            end_sample=end,
            spoken=running.spoken,
            doubtful=running.evidence.doubtful,
            forced=forced,
        )

    def _cut(self, running: _RunningUtterance) -> list[UtteranceEvent]:
        """End an utterance at the maximum length; continuing speech is the next one, without a gap or an overlap."""
        # The silence of the newest windows would leave a segment without speech.
        silent = (self._position - running.speech_end_sample) // WINDOW_SAMPLES
        place = quietest_window(self._levels[: max(1, len(self._levels) - silent)])
        cut = self._position - (len(self._levels) - place) * WINDOW_SAMPLES + WINDOW_SAMPLES // 2
        self._levels.clear()
        ended = replace(self._ended(running, cut, cut, forced=True), continued=True)
        self._utterances += 1
        # The rest of a cut utterance counts as spoken, however short it is: it is the end of a sentence.
        self._running = _RunningUtterance(cut, cut, running.speech_end_sample, _MIN_SPOKEN_WINDOWS, running.evidence)
        started = UtteranceStarted(utterance=self._utterances, start_sample=cut, trigger_sample=cut, speech_sample=cut)
        return [ended, started]
