"""Transcripts of files: their segments, and how they are written as text and JSON; `subtitles` has the others. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.events import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenSegment:
    """One utterance of a file.

    Attributes:
        file: The file's name as it was given.
        segment_id: Its number in the file, from 1.
        start: Where its speech begins, in seconds from the start of the file.
        end: Where its speech ends, in seconds.
        text: Its words.
        pieces: When each was spoken, as far as the engine says.
        language: Code of its language, where the model detected it; else empty.
        channel: The channel that it was spoken on, from 1; None where channels are mixed.
    """

    file: str
    segment_id: int
    start: float
    end: float
    text: str
    pieces: tuple[Piece, ...] = ()
    language: str = ""
    channel: int | None = None


class _JsonSegment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    file: str
    segment_id: int
    start: float
    end: float
    text: str
    pieces: tuple[Piece, ...] = ()
    channel: int | None = None


def spoken_segment(name: str, final: Final) -> SpokenSegment:
    """The utterance of a final; `name` is that of the file."""
    segment = final.segment
    assert segment is not msgspec.UNSET  # noqa: S101 - every final of ours names its segment
    start_s, end_s = segment.audio_start_seconds, segment.audio_end_seconds
    assert isinstance(start_s, float)  # noqa: S101 - as above
    assert isinstance(end_s, float)  # noqa: S101 - as above
    return SpokenSegment(
        file=name,
        segment_id=final.segment_id,
        start=start_s,
        end=end_s,
        text=final.text,
        pieces=final.pieces or (),
        language=final.language or "",
    )


def speaker_prefix(segment: SpokenSegment) -> str:
    """What text formats write before an utterance: the speaker, if each has a channel."""
    return "" if segment.channel is None else f"Speaker {segment.channel}: "


def as_text(segments: Sequence[SpokenSegment]) -> str:
    """One line for each utterance."""
    return "".join(f"{speaker_prefix(segment)}{segment.text}\n" for segment in segments)


def as_json(segments: Sequence[SpokenSegment]) -> str:
    """A JSON array with an object for each utterance: `file`, `segmentId`, `start`, `end`, `text`.

    It has `pieces` if the engine gives times, and `channel` if each channel was transcribed on its own.
    """
    rows = [
        _JsonSegment(s.file, s.segment_id, round(s.start, 3), round(s.end, 3), s.text, s.pieces, s.channel)
        for s in segments
    ]
    return msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n"
