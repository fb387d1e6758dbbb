"""The forms, queries and bodies of requests, for the description of the routes. Pure: types only.

No request is decoded with them. The parsers of the routes accept more spellings than these types say, because clients
differ: `transcription_request`, `asr_request`, `deepgram.options` and `session_config` have the rules.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trio_stt.api.openai.transcription_request import ResponseFormat
from trio_stt.api.whisper.asr_request import Output
from trio_stt.dsp.kernels import MAX_CHANNELS
from trio_stt.sound.channels import MAX_CHANNEL

Sound = Annotated[
    str,
    Meta(
        description="A sound file of any kind, detected from its content.",
        extra_json_schema={"format": "binary", "contentMediaType": "application/octet-stream"},
    ),
]
JsonObject = dict[str, object]
_Language = Annotated[str, Meta(description="Such as `en`, `en-US`, `eng` or `English`; by default the server's.")]
_Languages = Annotated[list[str], Meta(description="In order of preference; the first that the model can have.")]
_Model = Annotated[str, Meta(description="Any name means the loaded model.")]
_Prompt = Annotated[str, Meta(description="For engines that take a prompt.")]
_Terms = Annotated[list[str], Meta(description="Words for the prompt.")]
_Temperature = Annotated[float, Meta(ge=0, le=1, description="Without effect: engines decode deterministically.")]
_Channels = Annotated[
    Literal["mix", "separate"] | Annotated[int, Meta(ge=1, le=MAX_CHANNEL)],
    Meta(description="Of stereo and more: mix them, take each as a speaker of its own, or take one. Not OpenAI's."),
]
_Granularities = Annotated[list[Literal["word", "segment"]], Meta(description="With `verbose_json`.")]


class InferenceForm(msgspec.Struct, kw_only=True):
    """The form of whisper.cpp's clients; other fields are ignored."""

    file: Sound
    language: _Language | UnsetType = UNSET
    prompt: _Prompt | UnsetType = UNSET
    response_format: ResponseFormat = ResponseFormat.JSON
    translate: Annotated[bool, Meta(description="Into English, where the model translates.")] = False


class TranslationForm(msgspec.Struct, kw_only=True):
    """The form of a translation into English; other fields are ignored."""

    file: Sound
    model: _Model | UnsetType = UNSET
    prompt: _Prompt | UnsetType = UNSET
    keywords: _Terms | UnsetType = msgspec.field(name="keywords[]", default=UNSET)
    response_format: ResponseFormat = ResponseFormat.JSON
    timestamp_granularities: _Granularities | UnsetType = msgspec.field(name="timestamp_granularities[]", default=UNSET)
    temperature: _Temperature | UnsetType = UNSET
    chunking_strategy: (
        Annotated[
            str,
            Meta(
                description="`auto`, or a JSON object of the type `server_vad` with `threshold`, `silence_duration_ms`"
                " and `prefix_padding_ms`.",
                examples=["auto"],
            ),
        ]
        | UnsetType
    ) = UNSET


class TranscriptionForm(TranslationForm, kw_only=True):
    """The form of a transcription; other fields are ignored."""

    channels: _Channels = "mix"

    language: _Language | UnsetType = UNSET
    languages: _Languages | UnsetType = msgspec.field(name="languages[]", default=UNSET)
    include: Annotated[list[Literal["logprobs"]], Meta(description="With `json`.")] | UnsetType = msgspec.field(
        name="include[]", default=UNSET
    )
    stream: Annotated[bool, Meta(description="Answers with server-sent events.")] = False


class AsrForm(msgspec.Struct, kw_only=True):
    """The form of whisper-asr-webservice's clients; their other values are in the query."""

    audio_file: Sound


class DetectionQuery(msgspec.Struct, kw_only=True):
    """The query of `/detect-language`."""

    encode: Annotated[bool, Meta(description="False for 16-bit PCM, mono, 16 kHz, without a header.")] = True


class AsrQuery(DetectionQuery, kw_only=True):
    """The query of `/asr`."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: _Language | UnsetType = UNSET
    initial_prompt: _Prompt | UnsetType = UNSET
    output: Output = Output.TXT
    word_timestamps: Annotated[bool, Meta(description="With `json`.")] = False


class ListenQuery(msgspec.Struct, kw_only=True):
    """The query of Deepgram's clients that send a file; other parameters have no effect."""

    model: _Model | UnsetType = UNSET
    language: _Language | UnsetType = UNSET
    detect_language: bool = False
    encoding: (
        Annotated[str, Meta(description="`linear16`, `linear32`, `mulaw` or `alaw`: samples without a header.")]
        | UnsetType
    ) = UNSET
    sample_rate: Annotated[int, Meta(ge=8_000, le=48_000, description="Of such samples, in Hz.")] | UnsetType = UNSET
    channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS, description="Of such samples; mixed down.")] = 1
    multichannel: Annotated[bool, Meta(description="Transcribe each channel on its own.")] = False
    keyterm: _Terms | UnsetType = UNSET
    utterances: bool = False
    paragraphs: bool = False


class ExpiresAfter(msgspec.Struct, kw_only=True):
    """How long a client secret is valid."""

    seconds: Annotated[int, Meta(ge=10, le=7200)] = 600


class SecretRequest(msgspec.Struct, kw_only=True):
    """What a client secret opens: a session with this configuration, as in `session.update`."""

    session: JsonObject | UnsetType = UNSET
    expires_after: ExpiresAfter | UnsetType = UNSET
