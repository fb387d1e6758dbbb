"""How transcripts are written: text, JSON, SubRip and WebVTT. Pure: segments in, text out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from trio_stt.protocol.segment import Piece


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
    """

    file: str
    segment_id: int
    start: float
    end: float
    text: str
    pieces: tuple[Piece, ...] = ()


class _JsonSegment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    file: str
    segment_id: int
    start: float
    end: float
    text: str
    pieces: tuple[Piece, ...] = ()


def as_text(segments: Sequence[SpokenSegment]) -> str:
    """One line for each utterance."""
    return "".join(f"{segment.text}\n" for segment in segments)


def as_json(segments: Sequence[SpokenSegment]) -> str:
    """A JSON array with one object for each utterance: `file`, `segmentId`, `start`, `end`, `text`, maybe `pieces`."""
    rows = [_JsonSegment(s.file, s.segment_id, round(s.start, 3), round(s.end, 3), s.text, s.pieces) for s in segments]
    return msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n"


def as_srt(segments: Sequence[SpokenSegment]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    cues = (
        f"{number}\n{_clock(s.start, ',')} --> {_clock(s.end, ',')}\n{s.text}\n" for number, s in enumerate(segments, 1)
    )
    return "\n".join(cues)


def as_vtt(segments: Sequence[SpokenSegment]) -> str:
    """WebVTT; the text's markup characters are escaped, as W3C's WebVTT asks."""
    cues = (f"\n{_clock(s.start, '.')} --> {_clock(s.end, '.')}\n{_cue_text(s.text)}\n" for s in segments)
    return "WEBVTT\n" + "".join(cues)


FORMATS: Mapping[str, Callable[[Sequence[SpokenSegment]], str]] = {
    "text": as_text,
    "json": as_json,
    "srt": as_srt,
    "vtt": as_vtt,
}


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"


def _cue_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
