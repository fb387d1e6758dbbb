"""Bodies and events for some utterances."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.api.openai.answers import TextDelta, TextDone, body, logprobs, sse
from trio_stt.api.openai.transcription_request import ResponseFormat, TranscriptionRequest
from trio_stt.api.request_error import RequestError
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.protocol.word_times import words_of

PIECES = (
    Piece(text="Good", start_seconds=1.0, end_seconds=1.4, confidence=0.5),
    Piece(text="day, Ada.", start_seconds=1.4, end_seconds=2.0, confidence=1.0),
)
SEGMENTS = [
    SpokenSegment(file="file", segment_id=1, start=1.0, end=2.0, text="Good day, Ada.", pieces=PIECES),
    SpokenSegment(file="file", segment_id=2, start=3.0, end=3.5, text="Is 1 < 2?"),
]


def answer(**request: object) -> tuple[str, str]:
    wanted = TranscriptionRequest(**request)  # type: ignore[arg-type] # as the test writes them
    content, content_type = body(wanted, SEGMENTS, duration_s=4.0, language="english")
    return content.decode(), content_type


def test_json() -> None:
    content, content_type = answer()
    assert json.loads(content) == {"text": "Good day, Ada. Is 1 < 2?", "usage": {"type": "duration", "seconds": 4.0}}
    assert content_type == "application/json"


@pytest.mark.parametrize(
    ("response_format", "content_type", "content"),
    [
        (ResponseFormat.TEXT, "text/plain; charset=utf-8", "Good day, Ada. Is 1 < 2?\n"),
        (
            ResponseFormat.SRT,
            "text/plain; charset=utf-8",
            "1\n00:00:01,000 --> 00:00:02,000\nGood day, Ada.\n\n2\n00:00:03,000 --> 00:00:03,800\nIs 1 < 2?\n",
        ),
        (
            ResponseFormat.VTT,
            "text/vtt; charset=utf-8",
            (
                "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\nGood day, Ada.\n\n"
                "2\n00:00:03.000 --> 00:00:03.800\nIs 1 &lt; 2?\n"
            ),
        ),
    ],
)
def test_text_formats(response_format: ResponseFormat, content_type: str, content: str) -> None:
    assert answer(response_format=response_format) == (content, content_type)


def test_verbose_json() -> None:
    content = json.loads(answer(response_format=ResponseFormat.VERBOSE_JSON, with_words=True)[0])
    assert {name: content[name] for name in ("task", "language", "duration", "text")} == {
        "task": "transcribe",
        "language": "english",
        "duration": 4.0,
        "text": "Good day, Ada. Is 1 < 2?",
    }
    assert content["words"][:2] == [
        {"word": "Good", "start": 1.0, "end": 1.4},
        {"word": "day,", "start": 1.4, "end": 1.7},
    ]
    assert content["words"][-1] == {"word": "2?", "start": 3.35, "end": 3.5}
    first, second = content["segments"]
    assert (first["id"], first["seek"], first["text"]) == (0, 100, " Good day, Ada.")
    assert first["avg_logprob"] == pytest.approx(math.log(0.5) / 3)
    assert (second["avg_logprob"], second["no_speech_prob"], second["tokens"]) == (0.0, 0.0, [])
    assert len(first) == 10


def test_verbose_json_with_words_only_has_no_segments() -> None:
    content = json.loads(answer(response_format=ResponseFormat.VERBOSE_JSON, with_words=True, with_segments=False)[0])
    assert "segments" not in content


def test_logprobs_joined_are_the_text() -> None:
    found = logprobs(SEGMENTS[:1])
    assert found is not None
    assert "".join(each.token for each in found) == "Good day, Ada."
    assert bytes(found[1].bytes).decode() == " day,"
    assert found[0].logprob == pytest.approx(math.log(0.5))


def test_engine_without_confidences_has_no_logprobs() -> None:
    assert logprobs(SEGMENTS) is None
    assert "logprobs" not in answer(with_logprobs=True)[0]


def test_events_are_one_line_of_data() -> None:
    assert sse(TextDelta(delta=" a")) == b'data: {"type":"transcript.text.delta","delta":" a"}\n\n'
    assert sse(TextDone(text="a\nb")) == b'data: {"type":"transcript.text.done","text":"a\\nb"}\n\n'


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (429, "rate_limit_error"), (503, "server_error")],
)
def test_error_has_four_fields(status: int, kind: str) -> None:
    content = json.loads(sse(RequestError(status, "why", param="file").body).removeprefix(b"data: "))
    assert content == {"error": {"message": "why", "type": kind, "param": "file", "code": None}}


@given(
    words=st.lists(st.text("abc", min_size=1), min_size=1),
    start=st.floats(0, 100),
    length_s=st.floats(0, 100),
)
def test_words_without_times_share_the_utterance(words: list[str], start: float, length_s: float) -> None:
    segment = SpokenSegment(file="", segment_id=1, start=start, end=start + length_s, text=" ".join(words))
    spread = words_of(segment)
    assert [word.text for word in spread] == words
    times = [time for word in spread for time in (word.start, word.end)]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (segment.start, pytest.approx(segment.end))


@given(st.lists(st.tuples(st.floats(-5, 10), st.floats(-5, 10)), max_size=5))
def test_times_of_pieces_stay_within_the_utterance(times: list[tuple[float, float]]) -> None:
    pieces = tuple(Piece(text="a b", start_seconds=start, end_seconds=end) for start, end in times)
    segment = SpokenSegment(file="", segment_id=1, start=1.0, end=2.0, text="a b " * len(times), pieces=pieces)
    assert all(1.0 <= word.start <= word.end <= 2.0 + 1e-9 for word in words_of(segment))
