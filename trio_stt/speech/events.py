"""Events of a speech pipeline. Positions are samples at 16 kHz, counted from the stream's first one.

Frozen data only. `utterance` numbers the utterances of a stream from 1 and never repeats; it is not the wire's segment
id.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceStarted:
    """An utterance began.

    Attributes:
        utterance: Its number.
        start_sample: First sample of its audio, pre-roll included.
        trigger_sample: Where speech was detected; the pre-roll lies between the two.
        speech_sample: Start of the run of speech that led to the detection, as far as it is known.
    """

    utterance: int
    start_sample: int
    trigger_sample: int
    speech_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceConfirmed:
    """Speech has paused long enough to count as silence; no partials are due."""

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationDue:
    """The silence is long enough for a speculative final of what may be the whole utterance.

    Attributes:
        utterance: Its number.
        start_sample: First sample of the clip.
        end_sample: Position after its last sample. If the utterance ends with this silence, its clip ends here too, so
            that the speculative final is the final.
    """

    utterance: int
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResumed:
    """Speech continues after a confirmed silence; a speculative final is void."""

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceEnded:
    """The utterance is complete.

    Attributes:
        utterance: Its number.
        start_sample: First sample of the clip to transcribe.
        clip_end_sample: Position after the clip's last sample.
        trigger_sample: Where speech was detected.
        speech_end_sample: Position after the last window of speech.
        end_sample: Position at which the utterance ended.
        spoken: Whether it has at least as much speech as the shortest words. Engines hallucinate words for less, such
            as a click.
        forced: Whether it was cut at the maximum length.
    """

    utterance: int
    start_sample: int
    clip_end_sample: int
    trigger_sample: int
    speech_end_sample: int
    end_sample: int
    spoken: bool = True
    forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceAborted:
    """The running utterance was discarded by `clear`."""

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWaitStarted:
    """From here on no utterance starts until a wake word is detected."""

    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWaitEnded:
    """The wait ended: a wake word was detected, or the client stopped."""

    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWordDetected:
    """A wake word was detected: the next speech starts an utterance.

    Attributes:
        word: Its label.
        position_sample: Position after the window in which it was detected.
    """

    word: str
    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWordTimedOut:
    """No speech came in time after a wake word, or in the activation delay. A wait always follows."""

    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowupStarted:
    """A follow-up window began: after an utterance, the next one needs no wake word for a while.

    Attributes:
        position_sample: Where the window begins.
        duration_samples: Its length.
    """

    position_sample: int
    duration_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowupExpired:
    """No speech came in the follow-up window. A wait always follows."""

    position_sample: int


UtteranceEvent = (
    UtteranceStarted | SilenceConfirmed | SpeculationDue | SpeechResumed | UtteranceEnded | UtteranceAborted
)
WakeEvent = WakeWaitStarted | WakeWaitEnded | WakeWordDetected | WakeWordTimedOut | FollowupStarted | FollowupExpired
SpeechEvent = UtteranceEvent | WakeEvent
