"""What Deepgram's clients are sent, for each event of their session."""

import json
from collections import deque
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.protocol.event_messages import final as final_event
from tests.protocol.event_messages import realtime as realtime_event
from tests.protocol.event_messages import status, timeline
from tests.protocol.report_messages import WHOLE_SEGMENT, session_report
from trio_stt.api.deepgram.audio import decoder_for
from trio_stt.api.deepgram.messages import ModelInfo, ResultMetadata
from trio_stt.api.deepgram.options import ListenOptions, parse_options
from trio_stt.api.deepgram.translator import ListenTranslator
from trio_stt.api.dialect import ClientAudio, Close, Step, session_settings
from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.protocol.event_objects import Piece, Segment, State, Where
from trio_stt.protocol.events import Error, Event, Final, Flushed, Heartbeat, Metrics, Pong, Realtime
from trio_stt.session.connection import Mark
from trio_stt.settings import Settings

RAW = {"encoding": ["linear16"], "sample_rate": ["16000"]}
METADATA = ResultMetadata(
    request_id="r-1", model_uuid="m-1", model_info=ModelInfo(name="tiny", version="1.0", arch="moonshine")
)
SILENCE_S = 0.5


def translator(**query: str) -> ListenTranslator:
    """A client whose session has started."""
    dialect = new_translator(**query)
    dialect.receive('{"type":"Configure","keyterms":[]}')
    return dialect


def new_translator(**query: str) -> ListenTranslator:
    options = parse_options(RAW | {name: [value] for name, value in query.items()})
    return ListenTranslator(
        options,
        settings=session_settings(Settings(), post_speech_silence_duration=SILENCE_S),
        decoder=decoder_for(options),
        metadata=METADATA,
        created="2026-08-21T12:00:00.000Z",
    )


def audio(seconds: float) -> bytes:
    return bytes(2 * round(seconds * 16_000))


def segment(number: int, start_s: float, end_s: float | None = None, *, cut: bool = False) -> Segment:
    known = {"audio_end_seconds": end_s} if end_s is not None else {}
    return Segment(segment_id=number, audio_start_seconds=start_s, **known, **({"cut": True} if cut else {}))  # type: ignore[arg-type]


def started(number: int, start_s: float) -> Event:
    return timeline("recording_started", 1.0, segment_id=number, segment=segment(number, start_s))


def closed(number: int, start_s: float, end_s: float) -> Event:
    return timeline("segment_closed", 1.0, reason="empty", segment_id=number, segment=segment(number, start_s, end_s))


def partial(number: int, start_s: float, end_s: float, text: str) -> Realtime:
    return replace(
        realtime_event(WHOLE_SEGMENT),
        segment_id=number,
        segment=segment(number, start_s),
        text=text,
        audio_end_seconds=end_s,
    )


def final(
    number: int, start_s: float, end_s: float, text: str, pieces: tuple[Piece, ...] = (), *, cut: bool = False
) -> Final:
    return replace(
        final_event(WHOLE_SEGMENT),
        segment_id=number,
        segment=segment(number, start_s, end_s, cut=cut),
        text=text,
        pieces=pieces,
    )


def sent(dialect: ListenTranslator, *events: Event) -> list[dict[str, Any]]:
    return [json.loads(frame) for event in events for frame in dialect.publish(event)]


def brief(results: dict[str, Any]) -> tuple[object, ...]:
    """Text, span and flags of a result."""
    flags = "".join(name[0] for name in ("is_final", "speech_final", "from_finalize") if results[name])
    end_s = results["start"] + results["duration"]
    return results["channel"]["alternatives"][0]["transcript"], results["start"], end_s, flags


IDLE = Metrics(session_id="s", metrics=session_report(queue_depth=0))
BUSY = Metrics(session_id="s", metrics=session_report(queue_depth=3))
HEARTBEAT = Heartbeat(
    session_id="s",
    timestamp=1.0,
    timestamp_iso="",
    audio_received_seconds=1.0,
    real_time_factor=0.1,
    queue_delay_ms=1.0,
)


class TestResults:
    def test_final_has_every_field_that_clients_read(self) -> None:
        dialect = translator()
        pieces = (Piece(text="Hello, world.", start_seconds=1.0, end_seconds=2.0, confidence=0.5),)
        assert sent(dialect, started(1, 1.0)) == []
        assert sent(dialect, final(1, 1.0, 2.0, "Hello, world.", pieces)) == [
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": 1.0,
                "duration": 1.0,
                "is_final": True,
                "speech_final": True,
                "from_finalize": False,
                "channel": {
                    "alternatives": [
                        {
                            "transcript": "Hello, world.",
                            "confidence": 0.5,
                            "words": [
                                {
                                    "word": "hello",
                                    "start": 1.0,
                                    "end": 1.5,
                                    "confidence": 0.5,
                                    "punctuated_word": "Hello,",
                                },
                                {
                                    "word": "world",
                                    "start": 1.5,
                                    "end": 2.0,
                                    "confidence": 0.5,
                                    "punctuated_word": "world.",
                                },
                            ],
                        }
                    ]
                },
                "metadata": {
                    "request_id": "r-1",
                    "model_uuid": "m-1",
                    "model_info": {"name": "tiny", "version": "1.0", "arch": "moonshine"},
                },
            }
        ]

    def test_confidence_is_one_where_the_engine_has_none(self) -> None:
        dialect = translator()
        (result,) = sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "Yes"))
        (alternative,) = result["channel"]["alternatives"]
        assert (alternative["confidence"], alternative["words"][0]["confidence"]) == (1.0, 1.0)

    def test_partials_are_sent_only_if_enabled(self) -> None:
        events = [
            started(1, 1.0),
            partial(1, 1.0, 1.5, "Hel"),
            partial(1, 1.0, 2.0, "Hello"),
            final(1, 1.0, 1.75, "Hello"),
        ]
        assert [brief(each) for each in sent(translator(), *events)] == [("Hello", 1.0, 1.75, "is")]
        assert [brief(each) for each in sent(translator(interim_results="true"), *events)] == [
            ("Hel", 1.0, 1.5, ""),
            ("Hello", 1.0, 2.0, ""),
            ("Hello", 1.0, 2.0, "is"),  # it never ends before a partial has
        ]

    def test_utterance_without_words_has_an_empty_final(self) -> None:
        dialect = translator(interim_results="true")
        results = sent(dialect, started(1, 1.0), partial(1, 1.0, 1.5, "Uh"), closed(1, 1.0, 1.5))
        assert [brief(each) for each in results] == [("Uh", 1.0, 1.5, ""), ("", 1.0, 1.5, "is")]
        assert results[-1]["channel"]["alternatives"] == [{"transcript": "", "confidence": 0.0, "words": []}]

    def test_partials_wait_for_the_finals_of_earlier_utterances(self) -> None:
        dialect = translator(interim_results="true")
        assert (
            sent(dialect, started(1, 0.0), started(2, 2.0), partial(2, 2.0, 2.5, "two"), partial(2, 2.0, 3.0, "two t"))
            == []
        )
        assert [brief(each) for each in sent(dialect, final(1, 0.0, 1.0, "One"))] == [
            ("One", 0.0, 1.0, "is"),
            ("two t", 2.0, 3.0, ""),
        ]

    def test_finals_do_not_overlap(self) -> None:
        dialect = translator()
        results = sent(
            dialect, started(1, 0.0), started(2, 0.9), final(1, 0.0, 1.0, "One"), final(2, 0.9, 1.5, "Two words")
        )
        assert [brief(each) for each in results] == [("One", 0.0, 1.0, "is"), ("Two words", 1.0, 1.5, "is")]
        assert results[1]["channel"]["alternatives"][0]["words"][0]["start"] == 1.0

    def test_speech_final_is_false_where_no_silence_ended_the_utterance(self) -> None:
        whole = [started(1, 0.0), final(1, 0.0, 1.0, "One", cut=True)]
        assert sent(translator(), *whole)[0]["speech_final"] is False
        assert (
            sent(translator(endpointing="false"), started(1, 0.0), final(1, 0.0, 1.0, "One"))[0]["speech_final"]
            is False
        )

    @pytest.mark.parametrize(("at_s", "speech_final"), [(1.25, False), (1.0, False), (1.75, True)])
    def test_finalize_before_the_silence_is_over_ends_the_utterance(self, at_s: float, speech_final: bool) -> None:
        dialect = translator()
        dialect.receive(audio(at_s))
        dialect.receive('{"type":"Finalize"}')
        events = [started(1, 0.0), final(1, 0.0, 1.0, "One"), Flushed(session_id="s", id=None)]
        (result,) = sent(dialect, *events)
        assert (result["speech_final"], result["from_finalize"]) == (speech_final, True)


class TestFinalize:
    def test_without_speech_the_answer_is_an_empty_result(self) -> None:
        dialect = translator()
        assert dialect.receive('{"type":"Finalize"}') == Step(to_session=[Flush(None)])
        (result,) = sent(dialect, Flushed(session_id="s", id=None))
        assert brief(result) == ("", 0.0, 0.0, "if")
        assert result["channel"]["alternatives"] == [{"transcript": "", "confidence": 0.0, "words": []}]

    def test_only_the_last_final_before_the_answer_is_from_finalize(self) -> None:
        dialect = translator()
        dialect.receive('{"type":"Finalize"}')
        results = sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"), started(2, 2.0), final(2, 2.0, 3.0, "Two"))
        results += sent(dialect, Flushed(session_id="s", id=None))
        assert [(each[0], each[3]) for each in map(brief, results)] == [("One", "is"), ("Two", "isf")]

    def test_more_than_a_session_takes_are_answered_too(self) -> None:
        dialect = translator()
        steps = [dialect.receive('{"type":"Finalize"}') for _ in range(200)]
        flushes = sum(len(step.to_session) for step in steps)
        assert flushes < 64
        results = sent(
            dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"), *[Flushed(session_id="s", id=None)] * flushes
        )
        assert len(results) == 200
        assert all(each["from_finalize"] for each in results)
        assert [brief(each)[0] for each in results].count("One") == 1

    def test_silence_after_the_cut_is_reported_once(self) -> None:
        dialect = translator(utterance_end_ms="700")
        dialect.receive(audio(1.25))
        dialect.receive('{"type":"Finalize"}')
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"), Flushed(session_id="s", id=None))
        assert dialect.receive(audio(0.2)).to_session[1:] == []
        assert dialect.receive(audio(0.3)).to_session[1:] == [Command.METRICS]
        silence, utterance_end = sent(dialect, IDLE)
        assert brief(silence) == ("", 1.0, 1.0, "is")
        assert utterance_end["type"] == "UtteranceEnd"
        assert dialect.receive(audio(5)).to_session[1:] == []

    def test_speech_after_the_cut_has_an_end_of_its_own(self) -> None:
        dialect = translator()
        dialect.receive(audio(1.25))
        dialect.receive('{"type":"Finalize"}')
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"), Flushed(session_id="s", id=None), started(2, 1.3))
        assert dialect.receive(audio(5)).to_session[1:] == []
        assert brief(sent(dialect, final(2, 1.3, 2.0, "Two"))[0]) == ("Two", 1.2998046875, 2.0, "is")
        assert dialect.receive(audio(5)).to_session[1:] == []

    def test_old_binary_form(self) -> None:
        assert translator().receive(b'{"type": "Finalize"}') == Step(to_session=[Flush(None)])


class TestEvents:
    def test_start_of_speech_if_enabled(self) -> None:
        assert sent(translator(), started(1, 0.5)) == []
        assert sent(translator(vad_events="true"), started(1, 0.5)) == [
            {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.5}
        ]

    def test_end_of_utterance_in_audio_time(self) -> None:
        dialect = translator(utterance_end_ms="1000")
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"))
        assert dialect.receive(audio(1.75)).to_session[1:] == []
        assert sent(dialect, status(State.LISTENING, queue_depth=0)) == []
        assert dialect.receive(audio(0.25)).to_session[1:] == [Command.METRICS]
        assert dialect.receive(audio(0.25)).to_session[1:] == []  # one question at a time
        assert sent(dialect, BUSY) == []
        assert dialect.receive('{"type":"KeepAlive"}') == Step(to_session=[Mark(), Command.METRICS])
        assert sent(dialect, IDLE) == [{"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.0}]
        assert dialect.receive(audio(9)).to_session[1:] == []  # once in a gap

    def test_no_end_of_utterance_while_speech_lasts(self) -> None:
        dialect = translator(utterance_end_ms="1000")
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"), started(2, 1.75))
        assert dialect.receive(audio(5)).to_session[1:] == []
        # Noise is no word: the gap goes on.
        assert [each["type"] for each in sent(dialect, closed(2, 1.75, 2.0))] == ["Results"]
        assert dialect.receive(audio(0.1)).to_session[1:] == [Command.METRICS]

    def test_end_of_utterance_comes_before_the_next_speech_and_after_a_late_final(self) -> None:
        dialect = translator(utterance_end_ms="1000", vad_events="true")
        dialect.receive(audio(5))
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"))
        assert [each["type"] for each in sent(dialect, started(2, 3.0))] == ["UtteranceEnd", "SpeechStarted"]
        assert [
            each["type"] for each in sent(dialect, final(2, 3.0, 3.5, "Two"), status(State.LISTENING, queue_depth=0))
        ] == [
            "Results",
            "UtteranceEnd",
        ]

    def test_messages_of_an_utterance_wait_for_those_of_the_one_before(self) -> None:
        dialect = translator(utterance_end_ms="1000", vad_events="true")
        assert [each["type"] for each in sent(dialect, started(1, 0.0), started(2, 2.5))] == ["SpeechStarted"]
        events = sent(dialect, final(1, 0.0, 1.0, "One"), final(2, 2.5, 3.0, "Two"))
        assert [each["type"] for each in events] == ["Results", "UtteranceEnd", "SpeechStarted", "Results"]

    def test_end_of_utterance_where_audio_has_stopped(self) -> None:
        dialect = translator(utterance_end_ms="1000")
        dialect.receive(audio(5))
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"))
        assert sent(dialect, HEARTBEAT) == []
        assert [each["type"] for each in sent(dialect, HEARTBEAT)] == ["UtteranceEnd"]

    @pytest.mark.parametrize("where", [Where.AUDIO, Where.RECORDER, Where.MAIN_ENGINE])
    def test_failures_are_errors(self, where: Where) -> None:
        (message,) = sent(translator(), Error(where=where, message="engine exploded"))
        assert message == {
            "type": "Error",
            "variant": "ServerError",
            "description": "engine exploded",
            "message": "engine exploded",
        }

    def test_language_that_an_engine_loaded_later_lacks_is_an_error(self) -> None:
        text = "start language: the model does not have 'fr'; it has en; finals stay as configured"
        (message,) = sent(translator(language="fr"), Error(where=Where.COMMAND, message=text))
        assert (message["type"], message["description"]) == ("Error", text)

    def test_other_events_are_none_of_the_client(self) -> None:
        assert sent(translator(), Pong(session_id="s", server_time=1.0), Error(where=Where.COMMAND, message="x")) == []


class TestClient:
    def test_options_of_the_session_come_before_the_first_audio(self) -> None:
        dialect = new_translator(language="de-AT", keyterm="Trio", interim_results="true")
        start, first = dialect.receive(audio(1)).to_session
        assert (start, type(first)) == (Start(language="de-AT", prompt="Trio"), ClientAudio)
        assert [type(item) for item in dialect.receive(audio(1)).to_session] == [ClientAudio]
        assert new_translator().receive(audio(1)).to_session[0] == Start(interim=False)

    def test_audio_and_keep_alive(self) -> None:
        dialect = translator()
        assert dialect.receive(b"\1\0\2") == Step(to_session=[ClientAudio(b"\1\0", 16_000)], is_audio=True)
        assert dialect.receive(b"\0\3") == Step(to_session=[ClientAudio(b"\2\0", 16_000)], is_audio=True)
        assert dialect.receive('{"type":"KeepAlive"}') == Step(to_session=[Mark()])

    @pytest.mark.parametrize("frame", ['{"type":"CloseStream"}', b'{"type": "CloseStream"}', b""])
    def test_close_stream_ends_with_metadata(self, frame: str | bytes) -> None:
        dialect = translator(utterance_end_ms="500")
        dialect.receive(audio(2))
        assert dialect.receive(frame) == Step(to_session=[Command.STOP], close=Close(drains=True))
        sent(dialect, started(1, 0.0), final(1, 0.0, 1.0, "One"))
        assert [json.loads(message) for message in dialect.end()] == [
            {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.0},
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": "r-1",
                "sha256": sha256(audio(2)).hexdigest(),
                "created": "2026-08-21T12:00:00.000Z",
                "duration": 2.0,
                "channels": 1,
            },
        ]

    def test_configure_replaces_the_terms(self) -> None:
        dialect = translator()
        steps = [
            dialect.receive(json.dumps({"type": "Configure"} | fields))
            for fields in ({"features": {"numerals": True}}, {"keyterms": ["Trio", "Numba"]}, {"keyterms": []})
        ]
        assert [step.to_session for step in steps] == [[], [Start(prompt="Trio, Numba")], [Start(prompt=None)]]
        assert [json.loads(step.frames[0]) for step in steps] == [
            {"type": "ConfigureSuccess", "request_id": "r-1"},
            {"type": "ConfigureSuccess", "request_id": "r-1", "keyterms": ["Trio", "Numba"]},
            {"type": "ConfigureSuccess", "request_id": "r-1", "keyterms": []},
        ]

    def test_configure_with_too_many_terms_fails_as_a_whole(self) -> None:
        step = translator().receive(json.dumps({"type": "Configure", "keyterms": ["x"] * 501}))
        assert not step.to_session
        (failure,) = map(json.loads, step.frames)
        assert (failure["type"], failure["request_id"]) == ("ConfigureFailure", "r-1")
        assert failure["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
        assert "500 texts" in failure["description"]

    def test_message_that_is_not_understood_is_an_error_and_no_more(self) -> None:
        dialect = translator()
        for text in ("{", '{"type":"Close"}', b'{"type":"Close"}'):
            step = dialect.receive(text)
            assert step.close is None
            assert not step.to_session
            (error,) = map(json.loads, step.frames)
            shown = text if isinstance(text, str) else text.decode()
            assert (error["type"], error["variant"], error["message"]) == ("Error", "SchemaError", shown)

    def test_audio_that_cannot_be_decoded_closes_with_a_reason(self) -> None:
        dialect = translator()
        dialect.fail("no container")
        step = dialect.receive(b"x")
        assert step.close == Close(1008, "DATA-0000")
        assert json.loads(step.frames[0])["variant"] == "DATA-0000"  # type: ignore[arg-type]


class FakeSession:
    """A session as far as the translator sees it: utterances and flushes in order, transcribed when it is told to."""

    def __init__(self, dialect: ListenTranslator) -> None:
        self.dialect = dialect
        self.frames: list[dict[str, Any]] = []
        self.finalizes = 0
        self._number = 0
        self._running: tuple[int, float] | None = None
        self._ended_s = 0.0
        self._waiting: deque[tuple[int, float, float, bool] | None] = deque()

    def send(self, frame: str | bytes) -> None:
        step = self.dialect.receive(frame)
        for item in step.to_session:
            if isinstance(item, Flush):
                self.end(0.0)
                self._waiting.append(None)
            elif item is Command.METRICS:
                self.publish(IDLE)
            elif item is Command.STOP:
                self.end(0.0)
        if frame == '{"type":"Finalize"}':
            self.finalizes += 1

    def publish(self, event: Event) -> None:
        self.frames += sent(self.dialect, event)

    def begin(self, share: float) -> None:
        if self._running is None and self.dialect.clock_s > self._ended_s:
            self._number += 1
            start_s = self._ended_s + share * (self.dialect.clock_s - self._ended_s)
            self._running = self._number, start_s
            self.publish(started(self._number, start_s))

    def hypothesize(self) -> None:
        if self._running is not None:
            number, start_s = self._running
            self.publish(partial(number, start_s, self.dialect.clock_s, "so far"))

    def end(self, silence: float, *, cut: bool = False) -> None:
        if self._running is not None:
            number, start_s = self._running
            self._ended_s = max(start_s, self.dialect.clock_s - silence)
            self._running = None
            self._waiting.append((number, start_s, self._ended_s, cut))

    def transcribe(self, text: str) -> None:
        if self._waiting:
            item = self._waiting.popleft()
            if item is None:
                self.publish(Flushed(session_id="s", id=None))
            elif text:
                self.publish(final(*item[:3], text, cut=item[3]))
            else:
                self.publish(closed(*item[:3]))
            self.publish(status(State.LISTENING, queue_depth=0))

    def finish(self) -> None:
        self.send('{"type":"CloseStream"}')
        while self._waiting:
            self.transcribe("the rest")
        self.frames += [json.loads(frame) for frame in self.dialect.end()]


STEPS = st.one_of(
    st.tuples(st.just("audio"), st.floats(0.001, 2)),
    st.tuples(st.just("begin"), st.floats(0, 1)),
    st.tuples(st.just("partial"), st.just(0)),
    st.tuples(st.just("silence"), st.floats(0, 1)),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("finalize"), st.just(0)),
    st.tuples(st.just("transcribe"), st.booleans()),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=100)
def test_order_and_times_hold_for_every_conversation(steps: list[tuple[str, float]]) -> None:
    session = FakeSession(translator(interim_results="true", vad_events="true", utterance_end_ms="500"))
    for action, value in steps:
        match action:
            case "audio":
                session.send(audio(value) + b"\0\0")
            case "begin":
                session.begin(value)
            case "partial":
                session.hypothesize()
            case "silence" | "cut":
                session.end(value, cut=action == "cut")
            case "finalize":
                session.send('{"type":"Finalize"}')
            case "transcribe":
                session.transcribe("some words" if value else "")
    session.finish()

    results = [frame for frame in session.frames if frame["type"] == "Results"]
    finals = [result for result in results if result["is_final"]]
    assert sum(result["from_finalize"] for result in results) == session.finalizes
    assert all(result["is_final"] for result in results if result["from_finalize"])
    assert [frame["type"] for frame in session.frames].count("Metadata") == 1
    assert session.frames[-1]["type"] == "Metadata"
    ends = [result["start"] + result["duration"] for result in results]
    assert ends == sorted(ends)
    for earlier, later in pairwise(finals):
        assert earlier["start"] + earlier["duration"] <= later["start"]
    for result in results:
        words = result["channel"]["alternatives"][0]["words"]
        times = [result["start"], *[time for word in words for time in (word["start"], word["end"])]]
        assert [*times, result["start"] + result["duration"]] == sorted([*times, result["start"] + result["duration"]])
    _check_utterance_ends(session.frames)


def _check_utterance_ends(frames: list[dict[str, Any]]) -> None:
    """Each repeats the end of the last word, once; in a gap that is long enough there is one."""
    last_word_s: float | None = None
    for frame in frames:
        if frame["type"] == "UtteranceEnd":
            assert frame["last_word_end"] == last_word_s
            last_word_s = None
        elif frame["type"] == "SpeechStarted":
            assert last_word_s is None or frame["timestamp"] < last_word_s + 0.501
        elif frame["type"] == "Results" and frame["is_final"]:
            words = frame["channel"]["alternatives"][0]["words"]
            last_word_s = words[-1]["end"] if words else last_word_s


@given(st.lists(st.binary(max_size=50) | st.text(max_size=50), max_size=20))
@settings(max_examples=30)
def test_any_frames_are_translated(frames: list[str | bytes]) -> None:
    for encoding in ("linear16", "mulaw", "opus"):
        options: ListenOptions = parse_options(RAW | {"encoding": [encoding]})
        dialect = translator(encoding=encoding)
        assert options.encoding == encoding
        for frame in frames:
            dialect.receive(frame)
