"""How transcripts are written: text, JSON, SubRip and WebVTT. Pure: segments in, text out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import msgspec
import pysubs2

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
        language: Code of its language, where the model detected it; else empty.
    """

    file: str
    segment_id: int
    start: float
    end: float
    text: str
    pieces: tuple[Piece, ...] = ()
    language: str = ""


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
    """SubRip."""
    return _subtitles(segments, "srt") if segments else ""


def as_vtt(segments: Sequence[SpokenSegment]) -> str:
    """WebVTT. Markup characters in the text are escaped, as the W3C's WebVTT requires."""
    return _subtitles([replace(segment, text=escape(segment.text, quote=False)) for segment in segments], "vtt")


FORMATS: Mapping[str, Callable[[Sequence[SpokenSegment]], str]] = {
    "text": as_text,
    "json": as_json,
    "srt": as_srt,
    "vtt": as_vtt,
}


def _subtitles(segments: Sequence[SpokenSegment], format_name: str) -> str:
    subtitles = pysubs2.SSAFile()
    for segment in segments:
        cue = pysubs2.SSAEvent(start=round(segment.start * 1000), end=round(segment.end * 1000))
        cue.plaintext = segment.text
        subtitles.append(cue)
    # Without keep_ssa_tags, the writer takes braces in the text for markup and drops what they hold.
    return subtitles.to_string(format_name, keep_ssa_tags=True).rstrip("\n") + "\n"
