"""Fields of transcription requests as the usual clients send them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.api.openai.transcription_request import Chunking, ResponseFormat, TranscriptionRequest, parse_request
from trio_stt.api.request_error import RequestError
from trio_stt.api.request_language import choose_language
from trio_stt.lanes.engines.language_support import LanguageSupport

SERVER_VAD = '{"type": "server_vad", "threshold": 0.3, "silence_duration_ms": 400, "prefix_padding_ms": 200}'


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({}, TranscriptionRequest()),
        ({"model": ["whisper-1"], "response_format": [""]}, TranscriptionRequest(model="whisper-1")),
        ({"response_format": ["vtt"]}, TranscriptionRequest(response_format=ResponseFormat.VTT)),
        ({"stream": ["True"], "user": ["x"], "vad_filter": ["1"]}, TranscriptionRequest(stream=True)),
        ({"timestamp_granularities[]": ["word"]}, TranscriptionRequest(with_words=True, with_segments=False)),
        ({"timestamp_granularities": ["word", "segment"]}, TranscriptionRequest(with_words=True)),
        (
            {"timestamp_granularities[0]": ["word"], "timestamp_granularities[1]": ["segment"]},
            TranscriptionRequest(with_words=True),
        ),
        ({"include[]": ["logprobs"]}, TranscriptionRequest(with_logprobs=True)),
        ({"language": ["en"], "languages[]": ["de", "fr"]}, TranscriptionRequest(languages=("en", "de", "fr"))),
        (
            {"prompt": ["Ada"], "keywords[]": ["Babbage", "Lovelace"]},
            TranscriptionRequest(prompt="Ada Babbage, Lovelace"),
        ),
        ({"temperature": ["0.4"], "chunking_strategy": ["auto"]}, TranscriptionRequest()),
        ({"chunking_strategy": [SERVER_VAD]}, TranscriptionRequest(chunking=Chunking(0.3, 400, 200))),
        (
            {"chunking_strategy[type]": ["server_vad"], "chunking_strategy[silence_duration_ms]": ["400"]},
            TranscriptionRequest(chunking=Chunking(silence_duration_ms=400)),
        ),
    ],
)
def test_fields(fields: dict[str, list[str]], request_: TranscriptionRequest) -> None:
    assert parse_request(fields) == request_


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("response_format", "diarized_json", "response_format"),
        ("temperature", "2", "temperature"),
        ("temperature", "nan", "temperature"),
        ("temperature", "0_1", "temperature"),
        ("timestamp_granularities[]", "line", "timestamp_granularities"),
        ("include[]", "logprob", "include"),
        ("stream", "maybe", "stream"),
        ("known_speaker_names[]", "Ada", "known_speaker_names"),
        ("known_speaker_references[0]", "data:,", "known_speaker_references"),
        ("chunking_strategy", "{", "chunking_strategy"),
        ("chunking_strategy", '{"type": "other"}', "chunking_strategy"),
        ("chunking_strategy", '{"threshold": 3}', "chunking_strategy[threshold]"),
        ("chunking_strategy", '{"threshold": []}', "chunking_strategy[threshold]"),
        ("chunking_strategy", "sometimes", "chunking_strategy"),
    ],
)
def test_invalid_value_names_its_field(field: str, value: str, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request({field: [value]})
    assert (caught.value.status, caught.value.param) == (400, param)


NAMES = st.sampled_from(["stream", "temperature", "chunking_strategy", "include[]", "include[0]"])


@given(st.dictionaries(NAMES, st.lists(st.text())))
def test_no_value_raises_anything_else(fields: dict[str, list[str]]) -> None:
    with suppress(RequestError):
        parse_request(fields)


def test_language_that_the_model_lacks_is_refused() -> None:
    english = LanguageSupport(known=("en",), loaded="en")
    assert choose_language(["de", "en-US"], english) is None, "one of several is enough"
    with pytest.raises(RequestError, match="language: the model does not have 'de'; it has en") as caught:
        choose_language(["de"], english)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "language", "unsupported_value")
