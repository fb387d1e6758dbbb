"""One utterance as its session and client see it: its number on the wire, its times, its stable text.

It owns that bookkeeping; it must not publish, transcribe or decide where an utterance ends.
"""

from dataclasses import dataclass, field

import msgspec
from msgspec import UnsetType

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.base import StreamKey
from trio_stt.protocol.segment import PreRecordingBuffer, Segment, WakeWord, iso
from trio_stt.settings import Settings
from trio_stt.speech.cadence import CadenceConfig, PartialCadence
from trio_stt.speech.events import UtteranceEnded, UtteranceStarted
from trio_stt.speech.stabilizer import Stabilizer
from trio_stt.speech.stitching import Stitcher

END_REASON = "recording_stop"  # the only value there is: docs/protocol.md, The segment object


@dataclass(slots=True, eq=False)
class ActiveUtterance:
    """An accepted utterance, from its start until its final is out.

    Attributes:
        utterance: The segmenter's number; `recordingId` on the wire.
        segment: What the wire says of it; replaced when more is known.
        start_sample: First sample, pre-roll included.
        trigger_sample: Where speech was detected.
        started_at: When that was, seconds since the epoch.
        cadence: When its next partial is due.
        stabilizer: Its stable text.
        running: Whether it is still being recorded; partials stop with it.
        silent: Whether a confirmed silence lasts; partials rest.
        spoken: Whether it has as much speech as the shortest words; before, what an engine returns is invented.
        heard: Stands for it in the streams of engines that hear it as it grows.
        stitcher: Joins partials of its newest audio to the text before.
    """

    utterance: int
    segment: Segment
    start_sample: int
    trigger_sample: int
    started_at: float
    cadence: PartialCadence
    stabilizer: Stabilizer
    running: bool = True
    silent: bool = False
    spoken: bool = False
    heard: StreamKey = field(default_factory=StreamKey)
    stitcher: Stitcher = field(default_factory=Stitcher)

    @property
    def segment_id(self) -> int:
        """Its number on the wire."""
        return self.segment.segment_id


def open_utterance(
    started: UtteranceStarted,
    *,
    segment_id: int,
    started_at: float,
    wake_word: WakeWord | UnsetType,
    settings: Settings,
    streamed: bool,
) -> ActiveUtterance:
    """Begin the books of an utterance that was detected at the wall-clock time `started_at`.

    Args:
        started: The utterance.
        segment_id: Its number on the wire.
        started_at: Seconds since the epoch.
        wake_word: The word that opened it.
        settings: Of the session.
        streamed: Whether its partials come from an engine that hears it as it grows.
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
        CadenceConfig.of(settings, streamed=streamed),
        start_sample=started.start_sample,
        trigger_sample=started.trigger_sample,
        speech_sample=started.speech_sample,
    )
    return ActiveUtterance(
        utterance=started.utterance,
        segment=segment,
        start_sample=started.start_sample,
        trigger_sample=started.trigger_sample,
        started_at=started_at,
        cadence=cadence,
        stabilizer=Stabilizer(),
    )


def finish_utterance(recording: ActiveUtterance, ended: UtteranceEnded) -> None:
    """Complete the books of an utterance that ended. Its end is its start plus its duration, however fast it came."""
    recording.running = False
    duration_s = (ended.end_sample - ended.trigger_sample) / SAMPLE_RATE_HZ
    ended_at = recording.started_at + duration_s
    recording.segment = msgspec.structs.replace(
        recording.segment,
        recording_ended_at=ended_at,
        recording_ended_at_iso=iso(ended_at),
        duration_seconds=duration_s,
        end_reason=END_REASON,
        audio_end_seconds=ended.speech_end_sample / SAMPLE_RATE_HZ,
    )
