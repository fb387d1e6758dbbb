"""The fields of a transcription request, validated. Pure: text fields in, one frozen object out."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain, count, takewhile

import msgspec

from trio_stt.api.request_error import RequestError
from trio_stt.sound.channels import MIX, ChannelChoice, parse_channels

_MAX_SILENCE_MS = 10_000.0
_MAX_PADDING_MS = 10_000.0
_SPEAKER_FIELDS = ("known_speaker_names", "known_speaker_references")


class ResponseFormat(StrEnum):
    """Format of the answer."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


class Chunking(msgspec.Struct, frozen=True):
    """How the sound is cut into utterances; None where the server's own setting applies.

    Attributes:
        threshold: Probability of speech from which it begins, 0 to 1.
        silence_duration_ms: Silence that ends an utterance, in milliseconds.
        prefix_padding_ms: Audio before an utterance, in milliseconds.
    """

    threshold: float | None = None
    silence_duration_ms: float | None = None
    prefix_padding_ms: float | None = None


class TranscriptionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A validated request.

    Attributes:
        model: The name that the client gave; any name means the loaded model.
        response_format: See `ResponseFormat`.
        languages: Languages as the client wrote them, in order of preference; empty if the server's setting applies.
        prompt: Text for the engine's prompt, or None.
        with_words: Whether `verbose_json` gives words with their times.
        with_segments: Whether `verbose_json` gives segments.
        with_logprobs: Whether `json` gives log probabilities, where the engine has confidences.
        stream: Whether the answer is a stream of events.
        chunking: How the sound is cut.
        translate: Whether the text is to be translated to English.
        channels: Which channels of the sound are transcribed; not OpenAI's.
    """

    model: str = ""
    response_format: ResponseFormat = ResponseFormat.JSON
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    with_words: bool = False
    with_segments: bool = True
    with_logprobs: bool = False
    stream: bool = False
    chunking: Chunking = Chunking()
    translate: bool = False
    channels: ChannelChoice = MIX


def parse_request(fields: Mapping[str, Sequence[str]]) -> TranscriptionRequest:
    """Validate the text fields of a form. Unknown fields are ignored, as OpenAI-compatible clients expect.

    Raises:
        RequestError: A value is invalid or not supported; `param` names its field.
    """
    reject_speakers(name for name, values in fields.items() if any(value.strip() for value in values))
    temperature = last(fields, "temperature")
    if temperature:
        # Validated only: the engines here decode deterministically.
        _number(temperature, "temperature", 1.0)
    granularities = _choices(fields, "timestamp_granularities", ("word", "segment"))
    prompt = " ".join(part for part in (last(fields, "prompt"), ", ".join(_all(fields, "keywords"))) if part)
    return TranscriptionRequest(
        model=last(fields, "model"),
        response_format=_response_format(last(fields, "response_format")),
        languages=tuple(name for name in [last(fields, "language"), *_all(fields, "languages")] if name),
        prompt=prompt or None,
        with_words="word" in granularities,
        with_segments=not granularities or "segment" in granularities,
        with_logprobs="logprobs" in _choices(fields, "include", ("logprobs",)),
        stream=boolean(last(fields, "stream"), "stream"),
        chunking=_chunking(fields),
        channels=_channels(last(fields, "channels")),
    )


def parse_translation_request(fields: Mapping[str, Sequence[str]]) -> TranscriptionRequest:
    """Validate the text fields of a request for a translation, which is never streamed; see `parse_request`.

    Raises:
        RequestError: A value is invalid or not supported; `param` names its field.
    """
    known = {name: values for name, values in fields.items() if name not in {"language", "stream"}}
    return msgspec.structs.replace(parse_request(known), translate=True)


def _all(fields: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """The values of a field that may be repeated: as `name`, as `name[]`, or, as PHP writes it, as `name[0]`."""
    numbered = takewhile(bool, (fields.get(f"{name}[{number}]", ()) for number in count()))
    found = chain(fields.get(name, ()), fields.get(f"{name}[]", ()), *numbered)
    return [value.strip() for value in found if value.strip()]


def _choices(fields: Mapping[str, Sequence[str]], name: str, supported: Sequence[str]) -> list[str]:
    """The values of a field that may be repeated, each one of the supported ones."""
    values = _all(fields, name)
    for value in values:
        if value not in supported:
            raise unsupported(name, value, ", ".join(supported))
    return values


def last(fields: Mapping[str, Sequence[str]], name: str) -> str:
    """The last value of a field; empty without one."""
    values = fields.get(name)
    return values[-1].strip() if values else ""


def unsupported(param: str, value: str, supported: str) -> RequestError:
    """The error for a value that is not among the supported ones."""
    return RequestError(
        400, f"{param}: {value[:100]!r} is not supported; choose of: {supported}", param=param, code="unsupported_value"
    )


def reject_speakers(names: Iterable[str]) -> None:
    """Reject a request that has one of the fields about speakers, whose names may end with brackets."""
    for each in names:
        name = each.partition("[")[0]
        if name in _SPEAKER_FIELDS:
            raise RequestError(
                400, f"{name}: speakers are not told apart by this server", param=name, code="unsupported_value"
            )


def _response_format(value: str) -> ResponseFormat:
    try:
        return ResponseFormat(value or ResponseFormat.JSON)
    except ValueError:
        raise unsupported("response_format", value, ", ".join(ResponseFormat)) from None


def boolean(value: str, param: str) -> bool:
    """A truth value as clients write it; empty is false.

    Raises:
        RequestError: It is none.
    """
    match value.lower():
        case "" | "false" | "0":
            return False
        case "true" | "1":
            return True
    raise RequestError(400, f"{param}: must be true or false, not {value[:100]!r}", param=param, code="invalid_value")


def _channels(value: str) -> ChannelChoice:
    try:
        return parse_channels(value or MIX)
    except ValueError as error:
        raise RequestError(400, f"channels: {error}", param="channels", code="invalid_value") from None


def _number(value: str | float, param: str, greatest: float) -> float:
    try:
        number = float(str(value).replace("_", "?"))  # Python takes 1_0 for 10
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= greatest:
        raise RequestError(400, f"{param}: must be a number from 0 to {greatest:g}", param=param, code="invalid_value")
    return number


def _chunking(fields: Mapping[str, Sequence[str]]) -> Chunking:
    """From `auto`, a JSON object, or fields such as `chunking_strategy[type]`, as different clients send it."""
    name = "chunking_strategy"
    text = last(fields, name)
    values: dict[str, object] = {
        key: last(fields, f"{name}[{key}]")
        for key in ("type", "threshold", "silence_duration_ms", "prefix_padding_ms")
        if last(fields, f"{name}[{key}]")
    }
    if text.startswith("{"):
        try:
            values |= msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):
            raise RequestError(400, f"{name}: is not a JSON object", param=name, code="invalid_value") from None
    elif text not in {"", "auto"}:
        raise unsupported(name, text, "auto, server_vad")
    if values.get("type", "server_vad") not in {"server_vad", "auto"}:
        raise unsupported(name, str(values["type"]), "auto, server_vad")

    def number(key: str, greatest: float) -> float | None:
        value = values.get(key)
        if value is None:
            return None
        if not isinstance(value, str | int | float):
            value = -1.0
        return _number(value, f"{name}[{key}]", greatest)

    return Chunking(
        threshold=number("threshold", 1.0),
        silence_duration_ms=number("silence_duration_ms", _MAX_SILENCE_MS),
        prefix_padding_ms=number("prefix_padding_ms", _MAX_PADDING_MS),
    )
