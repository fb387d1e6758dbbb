"""One accepted utterance: its number on the wire, its times, its stable text, its partial cadence.

Data only; `Utterances` decides when an utterance starts and ends.
"""

from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.base import Hints, StreamKey
from trio_stt.protocol.event_objects import PreRecordingBuffer, Segment, WakeWord, iso
from trio_stt.settings import Settings
from trio_stt.speech.cadence import CadenceConfig, PartialCadence
from trio_stt.speech.events import TurnQuestion, UtteranceEnded, UtteranceStarted
from trio_stt.speech.stabilizer import Stabilizer
from trio_stt.speech.stitching import Stitcher

END_REASON = "recording_stop"
"""The only `endReason` there is: docs/protocol.md, The segment object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceHints:
    """How one utterance is transcribed.

    Attributes:
        final: For its final.
        partial: For its partials.
        interim: Whether it has partials.
    """

    final: Hints
    partial: Hints
    interim: bool = True


@dataclass(slots=True, eq=False)
class ActiveUtterance:
    """An accepted utterance, from its start until its final is published.

    Attributes:
        number: The segmenter's number; `recordingId` on the wire. Refused utterances have numbers, too.
        segment: Its segment on the wire; replaced when more is known.
        start_sample: First sample, pre-roll included.
        trigger_sample: Where speech was detected.
        started_at: When speech was detected, in seconds since the epoch.
        spoken_until: When speech ended, likewise; 0 while it lasts.
        cadence: When its next partial is due.
        stabilizer: Its stable text.
        running: Whether audio is still added to it; partials stop when it ends. After a final in a pause, it may go on.
        silent: Whether a confirmed silence lasts; no partials are made meanwhile.
        shown: Whether a partial was published.
        early_text: Text of the final that was published in a pause; empty without one.
        spoken: Whether it has at least as much speech as the shortest words; engines invent text for less.
        doubtful: Whether it may be no speech at all; a phrase that engines invent for noise is not published.
        hints: How it is transcribed.
        stream_key: Identifies it in streaming engines.
        stitcher: Joins partials of its newest audio to the text before.
    """

    number: int
    segment: Segment
    start_sample: int
    trigger_sample: int
    started_at: float
    cadence: PartialCadence
    stabilizer: Stabilizer
    hints: UtteranceHints
    spoken_until: float = 0.0
    running: bool = True
    silent: bool = False
    shown: bool = False
    early_text: str = ""
    spoken: bool = False
    doubtful: bool = False
    stream_key: StreamKey = field(default_factory=StreamKey)
    stitcher: Stitcher = field(default_factory=Stitcher)

    @property
    def segment_id(self) -> int:
        """Its number on the wire."""
        return self.segment.segment_id

    def finish(self, ended: UtteranceEnded | TurnQuestion) -> None:
        """Record the end. The end time is the start time plus the audio's length, however fast the audio came."""
        self.running = False
        duration_s = (ended.end_sample - self.trigger_sample) / SAMPLE_RATE_HZ
        ended_at = self.started_at + duration_s
        self.spoken_until = self.started_at + (ended.speech_end_sample - self.trigger_sample) / SAMPLE_RATE_HZ
        self.segment = msgspec.structs.replace(
            self.segment,
            recording_ended_at=ended_at,
            recording_ended_at_iso=iso(ended_at),
            duration_seconds=duration_s,
            end_reason=END_REASON,
            audio_end_seconds=ended.speech_end_sample / SAMPLE_RATE_HZ,
            cut=(isinstance(ended, UtteranceEnded) and ended.continued) or UNSET,
        )

    def resume(self) -> None:
        """Take back the end: speech goes on."""
        self.running, self.silent = True, False
        self.segment = msgspec.structs.replace(
            self.segment,
            recording_ended_at=UNSET,
            recording_ended_at_iso=UNSET,
            duration_seconds=UNSET,
            end_reason=UNSET,
            audio_end_seconds=UNSET,
        )


def open_utterance(
    started: UtteranceStarted,
    *,
    segment_id: int,
    started_at: float,
    wake_word: WakeWord | UnsetType,
    settings: Settings,
    streamed: bool,
    hints: UtteranceHints,
) -> ActiveUtterance:
    """The utterance that `started` announces.

    Args:
        started: The segmenter's event.
        segment_id: Its number on the wire.
        started_at: When speech was detected, in seconds since the epoch.
        wake_word: The wake word that opened it.
        settings: The session's settings.
        streamed: Whether its partials come from a streaming engine.
        hints: How it is transcribed.
    """
    included_s = (started.trigger_sample - started.start_sample) / SAMPLE_RATE_HZ
    preroll = PreRecordingBuffer(
        configured_seconds=settings.pre_recording_buffer_duration,
        included_seconds=included_s,
        start_timestamp=started_at - included_s,
        start_timestamp_iso=iso(started_at - included_s),
        end_timestamp=started_at,
        end_timestamp_iso=iso(started_at),
    )
    segment = Segment(
        segment_id=segment_id,
        recording_started_at=started_at,
        recording_started_at_iso=iso(started_at),
        pre_recording_buffer=preroll,
        wake_word=wake_word,
        audio_start_seconds=started.speech_sample / SAMPLE_RATE_HZ,
    )
    cadence = PartialCadence(
        CadenceConfig.from_settings(settings, streamed=streamed),
        start_sample=started.start_sample,
        trigger_sample=started.trigger_sample,
        speech_sample=started.speech_sample,
    )
    return ActiveUtterance(
        number=started.utterance,
        segment=segment,
        start_sample=started.start_sample,
        trigger_sample=started.trigger_sample,
        started_at=started_at,
        cadence=cadence,
        stabilizer=Stabilizer(),
        hints=hints,
    )
