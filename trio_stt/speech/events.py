"""What the listener says about a stream. Positions are samples at 16 kHz from the stream's first one.

Frozen data only. `utterance` counts recordings of the stream from 1 and never repeats; it is not the wire's segment id.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceStarted:
    """Somebody speaks.

    Attributes:
        utterance: Its number.
        start_sample: First sample of the recording, pre-roll included.
        trigger_sample: Where speech was detected; the pre-roll lies between the two.
        speech_sample: Where the run of speech that led to the detection began, as far as it is known.
    """

    utterance: int
    start_sample: int
    trigger_sample: int
    speech_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceConfirmed:
    """Speech has paused for long enough to call it silence; partials rest."""

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationDue:
    """The silence is long enough to transcribe ahead what may be the whole utterance.

    Attributes:
        utterance: Its number.
        start_sample: First sample of the clip.
        end_sample: Position after its last sample. Silence of this stretch that follows is not part of the clip, so
            that a clip transcribed ahead is the clip that would be transcribed at the end.
    """

    utterance: int
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResumed:
    """Speech goes on after a confirmed silence: anything transcribed ahead is void."""

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
        end_sample: Position at which the recording ended.
        spoken: Whether it has as much speech as the shortest words; a click has less, and engines invent words for it.
        forced: Cut at the maximum length.
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
    """The running utterance was thrown away by `clear`."""

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWaitStarted:
    """From here on nothing is recorded until a wake word is heard."""

    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWaitEnded:
    """The wait is over: its word was heard, or the client stopped."""

    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWordDetected:
    """A wake word was heard: whoever speaks now is recorded.

    Attributes:
        word: Its label.
        position_sample: Position after the last sample that it took to hear it.
    """

    word: str
    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWordTimedOut:
    """Nobody spoke in time after a wake word, or in the delay in which none is needed. A wait always follows."""

    position_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowupStarted:
    """An utterance ended; for a while another one needs no wake word.

    Attributes:
        position_sample: Where that time begins.
        duration_samples: How long it lasts.
    """

    position_sample: int
    duration_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowupExpired:
    """Nobody spoke in the time after an utterance. A wait always follows."""

    position_sample: int


UtteranceEvent = (
    UtteranceStarted | SilenceConfirmed | SpeculationDue | SpeechResumed | UtteranceEnded | UtteranceAborted
)
WakeEvent = WakeWaitStarted | WakeWaitEnded | WakeWordDetected | WakeWordTimedOut | FollowupStarted | FollowupExpired
SpeechEvent = UtteranceEvent | WakeEvent
