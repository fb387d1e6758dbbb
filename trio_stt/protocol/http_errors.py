"""Bodies of HTTP errors in the form that the clients of each path read, also for requests rejected before routing."""

import msgspec

from trio_stt.protocol.deepgram_errors import LISTEN_PATH, DeepgramError, deepgram_error_json

_OPENAI_PATH = "/v1/"
_WHISPER_CPP_PATH = "/inference"
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_FIRST_SERVER_STATUS = 500


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: `param` names the field at fault, `code` is a word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of an error, and the last event of a stream that fails."""

    error: Fault


class WhisperCppError(msgspec.Struct, frozen=True):
    """The body of an error for clients of whisper.cpp's server."""

    error: str


class PlainError(msgspec.Struct, frozen=True):
    """The body of an error of all other routes."""

    detail: str


def error_type(path: str) -> type[msgspec.Struct]:
    """The type of what `error_json` writes."""
    if path == LISTEN_PATH:
        return DeepgramError
    if has_openai_errors(path):
        return ErrorBody
    return WhisperCppError if path == _WHISPER_CPP_PATH else PlainError


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> ErrorBody:
    """The body of an answer.

    Args:
        status: HTTP status, 400 to 599.
        message: One line that says what to do.
        param: The field at fault, or None.
        code: A word for programs, or None.
    """
    default = "server_error" if status >= _FIRST_SERVER_STATUS else "invalid_request_error"
    return ErrorBody(Fault(message=message, type=_TYPES.get(status, default), param=param, code=code))


def has_openai_errors(path: str) -> bool:
    """Whether the clients of this path read errors in OpenAI's form."""
    return path.startswith(_OPENAI_PATH) and path != LISTEN_PATH


def error_json(path: str, status: int, detail: str) -> bytes:
    """The JSON of an error as clients of this path read it: OpenAI's, Deepgram's, whisper.cpp's, or `detail` alone."""
    if path == LISTEN_PATH:
        return deepgram_error_json(status, detail)
    if has_openai_errors(path):
        return msgspec.json.encode(error_body(status, detail))
    return msgspec.json.encode(WhisperCppError(detail) if path == _WHISPER_CPP_PATH else PlainError(detail))
