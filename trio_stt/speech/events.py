"""Events of a speech pipeline: frozen data. Positions are samples at 16 kHz, counted from the stream's first one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceEvent:
    """Something about one utterance.

    Attributes:
        utterance: Its number, counted from 1 in the stream and never repeated; it is not the wire's segment id.
    """

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceStarted(UtteranceEvent):
    """An utterance began.

    Attributes:
        start_sample: First sample of its audio, pre-roll included.
        trigger_sample: Where speech was detected; the pre-roll lies between the two.
        speech_sample: Start of the run of speech that led to the detection, as far as it is known.
    """

    start_sample: int
    trigger_sample: int
    speech_sample: int


class SilenceConfirmed(UtteranceEvent):
    """Speech has paused long enough to count as silence; no partials are due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationDue(UtteranceEvent):
    """The silence is long enough for a speculative final of what may be the whole utterance.

    Attributes:
        start_sample: First sample of the clip.
        end_sample: Position after its last sample. If the utterance ends with this silence, its clip ends here too, so
            that the speculative final is the final.
    """

    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnQuestion(SpeculationDue):
    """The same, after a shorter silence, with the question whether the talker is done.

    Attributes:
        speech_end_sample: Position after the last window of speech.
    """

    speech_end_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished(UtteranceEvent):
    """The talker is done: the final of the question's clip may be published. Speech may still resume the utterance.

    Attributes:
        question: The question that was answered so.
    """

    question: TurnQuestion


class SpeechResumed(UtteranceEvent):
    """Speech continues after a confirmed silence; a speculative final is void, and `TurnFinished` is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceEnded(UtteranceEvent):
    """The utterance is complete.

    Attributes:
        start_sample: First sample of the clip to transcribe.
        clip_end_sample: Position after the clip's last sample.
        trigger_sample: Where speech was detected.
        speech_end_sample: Position after the last window of speech.
        end_sample: Position at which the utterance ended.
        spoken: Whether it has at least as much speech as the shortest words. Engines hallucinate words for less, such
            as a click.
        doubtful: Whether it may be no speech at all: a phrase that engines invent for noise is not believed.
        forced: Whether it ended at the maximum length.
        continued: Whether the next utterance, which begins here, continues it: it was cut within speech.
    """

    start_sample: int
    clip_end_sample: int
    trigger_sample: int
    speech_end_sample: int
    end_sample: int
    spoken: bool = True
    doubtful: bool = False
    forced: bool = False
    continued: bool = False


class UtteranceAborted(UtteranceEvent):
    """The running utterance was discarded by `clear`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeEvent:
    """The wake mode changed.

    Attributes:
        position_sample: Where; for a detection, the position after its window.
    """

    position_sample: int


class WakeWaitStarted(WakeEvent):
    """From here on no utterance starts until a wake word is detected."""


class WakeWaitEnded(WakeEvent):
    """The wait ended: a wake word was detected, or the client stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWordDetected(WakeEvent):
    """A wake word, of this label, was detected: the next speech starts an utterance."""

    word: str


class WakeWordTimedOut(WakeEvent):
    """No speech came in time after a wake word, or in the activation delay. A wait always follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowupStarted(WakeEvent):
    """A follow-up window of this length began: after an utterance, the next one needs no wake word for a while."""

    duration_samples: int


class FollowupExpired(WakeEvent):
    """No speech came in the follow-up window. A wait always follows."""


SpeechEvent = UtteranceEvent | WakeEvent
