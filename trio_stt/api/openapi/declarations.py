"""The HTTP routes as `/openapi.json` describes them: one declaration each, beside those of the page.

A test compares them with the routes of the app. Which key a route needs, and the form of its errors, follow from its
path: `access.middleware` and `protocol.http_errors` have the rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from trio_stt.api.deepgram.answers import FileAnswer
from trio_stt.api.openai.answers import TextDelta, TextDone, Transcription, VerboseTranscription
from trio_stt.api.openai.models import ModelEntry, ModelList
from trio_stt.api.openai_realtime.client_secrets import SecretAnswer
from trio_stt.api.openapi.requests import (
    AsrForm,
    AsrQuery,
    DetectionQuery,
    InferenceForm,
    JsonObject,
    ListenQuery,
    SecretRequest,
    Sound,
    TranscriptionForm,
    TranslationForm,
)
from trio_stt.api.subtitles import SubtitleRequest
from trio_stt.api.whisper.asr_answers import AsrTranscript, DetectedLanguage
from trio_stt.protocol.config_reports import ConfigReport, ConfigUpdateReport, InvalidBody, InvalidSettings
from trio_stt.protocol.deepgram_errors import LISTEN_PATH
from trio_stt.protocol.http_errors import PlainError
from trio_stt.protocol.reports import HealthReport, HistoryReport, MetricsReport, ProbeReport

Content = Mapping[str, tuple[Any, ...]]
"""The types of a body by media type; several are alternatives."""

_JSON, _TEXT, _FORM = "application/json", "text/plain", "multipart/form-data"
_Events = Annotated[
    str,
    Meta(
        description="Server-sent events with JSON: a `TextDelta` for each utterance, at the end a `TextDone`, or an"
        " `ErrorBody` after a failure."
    ),
]
_AsrText = Annotated[str, Meta(description="With `output=json` an `AsrTranscript`.")]
_TRANSCRIPT: Content = {
    _JSON: (Transcription, VerboseTranscription),
    _TEXT: (Annotated[str, Meta(description="The text, or subtitles in SRT.")],),
    "text/vtt": (str,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route.

    Attributes:
        method: The HTTP method.
        path: As OpenAPI writes it: `/v1/models/{model_id}`.
        tag: Heading below which tools list it.
        summary: One line that says what it is for.
        query: The type whose fields are the parameters of the query, or None.
        body: Of the request; empty without one.
        needs_body: Whether the request must have it.
        answers: Bodies by status. All other statuses have the body of an error.
        text_types: Types that stand as JSON inside a text of an answer.
    """

    method: str = "GET"
    path: str
    tag: str
    summary: str
    query: type | None = None
    body: Content = field(default_factory=dict)
    needs_body: bool = True
    answers: Mapping[int, Content]
    text_types: tuple[type, ...] = ()


def _get(path: str, tag: str, summary: str, answer: Any) -> Operation:
    return Operation(path=path, tag=tag, summary=summary, answers={200: {_JSON: (answer,)}})


def _probe(path: str, summary: str) -> Operation:
    answer: Content = {_JSON: (ProbeReport,)}
    return Operation(path=path, tag="Health", summary=summary, answers={200: answer, 503: answer})


_LIVE, _READY = "Whether the process needs no restart", "Whether a new client would be served"

OPERATIONS = (
    _get("/health", "Health", "State of the server and its lanes", HealthReport),
    _probe("/healthz", _LIVE),
    _probe("/livez", _LIVE),
    _probe("/health/live", _LIVE),
    _probe("/readyz", _READY),
    _probe("/health/ready", _READY),
    _get("/openapi.json", "Operations", "This description", JsonObject),
    Operation(
        path="/metrics",
        tag="Operations",
        summary="Figures for Prometheus",
        answers={200: {_TEXT: (str,), "application/openmetrics-text": (str,)}},
    ),
    _get("/api/metrics", "Operations", "Figures of lanes and sessions", MetricsReport),
    _get("/api/history", "Operations", "The last hour of the server", HistoryReport),
    _get("/api/config", "Operations", "The public settings and limits", ConfigReport),
    Operation(
        method="PATCH",
        path="/api/config",
        tag="Operations",
        summary="Change settings by their names; without keys, from the server's own machine only",
        body={_JSON: (JsonObject,)},
        answers={
            200: {_JSON: (ConfigUpdateReport,)},
            400: {_JSON: (ConfigUpdateReport, InvalidSettings, PlainError)},
            422: {_JSON: (InvalidBody,)},
        },
    ),
    Operation(
        method="POST",
        path="/api/subtitles",
        tag="Operations",
        summary="Write a transcript as subtitles",
        body={_JSON: (SubtitleRequest,)},
        answers={200: {"application/x-subrip": (str,), "text/vtt": (str,)}},
    ),
    _get("/v1/models", "OpenAI", "The loaded models", ModelList),
    _get("/v1/models/{model_id}", "OpenAI", "One model", ModelEntry),
    Operation(
        method="POST",
        path="/v1/audio/transcriptions",
        tag="OpenAI",
        summary="Transcribe a sound file",
        body={_FORM: (TranscriptionForm,)},
        answers={200: {**_TRANSCRIPT, "text/event-stream": (_Events,)}},
        text_types=(TextDelta, TextDone),
    ),
    Operation(
        method="POST",
        path="/v1/audio/translations",
        tag="OpenAI",
        summary="Translate a sound file into English text, where the model translates",
        body={_FORM: (TranslationForm,)},
        answers={200: _TRANSCRIPT},
    ),
    Operation(
        method="POST",
        path="/v1/realtime/client_secrets",
        tag="OpenAI Realtime",
        summary="Make a key for one page, which opens realtime sessions until it expires",
        body={_JSON: (SecretRequest,)},
        needs_body=False,
        answers={200: {_JSON: (SecretAnswer,)}},
    ),
    Operation(
        method="POST",
        path="/v1/realtime/transcription_sessions",
        tag="OpenAI Realtime",
        summary="The same for clients of the Beta; the body is the session",
        body={_JSON: (JsonObject,)},
        needs_body=False,
        answers={200: {_JSON: (JsonObject,)}},
    ),
    Operation(
        method="POST",
        path=LISTEN_PATH,
        tag="Deepgram",
        summary="Transcribe a sound file, or samples without a header",
        query=ListenQuery,
        body={"audio/*": (Sound,), "application/octet-stream": (Sound,)},
        answers={200: {_JSON: (FileAnswer,)}},
    ),
    Operation(
        method="POST",
        path="/inference",
        tag="whisper.cpp",
        summary="Transcribe a sound file",
        body={_FORM: (InferenceForm,)},
        answers={200: _TRANSCRIPT},
    ),
    Operation(
        method="POST",
        path="/asr",
        tag="whisper-asr-webservice",
        summary="Transcribe a sound file",
        query=AsrQuery,
        body={_FORM: (AsrForm,)},
        answers={200: {_TEXT: (_AsrText,)}},
        text_types=(AsrTranscript,),
    ),
    Operation(
        method="POST",
        path="/detect-language",
        tag="whisper-asr-webservice",
        summary="Detect the language of a sound file",
        query=DetectionQuery,
        body={_FORM: (AsrForm,)},
        answers={200: {_JSON: (DetectedLanguage,)}},
    ),
)
