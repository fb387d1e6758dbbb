"""The parameters of `/v1/listen`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_stt.api.deepgram.options import Encoding, ListenOptions, parse_options
from trio_stt.api.deepgram.route import with_language
from trio_stt.api.request_error import RequestError
from trio_stt.lanes.engines.language_support import LanguageSupport

RAW = {"encoding": ["linear16"], "sample_rate": ["16000"]}
NAMES = [
    *("model", "language", "encoding", "sample_rate", "channels", "multichannel", "interim_results", "endpointing"),
    *("utterance_end_ms", "vad_events", "keyterm", "keywords", "callback", "utterances", "detect_language", "redact"),
]


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ({}, {}),
        (RAW, {"encoding": Encoding.LINEAR16, "sample_rate_hz": 16_000}),
        (
            {"encoding": ["LINEAR32"], "sample_rate": ["48000"]},
            {"encoding": Encoding.LINEAR32, "sample_rate_hz": 48_000},
        ),
        ({"encoding": ["mulaw"]}, {"encoding": Encoding.MULAW, "sample_rate_hz": 8_000}),
        ({"encoding": ["alaw"], "sample_rate": ["16000"]}, {"encoding": Encoding.ALAW, "sample_rate_hz": 16_000}),
        ({"encoding": ["opus"], "sample_rate": ["48000"]}, {"encoding": Encoding.OPUS}),
        ({"encoding": ["ogg-opus"], "sample_rate": ["48000"]}, {}),
        ({"encoding": ["flac"]}, {}),
        ({"sample_rate": ["16000"]}, {}),
        ({"encoding": ["flac"], "sample_rate": ["96000"]}, {}),  # the file says its own
        ({"encoding": ["opus"], "sample_rate": ["any"]}, {"encoding": Encoding.OPUS}),
        ({"channels": ["2", "1"], "encoding": ["mulaw", "alaw"]}, {"encoding": Encoding.ALAW, "sample_rate_hz": 8_000}),
        ({"channels": ["2"]}, {"channels": 2}),
        ({"channels": ["1"], "multichannel": ["true"]}, {"multichannel": True}),
        ({"interim_results": ["true"], "vad_events": ["True"]}, {"interim_results": True, "vad_events": True}),
        ({"interim_results": ["false"]}, {}),
        ({"endpointing": ["25"]}, {"endpointing_ms": 25}),
        ({"endpointing": ["25.0"], "utterance_end_ms": ["1000.0"]}, {"endpointing_ms": 25, "utterance_end_ms": 1000}),
        ({"endpointing": ["true"]}, {}),
        ({"endpointing": ["false"]}, {"tells_speech_final": False}),
        ({"endpointing": ["0"]}, {"tells_speech_final": False}),
        ({"endpointing": ["0.0"]}, {"tells_speech_final": False}),
        ({"utterance_end_ms": ["1000"]}, {"utterance_end_ms": 1000}),
        ({"utterance_end_ms": ["false"]}, {}),
        ({"model": ["nova-3"], "language": ["en-US"]}, {"model": "nova-3", "language": "en-US"}),
        ({"language": ["multi"]}, {}),
        ({"keyterm": ["Trio", " Numba "], "keywords": ["Quart:2", "Trio"]}, {"keyterms": ("Trio", "Numba", "Quart")}),
        ({"detect_language": ["en"], "utterances": ["true"]}, {"detect_language": True, "utterances": True}),
        ({"diarize": ["true"], "redact": ["pci", "ssn"], "no_delay": ["true"], "who": ["knows"]}, {}),
    ],
)
def test_parameters(query: dict[str, list[str]], changes: dict[str, object]) -> None:
    assert parse_options(query) == ListenOptions(**changes)  # type: ignore[arg-type] # fields of several types


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"encoding": ["linear16"]}, "sample_rate: encoding=linear16 needs it"),
        ({"encoding": ["amr-nb"]}, "encoding: 'amr-nb' is not supported; choose of: linear16, linear32, mulaw"),
        (RAW | {"sample_rate": ["7999"]}, "sample_rate: must be an integer from 8000 to 48000, not '7999'"),
        (RAW | {"sample_rate": ["9" * 5000]}, "sample_rate: must be an integer"),
        (RAW | {"channels": ["9"]}, "channels: must be an integer from 1 to 8, not '9'"),
        ({"channels": ["2"], "multichannel": ["true"]}, "multichannel: live channels need an encoding of samples"),
        ({"interim_results": ["maybe"]}, "interim_results: must be true or false, not 'maybe'"),
        ({"endpointing": ["-1"]}, "endpointing: must be an integer from 0 to 60000, not '-1'"),
        ({"endpointing": ["²"]}, "endpointing: must be an integer"),
        ({"endpointing": ["25.5"]}, "endpointing: must be an integer from 0 to 60000, not '25.5'"),
        ({"utterance_end_ms": ["99"]}, "utterance_end_ms: must be an integer from 100 to 60000, not '99'"),
        ({"callback": ["http://localhost"]}, "callback: this server calls no address"),
        ({"keyterm": [f"word{number}" for number in range(501)]}, "keyterm: must be at most 500 texts"),
        ({"keyterm": ["x" * 5001, "y" * 5001]}, "keyterm: must be at most 500 texts, together of at most 10000"),
    ],
)
def test_refused_parameters(query: dict[str, list[str]], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_options(query)
    assert str(refused.value).startswith(message)
    assert refused.value.status == 400


def test_language_of_a_client_counts_where_those_of_the_model_are_known() -> None:
    options = ListenOptions(language="en-US")
    assert with_language(options, LanguageSupport(known=("en",), loaded="en")) == options
    assert with_language(options, LanguageSupport()) == ListenOptions()  # Pipecat and LiveKit send one always
    for languages in (LanguageSupport(known=("de",), loaded="de"), LanguageSupport(assumed="de")):
        with pytest.raises(RequestError, match="language: "):
            with_language(options, languages)


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.text(), max_size=3), max_size=4))
@settings(max_examples=50)
def test_any_query_gives_options_or_a_short_error(query: dict[str, list[str]]) -> None:
    error = ""
    try:
        parse_options(query)
    except RequestError as refused:
        error = str(refused)
    assert len(error) < 400
