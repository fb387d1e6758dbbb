"""The route of `/api/subtitles`: writes the transcript of a client, such as the page's, as subtitles.

The page has no rules of its own for cues, so its files equal those of the command line and of uploads.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint, Response
from werkzeug.exceptions import BadRequest

from trio_stt.api.http import small_body
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.subtitles import as_srt, as_vtt, reading_time_s
from trio_stt.protocol.transcript_formats import SpokenSegment

MAX_BODY_BYTES = 4 * 2**20
"""Five hours of speech with the times of all words; without them, more than the characters below."""
MAX_TEXT_CHARACTERS = 500_000
"""Nine hours of speech. Writing takes a core 5 s in English, 16 s in Chinese, where each character may end a line."""
_MAX_SECONDS = 100 * 3600
"""Where the times of SubRip end."""

_Seconds = Annotated[float, Meta(ge=0, lt=_MAX_SECONDS)]


class SubtitleFormat(StrEnum):
    """How subtitles are written."""

    SRT = "srt"
    VTT = "vtt"


class SubtitleSegment(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One utterance of the transcript, on one time axis with its pieces.

    Attributes:
        text: Its words.
        start_seconds: Where its speech begins.
        end_seconds: Where it ends; without it, after the time that reading takes.
        pieces: When each word or phrase was spoken, as in `final`.
        channel: The channel that it was spoken on, from 1, where each channel has a speaker of its own.
    """

    text: str
    start_seconds: _Seconds
    end_seconds: _Seconds | UnsetType = UNSET
    pieces: tuple[Piece, ...] | UnsetType = UNSET
    channel: Annotated[int, Meta(ge=1, le=64)] | UnsetType = UNSET


class SubtitleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request."""

    format: SubtitleFormat
    segments: list[SubtitleSegment]


def subtitle_routes() -> Blueprint:
    """The route, which needs nothing of the server."""
    routes = Blueprint("subtitles", __name__)
    decoder = msgspec.json.Decoder(SubtitleRequest)
    limiter = trio.CapacityLimiter(1)  # writing is Python, so two at a time would only take more of the event loop

    @routes.post("/api/subtitles")
    async def subtitles() -> Response:
        body = await small_body(MAX_BODY_BYTES)
        try:
            request = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadRequest(f"the body is not a transcript: {error}") from None
        if sum(len(segment.text) for segment in request.segments) > MAX_TEXT_CHARACTERS:
            raise BadRequest(f"the texts have more than {MAX_TEXT_CHARACTERS:,} characters")
        text = await trio.to_thread.run_sync(_written, request, limiter=limiter)
        media_type = "text/vtt" if request.format is SubtitleFormat.VTT else "application/x-subrip"
        return Response(text, content_type=f"{media_type}; charset=utf-8")

    return routes


def _written(request: SubtitleRequest) -> str:
    write = as_vtt if request.format is SubtitleFormat.VTT else as_srt
    return write([_spoken(number, segment) for number, segment in enumerate(request.segments, start=1)])


def _spoken(number: int, segment: SubtitleSegment) -> SpokenSegment:
    start, end = segment.start_seconds, segment.end_seconds
    return SpokenSegment(
        file="",
        segment_id=number,
        start=start,
        end=start + reading_time_s(segment.text) if end is UNSET else max(start, end),
        text=segment.text,
        pieces=segment.pieces or (),
        channel=segment.channel or None,
    )
