"""JSON objects out of what strangers send: bounded depth, bounded numbers, in linear time. It knows no message."""

import msgspec

from trio_stt.errors import WireError

KEY_TWICE = "a key comes twice in an object"
_SHOWN_CHARACTERS = 60


def json_object(text: str | bytes, what: str, error: type[WireError]) -> dict[str, object]:
    """A JSON object, however hostile the text.

    Raises:
        WireError: Of the type `error`: the text is not JSON, or not an object, or a key comes twice in an object of it;
            the message names `what`.
    """
    try:
        value = msgspec.json.decode(text)
        is_ambiguous = repeats_key(text, value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as reason:
        raise error(f"invalid JSON in {what}: {str(reason)[:_SHOWN_CHARACTERS]}") from None
    if not isinstance(value, dict):
        raise error(f"{what} must be a JSON object")
    if is_ambiguous:
        raise error(f"invalid JSON in {what}: {KEY_TWICE}")
    return value


def repeats_key(text: str | bytes, value: object) -> bool:
    """Whether a key comes twice in an object of this JSON: what it says depends on who reads it then (RFC 8259, 4).

    Readers keep one of each key, so a text that repeats one has more keys, and colons behind them, than its value.

    Args:
        text: JSON.
        value: What msgspec read in it, as a whole or with parts left raw; raw parts are not looked into.

    Raises:
        RecursionError: It is nested so deep that it could only just be read.
    """
    raw = text if isinstance(text, bytes) else text.encode()
    if isinstance(value, dict) and raw.count(b":") == len(value):
        return False  # nearly every message: nothing nested, and no string with a colon
    return _colons(raw) != _colons(msgspec.json.encode(value))


def _colons(raw: bytes) -> int:
    escaped = raw.replace(b"\\\\", b"").lower().count(b"\\u003a") if b"\\" in raw else 0
    return raw.count(b":") + escaped
