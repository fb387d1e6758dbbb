"""Requests for whisper.cpp's server and whisper-asr-webservice, validated. Pure: text fields in, frozen objects out."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from trio_stt.api.openai.transcription_request import (
    TranscriptionRequest,
    boolean,
    last,
    parse_request,
    unsupported,
)

_TASKS = ("transcribe", "translate")


class Output(StrEnum):
    """Format of the answer of `/asr`."""

    TXT = "txt"
    VTT = "vtt"
    SRT = "srt"
    TSV = "tsv"
    JSON = "json"


class AsrRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A validated request of `/asr` or `/detect-language`.

    Attributes:
        transcription: What is to be transcribed.
        output: See `Output`.
        with_words: Whether segments in `json` have words with their times.
        is_raw: Whether the sound has no header: 16-bit PCM, mono, 16 kHz.
    """

    transcription: TranscriptionRequest
    output: Output = Output.TXT
    with_words: bool = False
    is_raw: bool = False


def parse_asr_request(query: Mapping[str, Sequence[str]]) -> AsrRequest:
    """Validate the query of a request. Unknown parameters, and `vad_filter`, are ignored.

    Raises:
        RequestError: A value is invalid or not supported.
    """
    task, output = last(query, "task"), last(query, "output")
    if task not in {"", *_TASKS}:
        raise unsupported("task", task, ", ".join(_TASKS))
    try:
        chosen = Output(output or Output.TXT)
    except ValueError:
        raise unsupported("output", output, ", ".join(Output)) from None
    return AsrRequest(
        transcription=TranscriptionRequest(
            languages=tuple(filter(None, [last(query, "language")])),
            prompt=last(query, "initial_prompt") or None,
            translate=task == "translate",
        ),
        output=chosen,
        with_words=boolean(last(query, "word_timestamps"), "word_timestamps"),
        is_raw=not boolean(last(query, "encode") or "true", "encode"),
    )


def parse_inference_request(fields: Mapping[str, Sequence[str]]) -> TranscriptionRequest:
    """Validate the text fields of a form of whisper.cpp's clients; those of its decoder are ignored.

    Raises:
        RequestError: A value is invalid or not supported.
    """
    # whisper.cpp takes any temperature, for a fallback that is not needed here.
    known = {name: values for name, values in fields.items() if name not in {"temperature", "stream"}}
    wanted = parse_request(known)
    return msgspec.structs.replace(wanted, translate=boolean(last(fields, "translate"), "translate"))
