"""Running utterance: from its start to its end by silence, by the end of the client's audio or at the maximum length.

It decides window by window what the pause in which the utterance is causes. Where utterances begin is decided by the
segmenter.
"""

from dataclasses import dataclass

from trio_stt.dsp import WINDOW_SAMPLES, samples_of
from trio_stt.speech.endpointing import EARLIEST_END_S, TurnState
from trio_stt.speech.events import (
    SilenceConfirmed,
    SpeculationDue,
    SpeechResumed,
    TurnFinished,
    TurnQuestion,
    UtteranceEnded,
    UtteranceEvent,
    UtteranceStarted,
)
from trio_stt.speech.evidence import Evidence
from trio_stt.speech.quietest import quietest_window
from trio_stt.speech.segmenter_config import SILENCE_CONFIRMATION_S, SegmenterConfig

MIN_SPOKEN_WINDOWS = 3
"""The shortest words have 0.1 s of speech; a click or a breath has one or two windows."""
_CONFIRMED_SAMPLES = samples_of(SILENCE_CONFIRMATION_S)
_EARLIEST_END_SAMPLES = samples_of(EARLIEST_END_S)
_CUT_SEARCH_SAMPLES = samples_of(10.0)
"""Audio before the maximum length in which a forced cut is placed: readers pause every 2 to 5 s. A maximum length below
20 s leaves half of itself, so that no segment is short."""


@dataclass(slots=True)
class _Pause:
    """The pause in which an utterance is; while there is speech, one in which nothing happened yet.

    Attributes:
        confirmed: Whether it is long enough to count as silence.
        transcribed_to_sample: End of the clip that was last transcribed ahead.
        question: The question whether the talker is done.
        turn_state: Its answer.
        finished: Whether it was announced that the talker is done.
        resumed_windows: Speech since then: less than a word is no reason to go on.
    """

    confirmed: bool = False
    transcribed_to_sample: int | None = None
    question: TurnQuestion | None = None
    turn_state: TurnState | None = None
    finished: bool = False
    resumed_windows: int = 0


class RunningUtterance:
    """The utterance that is running. Positions are those after the newest window.

    Args:
        started: The event of its start.
        config: Settings, until it has ended.
        speech_end_sample: Position after the last window of speech.
        spoken_windows: Windows of speech so far.
        evidence: That it is speech.
    """

    def __init__(
        self,
        started: UtteranceStarted,
        config: SegmenterConfig,
        *,
        speech_end_sample: int,
        spoken_windows: int,
        evidence: Evidence,
    ) -> None:
        self.number = started.utterance
        self.start_sample = started.start_sample
        self.speech_end_sample = speech_end_sample
        self.evidence = evidence
        self._trigger_sample = started.trigger_sample
        self._config = config
        self._spoken_windows = spoken_windows
        self._pause = _Pause()
        self._levels: list[float] = []  # RMS of the newest windows, while a cut may be near

    @property
    def spoken(self) -> bool:
        """Whether it has at least as much speech as the shortest words."""
        return self._spoken_windows >= MIN_SPOKEN_WINDOWS

    def waits_for_answer(self, position: int) -> bool:
        """Whether what the next window causes may depend on the answer to the newest question."""
        if self._pause.question is None or self._pause.turn_state is not None:
            return False
        silence = position + WINDOW_SAMPLES - self.speech_end_sample
        return silence >= min(self._config.speculation_samples or silence, self._config.silence_samples)

    def answer(self, question: TurnQuestion | None, turn_state: TurnState, position: int) -> list[UtteranceEvent]:
        """Answer a question, None for the newest; without effect if its pause is over."""
        if self._pause.question is None or question not in (None, self._pause.question):
            return []
        self._pause.turn_state = turn_state
        return self._announce_finish(position)

    def extend(self, position: int, *, speech: bool, rms: float) -> list[UtteranceEvent]:
        """Process the next window, which ends at `position`. If the utterance ends, that is the last event.

        Args:
            position: Position after the window.
            speech: Whether it belongs to a run of speech.
            rms: Its level.
        """
        events = self._speech(position) if speech else self._silence(position)
        if not self._config.max_length_samples or (events and isinstance(events[-1], UtteranceEnded)):
            return events
        return events + self._bound_length(position, rms)

    def end(self, position: int, *, forced: bool = False) -> UtteranceEnded:
        """End it here; its clip ends where a clip was transcribed ahead in this pause."""
        return self._ended(self._pause.transcribed_to_sample or position, position, forced=forced)

    def _speech(self, position: int) -> list[UtteranceEvent]:
        self.speech_end_sample = position
        self._spoken_windows += 1
        self._pause.resumed_windows += self._pause.finished
        if not self._pause.confirmed or 0 < self._pause.resumed_windows < MIN_SPOKEN_WINDOWS:
            return []
        self._pause = _Pause()
        return [SpeechResumed(utterance=self.number)]

    def _silence(self, position: int) -> list[UtteranceEvent]:
        events: list[UtteranceEvent] = []
        silence = position - self.speech_end_sample
        if not self._pause.confirmed:
            is_old_enough = position - self._trigger_sample >= self._config.min_length_samples
            if silence < _CONFIRMED_SAMPLES or not is_old_enough:
                return events
            self._pause.confirmed = True
            events.append(SilenceConfirmed(utterance=self.number))
        if self._speculation_is_due(silence):
            events.append(self._speculate(position))
        events += self._announce_finish(position)
        if silence >= self._config.silence_samples_of(self._pause.turn_state):
            events.append(self.end(position))
        return events

    def _speculation_is_due(self, silence: int) -> bool:
        """Whether a clip is to be transcribed ahead now: one for the question, and a later one unless that is final."""
        pause, config = self._pause, self._config
        if not self.spoken:
            return False
        if config.question_samples and pause.question is None:
            return silence >= config.question_samples
        if not config.speculation_samples or pause.turn_state is TurnState.FINISHED:
            return False
        was_question = pause.question is not None and pause.transcribed_to_sample == pause.question.end_sample
        return silence >= config.speculation_samples and (was_question or pause.transcribed_to_sample is None)

    def _speculate(self, position: int) -> SpeculationDue:
        """Have the clip until here transcribed ahead, the first time in a pause with the question."""
        self._pause.transcribed_to_sample = position
        if not self._config.question_samples or self._pause.question is not None:
            return SpeculationDue(utterance=self.number, start_sample=self.start_sample, end_sample=position)
        self._pause.question = TurnQuestion(
            utterance=self.number,
            start_sample=self.start_sample,
            end_sample=position,
            speech_end_sample=self.speech_end_sample,
        )
        return self._pause.question

    def _announce_finish(self, position: int) -> list[UtteranceEvent]:
        pause = self._pause
        if not self._config.resumes:
            return []
        is_early = position - self.speech_end_sample < _EARLIEST_END_SAMPLES
        if pause.turn_state is not TurnState.FINISHED or is_early or pause.finished or pause.question is None:
            return []
        pause.finished = True
        return [TurnFinished(utterance=self.number, question=pause.question)]

    def _bound_length(self, position: int, rms: float) -> list[UtteranceEvent]:
        """End it at the maximum length: in a pause here, in speech at the quietest place before."""
        longest = self._config.max_length_samples
        left = longest - (position - self._trigger_sample)
        if left > min(_CUT_SEARCH_SAMPLES, longest // 2):
            return []
        self._levels.append(rms)
        if left > 0:
            return []
        if self._pause.confirmed:  # the next speech needs a start of its own
            return [self.end(position, forced=True)]
        # The silence of the newest windows would leave a segment without speech.
        silent = (position - self.speech_end_sample) // WINDOW_SAMPLES
        place = quietest_window(self._levels[: max(1, len(self._levels) - silent)])
        cut = position - (len(self._levels) - place) * WINDOW_SAMPLES + WINDOW_SAMPLES // 2
        return [self._ended(cut, cut, forced=True, continued=True)]

    def _ended(self, clip_end: int, end: int, *, forced: bool, continued: bool = False) -> UtteranceEnded:
        return UtteranceEnded(
            utterance=self.number,
            start_sample=self.start_sample,
            clip_end_sample=clip_end,
            trigger_sample=self._trigger_sample,
            speech_end_sample=min(self.speech_end_sample, clip_end),
            end_sample=end,
            spoken=self.spoken,
            doubtful=self.evidence.doubtful,
            forced=forced,
            continued=continued,
        )
