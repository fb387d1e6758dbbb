"""Frames of the client, one by one: what the session gets, what the client reads, and that nothing raises."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.realtime import MANUAL, append, new_dialect
from trio_stt.api.dialect import ClientAudio, Close, Frame, Step
from trio_stt.api.openai_realtime.dialect import RealtimeDialect
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.protocol.commands import Flush, Start
from trio_stt.protocol.event_objects import Piece, PreRecordingBuffer, Segment, Where
from trio_stt.protocol.events import Clear, Error, Final, Flushed, Timeline
from trio_stt.protocol.packets import SampleFormat
from trio_stt.session.connection import MARKED, Detection, Discard, Mark
from trio_stt.settings import Settings

SETTINGS = Settings()


def dialect(**options: Any) -> RealtimeDialect:
    return new_dialect(SETTINGS, **options)


def send(target: RealtimeDialect, event: object) -> Step:
    return target.receive(json.dumps(event))


def read(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in frames]


def error_of(step: Step) -> dict[str, Any]:
    (event,) = read(step.frames)
    assert event["type"] == "error"
    assert set(event["error"]) == {"type", "code", "message", "param", "event_id"}
    assert not step.to_session
    assert step.close is None
    error: dict[str, Any] = event["error"]
    return error


@pytest.mark.parametrize(
    ("options", "kind", "shape"),
    [
        ({}, "session.created", "audio"),
        ({"intent": False}, "session.created", "audio"),
        ({"beta": True}, "transcription_session.created", "input_audio_format"),
        ({"beta": True, "intent": False}, "session.created", "input_audio_format"),
    ],
)
def test_first_event(options: dict[str, bool], kind: str, shape: str) -> None:
    (created,) = read(dialect(**options).begin())
    assert created["type"] == kind
    assert shape in created["session"]
    assert created["session"]["expires_at"] > 1_900_000_000


@pytest.mark.parametrize(
    ("options", "event", "kind", "shape"),
    [
        ({}, {"type": "session.update", "session": MANUAL}, "session.updated", "audio"),
        ({}, {"type": "session.update", "session": {}}, "session.updated", "audio"),
        ({"beta": True}, {"type": "session.update", "session": {}}, "session.updated", "input_audio_format"),
        (
            {"beta": True},
            {"type": "session.update", "session": {"modalities": ["text"], "include": []}},
            "session.updated",
            "input_audio_format",
        ),
        ({"beta": True}, {"type": "session.update", "session": MANUAL}, "session.updated", "audio"),
        ({}, {"type": "session.update", "session": {"turn_detection": None}}, "session.updated", "turn_detection"),
        (
            {},
            {"type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}},
            "transcription_session.updated",
            "input_audio_format",
        ),
    ],
)
def test_update_is_answered_in_its_own_shape(
    options: dict[str, bool], event: dict[str, Any], kind: str, shape: str
) -> None:
    (updated,) = read(send(dialect(**options), event).frames)
    assert updated["type"] == kind
    assert shape in updated["session"]


def test_update_changes_the_session_only_where_it_differs() -> None:
    target = dialect()
    vad = {"type": "server_vad", "silence_duration_ms": 300}
    first = {"audio": {"input": {"transcription": {"language": "en", "prompt": "x"}, "turn_detection": vad}}}
    detection, start = send(target, {"type": "session.update", "session": first}).to_session
    assert isinstance(detection, Detection)
    assert detection.settings.post_speech_silence_duration == 0.3
    assert start == Start(language="en", prompt="x")
    assert not send(target, {"type": "session.update", "session": first}).to_session


class TestAppend:
    @pytest.mark.parametrize(
        ("format_", "coding", "rate_hz"),
        [
            ({"type": "audio/pcm"}, SampleFormat.PCM_S16LE, 24_000),
            ({"type": "audio/pcm", "rate": 48_000}, SampleFormat.PCM_S16LE, 48_000),
            ({"type": "audio/pcmu"}, SampleFormat.MULAW, 8_000),
            ({"type": "audio/pcma"}, SampleFormat.ALAW, 8_000),
        ],
    )
    def test_audio_has_the_format_of_the_session(
        self, format_: dict[str, object], coding: SampleFormat, rate_hz: int
    ) -> None:
        target = dialect()
        send(target, {"type": "session.update", "session": {"audio": {"input": {"format": format_}}}})
        step = send(target, append(7, 0.01))
        (audio,) = step.to_session
        assert audio == ClientAudio(base64.b64decode(append(7, 0.01)["audio"]), rate_hz, format=coding)
        assert step.is_audio
        assert not step.frames

    def test_half_samples_are_joined(self) -> None:
        target, data = dialect(), bytes(range(100))
        received = b""
        for start in range(0, 100, 7):
            text = base64.b64encode(data[start : start + 7]).decode()
            for audio in send(target, {"type": "input_audio_buffer.append", "audio": text}).to_session:
                assert isinstance(audio, ClientAudio)
                assert len(audio.data) % 2 == 0
                received += audio.data
        assert received == data

    def test_sample_may_be_split_by_a_commit_but_not_by_a_clear(self) -> None:
        def sent(data: bytes) -> list[bytes]:
            event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}
            return [item.data for item in send(target, event).to_session if isinstance(item, ClientAudio)]

        target = dialect()
        assert sent(b"\1\2\3") == [b"\1\2"]
        send(target, {"type": "input_audio_buffer.commit"})
        assert sent(b"\4\5") == [b"\3\4"]
        send(target, {"type": "input_audio_buffer.clear"})
        assert sent(b"\6\7") == [b"\6\7"]

    @pytest.mark.parametrize(
        "audio", ["not base64!", "A", "AAA", "AA==AA==", "AAAA\n", "\ud83d\ude00", 5, None, ["AAAA"]]
    )
    def test_bad_base64_is_an_error_and_the_session_lives(self, audio: object) -> None:
        target = dialect()
        step = send(target, {"type": "input_audio_buffer.append", "audio": audio, "event_id": "e1"})
        assert step.is_audio  # many of them are delayed, and do not end the session
        error = error_of(step)
        assert (error["type"], error["param"], error["event_id"]) == ("invalid_request_error", "audio", "e1")
        assert send(target, append(0, 0.1)).to_session

    def test_empty_append_is_nothing(self) -> None:
        step = send(dialect(), {"type": "input_audio_buffer.append", "audio": ""})
        assert step == Step(is_audio=True)

    def test_format_cannot_change_while_audio_waits(self) -> None:
        target = dialect()
        mulaw = {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}}
        send(target, append(0, 0.1))
        assert error_of(send(target, mulaw))["param"] == "session.audio.input.format"
        (audio,) = send(target, append(0, 0.1)).to_session
        assert isinstance(audio, ClientAudio)
        assert audio.format is SampleFormat.PCM_S16LE
        send(target, {"type": "input_audio_buffer.clear"})
        assert read(send(target, mulaw).frames)[0]["type"] == "session.updated"


def test_commit_and_clear_as_the_session_sees_them() -> None:
    target = dialect(model="gpt-realtime-whisper")
    send(target, append(0, 0.1))
    step = send(target, {"type": "input_audio_buffer.commit"})
    assert step.to_session == [Flush(1), Mark()]
    assert [event["type"] for event in read(step.frames)] == [
        *["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    ]
    assert send(target, {"type": "input_audio_buffer.clear"}).to_session == [Discard()]


def test_commits_that_wait_are_limited() -> None:
    target = dialect(model="gpt-realtime-whisper")
    for _ in range(60):
        send(target, append(0, 0.01))
        assert send(target, {"type": "input_audio_buffer.commit"}).to_session
    send(target, append(0, 0.01))
    assert error_of(send(target, {"type": "input_audio_buffer.commit"}))["code"] == "rate_limit_exceeded"
    target.publish(Timeline(session_id="", event=MARKED, timestamp=0.0, timestamp_iso=""))
    target.publish(Flushed(session_id="", id=1))
    assert send(target, {"type": "input_audio_buffer.commit"}).to_session


@pytest.mark.parametrize(
    "kind",
    [
        *["conversation.item.create", "conversation.item.truncate", "response.create", "response.cancel"],
        "output_audio_buffer.clear",
    ],
)
def test_what_is_not_transcription_is_refused(kind: str) -> None:
    error = error_of(send(dialect(), {"type": kind, "event_id": "e1"}))
    assert (error["type"], error["code"], error["event_id"]) == ("invalid_request_error", "unsupported_event", "e1")
    assert "transcribes only" in error["message"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "invalid_event"),
        ("{", "invalid_event"),
        ("[]", "invalid_event"),
        ("null", "invalid_event"),
        ("{}", "invalid_event"),
        ('{"type": 5}', "invalid_event"),
        ('{"type": null}', "invalid_event"),
        ('{"type": "nothing"}', "unknown_event"),
        ('{"type": ""}', "unknown_event"),
        ("[" * 100_000, "invalid_event"),
        ('{"type": "session.update"}', "invalid_value"),
        ('{"type": "session.update", "session": ' + "[" * 5000 + "]" * 5000 + "}", "invalid_event"),
    ],
)
def test_what_is_no_event_is_an_error(frame: str, code: str) -> None:
    assert error_of(dialect().receive(frame))["code"] == code


@pytest.mark.parametrize("fields", [{}, {"type": None}, {"type": 5}, {"type": ["session.update"]}])
def test_event_without_a_type_is_named_by_its_id(fields: dict[str, object]) -> None:
    error = error_of(send(dialect(), {"event_id": "e1", **fields}))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_event", "type", "e1")
    assert error_of(send(dialect(), {"event_id": 5, **fields}))["event_id"] is None


def test_first_language_that_the_engine_has_is_chosen() -> None:
    def chosen(support: LanguageSupport | None, *languages: str) -> object:
        session = {"audio": {"input": {"transcription": {"languages": list(languages)}}}}
        (start,) = send(dialect(languages=support), {"type": "session.update", "session": session}).to_session
        assert isinstance(start, Start)
        return start.language

    english = LanguageSupport(known=("en",), loaded="en")
    assert chosen(english, "fr", "en-US") == "en-US"
    assert chosen(english, "fr", "de") == "fr"  # the session says that there is none
    assert chosen(None, "fr", "en") == "fr"
    assert chosen(LanguageSupport(), "en") is None  # most clients send one, and end on any error
    assert chosen(LanguageSupport(assumed="de"), "en") == "en"


def test_binary_frame_closes_with_1003() -> None:
    close = dialect().receive(b"\0\0").close
    assert isinstance(close, Close)
    assert close.code == 1003


def test_completed_items_can_be_retrieved_and_deleted() -> None:
    target = dialect(model="gpt-realtime-whisper")
    send(target, append(0, 0.1))
    item_id = read(send(target, {"type": "input_audio_buffer.commit"}).frames)[0]["item_id"]
    retrieve, delete = ({"type": f"conversation.item.{verb}", "item_id": item_id} for verb in ("retrieve", "delete"))
    assert read(send(target, retrieve).frames)[0]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert error_of(send(target, delete))["message"] == "this item is not completed yet"
    target.publish(Timeline(session_id="", event=MARKED, timestamp=0.0, timestamp_iso=""))
    target.publish(Flushed(session_id="", id=1))
    (retrieved,) = read(send(target, retrieve).frames)
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": ""}]
    assert read(send(target, delete).frames)[0] | {"event_id": ""} == {
        "type": "conversation.item.deleted", "event_id": "", "item_id": item_id
    }  # fmt: skip
    assert error_of(send(target, delete))["param"] == "item_id"


def test_only_what_the_client_did_wrong_is_an_error() -> None:
    target = dialect()
    for where in (Where.MAIN_ENGINE, Where.REALTIME_ENGINE, Where.RECORDER):
        assert not target.publish(Error(message="x", where=where))
    assert not target.publish(Error(message="start prompt: the engine x takes no prompt", where=Where.COMMAND))
    (event,) = read(target.publish(Error(message="start language: only en", where=Where.COMMAND)))
    assert event["error"]["param"] == "session.audio.input.transcription.language"


def test_log_probabilities_and_detected_languages_come_with_the_words() -> None:
    target = dialect()
    send(target, {"type": "session.update", "session": {"include": ["item.input_audio_transcription.logprobs"]}})
    segment = Segment(
        segment_id=1,
        audio_start_seconds=1.0,
        audio_end_seconds=2.0,
        duration_seconds=1.5,
        pre_recording_buffer=PreRecordingBuffer(
            configured_seconds=0.5,
            included_seconds=0.5,
            start_timestamp=0.0,
            start_timestamp_iso="",
            end_timestamp=0.0,
            end_timestamp_iso="",
        ),
    )
    frames: list[Frame] = []
    for kind in ("recording_started", "recording_ended"):
        frames += target.publish(
            Timeline(session_id="", event=kind, timestamp=0.0, timestamp_iso="", segment_id=1, segment=segment)
        )
    final = Final(
        session_id="",
        segment_id=1,
        text="One.",
        stable_text_agreed=True,
        timestamp=0.0,
        timestamp_iso="",
        segment=segment,
        pieces=(Piece(text="One.", start_seconds=1.0, end_seconds=2.0, confidence=0.5),),
        language="en",
    )
    frames += target.publish(final)
    *_, completed = read(frames)
    assert completed["languages"] == [{"code": "en"}]
    (word,) = completed["logprobs"]
    assert (word["token"], len(word)) == ("One.", 3)
    assert word["logprob"] == pytest.approx(-0.693, abs=0.001)
    assert read(frames)[0]["audio_start_ms"] == 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        *["session.update", "transcription_session.update", "input_audio_buffer.append", "input_audio_buffer.commit"],
        *["input_audio_buffer.clear", "conversation.item.retrieve", "conversation.item.delete", "response.create", "x"],
    ]
)
KEYS = st.sampled_from(
    [
        *["audio", "input", "format", "transcription", "turn_detection", "noise_reduction", "include", "type", "rate"],
        *["language", "languages", "prompt", "keywords", "model", "threshold", "silence_duration_ms", "eagerness"],
        *["input_audio_format", "input_audio_transcription", "prefix_padding_ms"],
    ]
)
SESSIONS = st.recursive(
    JSON | st.sampled_from(["audio/pcm", "server_vad", "semantic_vad", "pcm16", "high"]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
FRAMES = st.text(max_size=60) | st.fixed_dictionaries(
    {"type": KINDS},
    optional={"session": SESSIONS, "audio": JSON | st.just("AAAA"), "item_id": JSON, "event_id": JSON},
).map(json.dumps)


@pytest.mark.parametrize("kind", ["session.update", "input_audio_buffer.commit", "x"])
def test_only_audio_may_be_long(kind: str) -> None:
    error = error_of(send(dialect(), {"type": kind, "session": [[]] * 40_000, "event_id": "e1"}))
    assert error["event_id"] == "e1"
    assert "65536 characters" in error["message"]
    assert kind in error["message"]
    assert send(dialect(), {"type": "input_audio_buffer.append", "audio": "AAAA" * 40_000}).to_session


@settings(max_examples=60)
@given(frames=st.lists(FRAMES, max_size=12))
def test_any_frames_get_an_answer_in_json_and_raise_nothing(frames: list[str]) -> None:
    target = dialect()
    for frame in frames:
        step = target.receive(frame)
        for event in read(step.frames):
            assert event["type"]
            assert event["event_id"]
        assert not any(isinstance(item, ClientAudio) and len(item.data) % 2 for item in step.to_session)
        for item in step.to_session:
            if isinstance(item, Discard):
                target.publish(Clear(session_id="", next_segment_id=1))
            elif isinstance(item, Mark):
                target.publish(Timeline(session_id="", event=MARKED, timestamp=0.0, timestamp_iso=""))
            elif isinstance(item, Detection):
                assert item.settings.post_speech_silence_duration >= 0.16
