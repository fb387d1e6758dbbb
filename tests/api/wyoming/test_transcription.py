"""Tables of events of clients and sessions, and what the translator makes of them."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from trio_stt.api.dialect import ClientAudio, Frame, Step
from trio_stt.api.wyoming.framing import WyomingEvent, decode, encode
from trio_stt.api.wyoming.info import offered_languages
from trio_stt.api.wyoming.requests import Transcribe
from trio_stt.api.wyoming.transcription import Transcription
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.languages import KNOWN_CODES
from trio_stt.protocol.commands import Flush, Start
from trio_stt.protocol.event_objects import Where
from trio_stt.protocol.events import Error, Event, Final, Flushed, Pong
from trio_stt.settings import Settings

FORMAT = {"rate": 8000, "width": 2, "channels": 1}
LANGUAGES = LanguageSupport(known=("de", "en"), loaded="en", per_request=True)
STOPPED = Flushed(session_id="s", id="audio-stop")
BROKEN = Error(message="the engine failed", where=Where.RECORDER)


def final(text: str) -> Final:
    return Final(session_id="s", segment_id=1, text=text, stable_text_agreed=True, timestamp=0.0, timestamp_iso="")


def chunk(payload: bytes, **audio_format: object) -> bytes:
    line, _, data = encode("audio-chunk", audio_format or FORMAT).partition(b"\n")
    return line.removesuffix(b"}") + b',"payload_length":%d}\n' % len(payload) + data + payload


def general(event: WyomingEvent) -> Sequence[bytes]:
    return [encode("pong", {"text": event.type})]


def translator(request: Transcribe | None = None, **settings: Any) -> Transcription:
    return Transcription(request or Transcribe(), Settings(**settings), LANGUAGES, general)


def shown(frames: Sequence[Frame]) -> list[tuple[str, dict[str, Any]]]:
    events = [decode(frame) for frame in frames if isinstance(frame, bytes)]
    return [(event.type, event.data) for event in events]


def test_audio_goes_to_the_session_until_the_stop() -> None:
    transcription = translator()
    assert shown(transcription.begin()) == [("transcript-start", {"language": "en"})]
    assert transcription.receive(encode("audio-start", FORMAT)) == Step()
    audio = ClientAudio(b"\1\2\3\4", 8000)
    assert transcription.receive(chunk(b"\1\2\3\4")) == Step(to_session=[Start(interim=False), audio], is_audio=True)
    assert transcription.receive(chunk(b"\1\2\3\4")) == Step(to_session=[audio], is_audio=True)
    assert transcription.receive(chunk(b"")) == Step(is_audio=True)
    assert transcription.receive(encode("audio-stop")) == Step(to_session=[Flush(id="audio-stop")])
    assert transcription.is_stopped


@pytest.mark.parametrize(
    ("events", "expected", "failed"),
    [
        ([], [("transcript", {"text": "", "language": "en"}), ("transcript-stop", {})], False),
        (
            [final("One."), Pong(session_id="s", server_time=0.0), final("Two.")],
            [
                ("transcript-chunk", {"text": "One."}),
                ("transcript-chunk", {"text": " Two."}),
                ("transcript", {"text": "One. Two.", "language": "en"}),
                ("transcript-stop", {}),
            ],
            False,
        ),
        (
            [final("日本語。"), final("中文。"), final("One.")],
            [
                ("transcript-chunk", {"text": "日本語。"}),
                ("transcript-chunk", {"text": "中文。"}),
                ("transcript-chunk", {"text": " One."}),
                ("transcript", {"text": "日本語。中文。 One.", "language": "en"}),
                ("transcript-stop", {}),
            ],
            False,
        ),
        ([BROKEN], [("error", {"text": "the engine failed", "code": "transcription-failed"})], True),
        (
            [BROKEN, final("Two.")],
            [
                ("transcript-chunk", {"text": "Two."}),
                ("transcript", {"text": "Two.", "language": "en"}),
                ("transcript-stop", {}),
            ],
            False,
        ),
    ],
)
def test_one_answer_after_the_stop(events: list[Event], expected: list[object], *, failed: bool) -> None:
    transcription = translator()
    transcription.receive(encode("audio-stop"))
    assert not transcription.is_done
    frames = [frame for event in [*events, STOPPED, STOPPED] for frame in transcription.publish(event)]
    assert shown(frames) == expected
    assert (transcription.is_done, transcription.is_failed) == (True, failed)
    assert transcription.end() == ()


def test_the_end_of_the_session_gives_the_words_so_far_or_an_error() -> None:
    transcription = translator()
    transcription.publish(final("One."))
    assert shown(transcription.end())[0] == ("transcript", {"text": "One.", "language": "en"})
    assert shown(translator().end()) == [
        ("error", {"text": "the server ended the session", "code": "transcription-failed"})
    ]


def test_a_silence_ends_a_command_with_endpointing() -> None:
    transcription = translator(wyoming_endpointing=True)
    assert [type_ for type_, _ in shown(transcription.publish(final("One.")))] == [
        "transcript-chunk",
        "transcript",
        "transcript-stop",
    ]
    assert transcription.is_done
    assert not transcription.is_stopped


@pytest.mark.parametrize(
    "data",
    [
        {"rate": 7999, "width": 2, "channels": 1},
        {"rate": 16_000, "width": 5, "channels": 1},
        {"rate": 16_000, "width": 2, "channels": 0},
        {"rate": 16_000, "width": 2, "channels": 9},
        {"width": 2, "channels": 1},
        {"rate": "16000", "width": 2, "channels": 1},
    ],
)
@pytest.mark.parametrize("type_", ["audio-start", "audio-chunk"])
def test_other_formats_are_an_error(type_: str, data: dict[str, object]) -> None:
    step = translator().receive(encode(type_, data))
    ((shown_type, error),) = shown(step.frames)
    assert (shown_type, error["code"]) == ("error", "invalid-request")
    assert step.close is not None


def test_other_events_are_answered_in_between() -> None:
    assert shown(translator().receive(encode("ping")).frames) == [("pong", {"text": "ping"})]


@pytest.mark.parametrize(
    ("request_", "prompt"),
    [
        (Transcribe(), None),
        (Transcribe(transcript_names=["Ada", " Alan \n T. "], transcript_terms=["lamp", ""]), "Ada, Alan T., lamp"),
        (Transcribe(transcript_names=["x" * 700], transcript_terms=["y" * 99, "z"]), "x" * 700),
    ],
)
def test_names_and_terms_prime_the_engine(request_: Transcribe, prompt: str | None) -> None:
    start = translator(request_).receive(encode("audio-stop")).to_session[0]
    assert start == Start(prompt=prompt or UNSET, interim=False)


@pytest.mark.parametrize(
    ("wanted", "chosen", "answered"),
    [(None, UNSET, "en"), ("en-US", UNSET, "en"), ("German", "de", "de"), ("fr", UNSET, "en"), ("", UNSET, "en")],
)
def test_language_of_the_request(wanted: str | None, chosen: str | UnsetType, answered: str) -> None:
    transcription = translator(Transcribe(language=wanted))
    assert shown(transcription.begin()) == [("transcript-start", {"language": answered})]
    assert transcription.receive(encode("audio-stop")).to_session[0] == Start(language=chosen, interim=False)


def test_request_within_the_audio_counts_for_it() -> None:
    transcription = translator(Transcribe(language="de", transcript_names=["Ada"]))
    assert transcription.receive(encode("transcribe", {"transcript_terms": ["lamp"]})) == Step()
    assert transcription.receive(chunk(b"\1\2")).to_session[0] == Start(prompt="lamp", interim=False)
    later = Start(language="de", prompt=None, interim=False)
    assert transcription.receive(encode("transcribe", {"language": "de"})) == Step(to_session=[later])
    transcription.receive(encode("audio-stop"))
    assert shown(transcription.publish(STOPPED))[0] == ("transcript", {"text": "", "language": "de"})


def test_context_is_returned() -> None:
    transcription = translator(Transcribe(context={"a": [1]}))
    assert shown(transcription.begin()) == [("transcript-start", {"language": "en", "context": {"a": [1]}})]
    transcription.receive(encode("audio-stop"))
    answer = ("transcript", {"text": "", "language": "en", "context": {"a": [1]}})
    assert shown(transcription.publish(STOPPED))[0] == answer


@pytest.mark.parametrize(
    ("languages", "offered"),
    [
        (LANGUAGES, ("de", "en")),
        (LanguageSupport(known=("de", "en"), loaded="de"), ["de"]),
        (LanguageSupport(known=("de", "en")), ("de", "en")),
        (LanguageSupport(assumed="en"), ["en"]),
        (LanguageSupport(), KNOWN_CODES),
    ],
)
def test_languages_offered(languages: LanguageSupport, offered: Sequence[str]) -> None:
    assert offered_languages(languages) == offered


@pytest.mark.parametrize(
    ("sensitivity", "endpointing", "silence_s"),
    [
        ("aggressive", True, 0.25),
        (None, True, 0.7),
        ("relaxed", True, 1.25),
        ("of a later version", True, 0.7),
        ("aggressive", False, 0.55),
    ],
)
def test_sensitivity_sets_the_silence(sensitivity: str | None, *, endpointing: bool, silence_s: float) -> None:
    transcription = translator(Transcribe(vad_sensitivity=sensitivity), wyoming_endpointing=endpointing)
    assert transcription.settings.post_speech_silence_duration == silence_s
