"""Messages of vosk-server's clients and their answers, in tables and in the dialogue of its sample scripts."""

import json
from collections.abc import Sequence
from contextlib import suppress

import pytest
import trio
import trio_websocket
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.client import load_pcm
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from trio_stt.api.dialect import ClientAudio, Close, Frame, Step
from trio_stt.api.vosk.answers import result
from trio_stt.api.vosk.translator import VoskTranslator
from trio_stt.protocol.commands import Flush, Start
from trio_stt.protocol.event_objects import Segment, Where
from trio_stt.protocol.events import Error, Final, Flushed
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.settings import Settings

FLUSHED = Flushed(session_id="s", id=None)


def final(text: str, *, start: float = 1.0) -> Final:
    segment = Segment(segment_id=1, audio_start_seconds=start, audio_end_seconds=start + 1.0)
    return Final(
        session_id="s",
        segment_id=1,
        text=text,
        stable_text_agreed=True,
        segment=segment,
        timestamp=0.0,
        timestamp_iso="",
    )


def translator() -> VoskTranslator:
    return VoskTranslator(Settings())


def test_numbers_may_be_strings() -> None:
    vosk = translator()
    assert vosk.receive('{"config": {"sample_rate": "16000", "words": "0"}}') == Step()
    assert vosk.receive(b"\1\2").to_session == [Start(), ClientAudio(b"\1\2", 16_000)]
    assert vosk.receive('{"config": {"sample_rate": "nan"}}').close is not None


def answers(frames: Sequence[Frame]) -> list[object]:
    return [json.loads(frame) for frame in frames]


def test_audio_is_16_bit_at_8_khz_unless_configured() -> None:
    vosk = translator()
    assert vosk.receive(b"\1\2\3") == Step(
        frames=['{"partial":""}'], to_session=[Start(), ClientAudio(b"\1\2", 8000)], is_audio=True
    )
    config = '{"config": {"sample_rate": 16000.0, "phrase_list": ["one two", "[unk]", "three"], "model": "x"}}'
    assert vosk.receive(config) == Step()
    step = vosk.receive(b"\4")
    assert step.to_session == [Start(prompt="one two, three"), ClientAudio(b"\3\4", 16_000)]


def test_each_binary_message_has_one_answer() -> None:
    vosk = translator()
    vosk.publish(final("One."))
    vosk.publish(final("Two.", start=2.0))
    assert answers([*vosk.receive(b"").frames, *vosk.receive(b"").frames, *vosk.receive(b"").frames]) == [
        {"result": [{"conf": 1.0, "end": 2.0, "start": 1.0, "word": "One."}], "text": "One."},
        {"result": [{"conf": 1.0, "end": 3.0, "start": 2.0, "word": "Two."}], "text": "Two."},
        {"partial": ""},
    ]


@pytest.mark.parametrize("eof", ['{"eof" : 1}', '{"eof":1}', '{"eof": true}'])
def test_eof_is_answered_once_with_everything_that_is_left(eof: str) -> None:
    vosk = translator()
    vosk.receive('{"config": {"words": false}}')
    assert vosk.receive(eof) == Step(to_session=[Start(), Flush(None)], close=Close(drains=True))
    assert [*vosk.publish(final("One.")), *vosk.publish(final("Two.")), *vosk.publish(FLUSHED)] == []
    assert answers(vosk.end()) == [{"text": "One. Two."}]


def test_reset_is_answered_after_the_finals_before_it() -> None:
    vosk = translator()
    assert vosk.receive('{"reset" : 1}') == Step(to_session=[Start(), Flush(None)])
    assert vosk.publish(final("One.")) == ()
    assert [each["text"] for each in answers(vosk.publish(FLUSHED)) if isinstance(each, dict)] == ["One."]
    assert vosk.publish(FLUSHED) == ()


@pytest.mark.parametrize("ask", ['{"eof": 1}', '{"reset": 1}'])
@pytest.mark.parametrize("with_alternatives", [0, 3])
def test_failed_engine_is_reported_beside_the_text(ask: str, with_alternatives: int) -> None:
    vosk = translator()
    vosk.receive(json.dumps({"config": {"words": False, "max_alternatives": with_alternatives}}))
    vosk.publish(Error(message="the engine failed", where=Where.RECORDER))
    vosk.publish(Error(message="the live engine failed", where=Where.REALTIME_ENGINE))
    assert answers(vosk.receive(b"\0\0").frames) == [{"partial": ""}]
    vosk.receive(ask)
    (answer,) = answers(vosk.publish(FLUSHED) or vosk.end())
    assert isinstance(answer, dict)
    assert answer["error"] == "the engine failed"
    assert "error" not in vosk.end()[0]


def test_japanese_is_joined_without_spaces() -> None:
    vosk = translator()
    for text in ("日本語。", "中文。", "One."):
        vosk.publish(final(text))
    (answer,) = answers(vosk.end())
    assert isinstance(answer, dict)
    assert answer["text"] == "日本語。中文。 One."


def test_config_may_come_between_audio() -> None:
    vosk = translator()
    vosk.receive(b"\1\2\3")
    assert vosk.receive('{"config": {"sample_rate": 16000, "phrase_list": ["one"]}}') == Step()
    assert vosk.receive(b"\4").to_session == [Start(prompt="one"), ClientAudio(b"\3\4", 16_000)]


def test_alternatives() -> None:
    segments = [SpokenSegment(file="", segment_id=1, start=0.0, end=1.0, text="a b")]
    assert json.loads(result(segments, with_words=False, with_alternatives=True)) == {
        "alternatives": [{"confidence": 1.0, "text": "a b"}]
    }


@pytest.mark.parametrize(
    "message", ["eof", "[]", '{"config": 1}', '{"config": {"sample_rate": 4000}}', '{"config": {"words": "x"}}']
)
def test_other_messages_close(message: str) -> None:
    close = translator().receive(message).close
    assert close is not None
    assert close.code == 1008


@settings(max_examples=50)
@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.dictionaries(
            st.sampled_from(["config", "eof", "reset", "words", "sample_rate", "phrase_list"]), x
        ),
    ).map(json.dumps)
)
def test_no_text_raises(text: str) -> None:
    vosk = translator()
    vosk.receive(text)
    with suppress(UnicodeEncodeError):
        vosk.receive(b"\0\0")


async def test_dialogue_of_the_sample_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        async with trio_websocket.open_websocket("127.0.0.1", port, "/", use_ssl=False) as socket:
            await socket.send_message(json.dumps({"config": {"sample_rate": rate_hz}}))
            found = []
            for start in range(0, len(samples), rate_hz // 5):
                await socket.send_message(samples[start : start + rate_hz // 5].astype("<i2").tobytes())
                found.append(json.loads(await socket.get_message()))
            await socket.send_message(b"")
            found.append(json.loads(await socket.get_message()))
            await socket.send_message('{"reset" : 1}')
            found.append(json.loads(await socket.get_message()))
            await socket.send_message('{"eof" : 1}')
            await socket.send_message('{"eof" : 1}')
            found.append(json.loads(await socket.get_message()))
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await socket.get_message()
            await socket._stream.aclose()  # the library leaves it open if the server closes first
        with trio.fail_after(10):
            while server_state.registry.active_sessions:  # noqa: ASYNC110 - of another task
                await trio.sleep(0.01)
    assert closed.value.reason.code == 1000
    assert " ".join(each["text"] for each in found if each.get("text")).count(" ") == 5
    assert all("partial" in each or "text" in each for each in found)
