"""`POST /api/subtitles`: the writer of the command line for the page, and what it refuses."""

import json
from typing import Any

import msgspec
import pytest
from quart_trio import QuartTrio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from trio_stt.access.middleware import needed_scope
from trio_stt.api.subtitles import MAX_BODY_BYTES, MAX_TEXT_CHARACTERS
from trio_stt.api.web_app import build_app
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.subtitles import as_srt, as_vtt
from trio_stt.protocol.transcript_formats import SpokenSegment

TEXT = "It was the best of times, it was the worst of times, the age of --> \u05e9\u05dc\u05d5\u05dd <b>."
WORDS = tuple(Piece(text=word, start_seconds=at / 2, end_seconds=at / 2 + 0.4) for at, word in enumerate(TEXT.split()))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> QuartTrio:
    return build_app(composed(monkeypatch, FakeEngine()))


async def post(app: QuartTrio, body: object) -> tuple[int, str, str]:
    """Status, media type and text of the answer."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    answer = await app.test_client().post("/api/subtitles", data=data, headers={"host": "localhost"})
    return answer.status_code, answer.content_type, (await answer.get_data()).decode()


async def test_it_writes_what_the_command_line_writes(app: QuartTrio) -> None:
    spoken = [
        SpokenSegment(file="", segment_id=1, start=0.0, end=13.0, text=TEXT, pieces=WORDS),
        SpokenSegment(file="", segment_id=2, start=20.0, end=21.0, text="Yes.", channel=2),
    ]
    segments: list[dict[str, Any]] = [
        {"text": TEXT, "startSeconds": 0, "endSeconds": 13, "pieces": msgspec.to_builtins(WORDS)},
        {"text": "Yes.", "startSeconds": 20, "endSeconds": 21, "channel": 2},
    ]
    srt = await post(app, {"format": "srt", "segments": segments})
    assert srt == (200, "application/x-subrip; charset=utf-8", as_srt(spoken))
    vtt = await post(app, {"format": "vtt", "segments": segments})
    assert vtt == (200, "text/vtt; charset=utf-8", as_vtt(spoken))
    assert "Speaker 2: Yes." in srt[2]


async def test_a_text_of_unknown_length_is_shown_as_long_as_reading_takes(app: QuartTrio) -> None:
    segment = {"text": "The server knows the beginning of this sentence.", "startSeconds": 3600}
    _, _, text = await post(app, {"format": "srt", "segments": [segment]})
    assert text.splitlines()[1] == "01:00:00,000 --> 01:00:02,400"


async def test_nothing_gives_an_empty_file(app: QuartTrio) -> None:
    assert (await post(app, {"format": "srt", "segments": []}))[::2] == (200, "")
    assert (await post(app, {"format": "vtt", "segments": []}))[::2] == (200, "WEBVTT\n")


@pytest.mark.parametrize(
    ("segment", "fault"),
    [
        ({"text": 7, "startSeconds": 0}, "$.segments[0].text"),
        ({"text": "no start"}, "startSeconds"),
        ({"text": "", "startSeconds": -1}, "$.segments[0].startSeconds"),
        ({"text": "", "startSeconds": 1e300}, "$.segments[0].startSeconds"),
        ({"text": "", "startSeconds": 0, "channel": 0}, "$.segments[0].channel"),
        ({"text": "", "startSeconds": 0, "pieces": [{"text": ""}]}, "$.segments[0].pieces[0]"),
        ({"text": "x" * (MAX_TEXT_CHARACTERS + 1), "startSeconds": 0}, "500,000 characters"),
    ],
)
async def test_what_is_no_transcript_gets_400_with_the_field(
    app: QuartTrio, segment: dict[str, object], fault: str
) -> None:
    status, _, text = await post(app, {"format": "srt", "segments": [segment]})
    assert status == 400
    assert fault in json.loads(text)["detail"]


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff", b"null", b'{"format":"ass","segments":[]}'])
async def test_a_body_of_another_form_gets_400(app: QuartTrio, body: bytes) -> None:
    assert (await post(app, body))[0] == 400


async def test_times_that_run_backwards_give_valid_cues(app: QuartTrio) -> None:
    segments = [{"text": "Late.", "startSeconds": 9, "endSeconds": 1}, {"text": "Early.", "startSeconds": 0}]
    status, _, text = await post(app, {"format": "srt", "segments": segments})
    assert status == 200
    assert text.index("Early.") < text.index("Late.")


async def test_pieces_without_words_and_very_many_pieces_do_no_harm(app: QuartTrio) -> None:
    blank = {"text": "Spoken words.", "startSeconds": 0, "pieces": [{"text": " ", "startSeconds": 0, "endSeconds": 1}]}
    status, _, text = await post(app, {"format": "srt", "segments": [blank]})
    assert (status, text.splitlines()[2]) == (200, "Spoken words.")
    letters = [{"text": "a", "startSeconds": at, "endSeconds": at + 1} for at in range(20_000)]
    many = {"text": "a " * 20_001, "startSeconds": 0, "endSeconds": 20_000, "pieces": letters}
    assert (await post(app, {"format": "srt", "segments": [many]}))[0] == 200  # compared, they would take a minute


async def test_a_body_above_the_limit_gets_413(app: QuartTrio) -> None:
    assert (await post(app, b" " * (MAX_BODY_BYTES + 1)))[0] == 413


def test_it_needs_a_key_for_talking() -> None:
    assert needed_scope("POST", "/api/subtitles") == "talk"
