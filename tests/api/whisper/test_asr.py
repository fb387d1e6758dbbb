"""Requests and answers of whisper.cpp's server and whisper-asr-webservice, in tables."""

import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile

from tests.contract.fixtures import composed
from tests.lanes.fakes import Batch, FakeEngine
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from trio_stt.api.openai.transcription_request import ResponseFormat, TranscriptionRequest
from trio_stt.api.request_error import RequestError
from trio_stt.api.whisper.asr_answers import asr_body
from trio_stt.api.whisper.asr_request import AsrRequest, Output, parse_asr_request, parse_inference_request
from trio_stt.dsp.kernels import to_int16
from trio_stt.lanes.engines.base import EngineInfo, Transcript
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.sound.raw_pcm import read_pcm

NOT_TRANSLATED = (
    "model: the loaded model does not translate; load a multilingual Whisper model, as with"
    " `--engine faster_whisper --model small`"
)
SEGMENTS = [
    SpokenSegment(
        file="file",
        segment_id=1,
        start=1.0,
        end=2.0,
        text="Good day.",
        pieces=(Piece(text="Good day.", start_seconds=1.0, end_seconds=2.0, confidence=0.5),),
    ),
    SpokenSegment(file="file", segment_id=2, start=3.0, end=3.5, text="Is\tit?"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, AsrRequest(transcription=TranscriptionRequest())),
        (
            {"task": "transcribe", "language": "en", "output": "srt", "encode": "false", "video_name": "a film.mkv"},
            AsrRequest(transcription=TranscriptionRequest(languages=("en",)), output=Output.SRT, is_raw=True),
        ),
        (
            {"task": "translate", "initial_prompt": "names", "word_timestamps": "true", "output": "json"},
            AsrRequest(
                transcription=TranscriptionRequest(prompt="names", translate=True), output=Output.JSON, with_words=True
            ),
        ),
        ({"encode": "True", "vad_filter": "true"}, AsrRequest(transcription=TranscriptionRequest())),
    ],
)
def test_query(query: dict[str, str], expected: AsrRequest) -> None:
    assert parse_asr_request({name: [value] for name, value in query.items()}) == expected


@pytest.mark.parametrize(
    ("query", "param"),
    [({"task": "sing"}, "task"), ({"output": "pdf"}, "output"), ({"encode": "perhaps"}, "encode")],
)
def test_invalid_query(query: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_asr_request({name: [value] for name, value in query.items()})
    assert (caught.value.status, caught.value.param) == (400, param)


def test_inference_takes_the_fields_of_whisper_cpp() -> None:
    fields = {"temperature": ["1.4"], "temperature_inc": ["0.2"], "response_format": ["vtt"], "translate": ["true"]}
    assert parse_inference_request(fields) == TranscriptionRequest(response_format=ResponseFormat.VTT, translate=True)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (Output.TXT, "Good day.\nIs\tit?\n"),
        (Output.TSV, "start\tend\ttext\n1000\t2000\tGood day.\n3000\t3500\tIs it?\n"),
        (Output.SRT, "1\n00:00:01,000 --> 00:00:02,000\nGood day.\n\n2\n00:00:03,000 --> 00:00:03,800\nIs it?\n"),
        (
            Output.VTT,
            "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\nGood day.\n\n2\n00:00:03.000 --> 00:00:03.800\nIs it?\n",
        ),
    ],
)
def test_text_outputs(output: Output, expected: str) -> None:
    wanted = AsrRequest(transcription=TranscriptionRequest(), output=output)
    assert asr_body(wanted, SEGMENTS, language="en").decode() == expected


@pytest.mark.parametrize("with_words", [False, True])
def test_json_output(*, with_words: bool) -> None:
    wanted = AsrRequest(transcription=TranscriptionRequest(), output=Output.JSON, with_words=with_words)
    answer = json.loads(asr_body(wanted, SEGMENTS, language="en"))
    assert (answer["text"], answer["language"]) == ("Good day. Is\tit?", "en")
    first, second = answer["segments"]
    assert (first["id"], first["text"], second["start"]) == (0, " Good day.", 3.0)
    words = [{"word": " Good", "start": 1.0, "end": 1.5, "probability": 0.5}]
    assert first.get("words", [])[:1] == (words if with_words else [])


@pytest.mark.parametrize("rest", [b"", b"\x01"])
def test_raw_pcm_is_read_as_it_is(rest: bytes) -> None:
    samples = np.random.default_rng(1).integers(-32_768, 32_768, 40_000).astype("<i2")
    with closing(read_pcm(io.BytesIO(samples.tobytes() + rest), name="file")) as sound:
        assert np.array_equal(np.concatenate(list(sound.mono_blocks())), samples)


async def post(port: int, path: str, field: str, sound: bytes, **form: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        # As Bazarr sends it: the bytes of the sound alone, whose file name is then that of the field.
        return await client.post(path, files={field: (field, sound)}, data=form, timeout=30)


def silence() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16_000, np.int16), 16_000, format="WAV")
    return file.getvalue()


def pcm_of(path: Path) -> bytes:
    return to_int16(read_16k(path)).tobytes()


async def test_all_routes_give_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    path = moonshine_asset("beckett.wav")
    sound, pcm = path.read_bytes(), pcm_of(path)
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        answer = await post(port, "/v1/audio/transcriptions", "file", sound, response_format="srt")
        same = await post(port, "/inference", "file", sound, response_format="srt")
        bazarr = await post(
            port, "/asr?task=transcribe&language=en&output=srt&encode=false&video_name=a", "audio_file", pcm
        )
        text = await post(port, "/inference", "file", sound, temperature="0.0", temperature_inc="0.2")
        detected = await post(port, "/detect-language?encode=false", "audio_file", pcm)
    assert answer.text.startswith("1\n")
    assert answer.text == same.text
    assert bazarr.text == answer.text
    assert text.json()["text"]
    assert detected.json() == {"detected_language": "english", "language_code": "en", "confidence": 1.0}


@pytest.mark.parametrize(
    ("path", "field", "form", "body"),
    [
        (
            "/asr?output=pdf",
            "audio_file",
            {},
            {"detail": "output: 'pdf' is not supported; choose of: txt, vtt, srt, tsv, json"},
        ),
        ("/asr", "file", {}, {"detail": "the field `audio_file` is missing"}),
        (
            "/inference",
            "file",
            {"temperature": "x", "language": "de"},
            {"error": "language: the model transcribes en (setting language); 'de' cannot be chosen"},
        ),
        (
            "/inference",
            "file",
            {"response_format": "x"},
            {"error": "response_format: 'x' is not supported; choose of: json, text, srt, vtt, verbose_json"},
        ),
        ("/asr?task=translate", "audio_file", {}, {"detail": NOT_TRANSLATED}),
        ("/inference", "file", {"translate": "true"}, {"error": NOT_TRANSLATED}),
        (
            "/asr?language=de&encode=false",
            "audio_file",
            {},
            {"detail": "language: the model transcribes en (setting language); 'de' cannot be chosen"},
        ),
    ],
)
async def test_errors_have_the_form_of_the_route(
    monkeypatch: pytest.MonkeyPatch, path: str, field: str, form: dict[str, str], body: dict[str, str]
) -> None:
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        answer = await post(port, path, field, silence(), **form)
    assert answer.status_code == 400
    assert answer.json() == body


class Translator(FakeEngine):
    """An engine that detects the language, and translates."""

    @property
    def info(self) -> EngineInfo:
        detecting = LanguageSupport(known=("de", "en"), per_request=True, detects=True)
        return replace(super().info, languages=detecting, translates=True)


def german(batch: Batch) -> list[Transcript]:
    return [Transcript(text="Guten Tag", language="de") for _ in batch]


async def test_engine_that_translates_and_detects(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = moonshine_asset("beckett.wav").read_bytes()
    engine = Translator(german)
    server_state = composed(monkeypatch, engine, language="auto")
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        plain = await post(port, "/v1/audio/transcriptions", "file", sound)
        hints = [engine.hints[-1].translate]
        translated = await post(port, "/v1/audio/translations", "file", sound, response_format="verbose_json")
        hints.append(engine.hints[-1].translate)
        asr = await post(port, "/asr?task=translate&language=de&output=json", "audio_file", sound)
        hints.append(engine.hints[-1].translate)
        detected = await post(port, "/detect-language", "audio_file", sound)
    assert hints == [False, True, True]
    assert plain.json()["languages"] == [{"code": "de"}]
    assert (translated.json()["task"], translated.json()["language"]) == ("translate", "english")
    assert asr.json()["language"] == "en"
    assert detected.json() == {"detected_language": "german", "language_code": "de", "confidence": 1.0}
