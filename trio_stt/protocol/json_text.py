"""Parses JSON of untrusted clients into objects, in linear time, with bounded depth and numbers."""

import msgspec

from trio_stt.errors import WireError

DUPLICATE_KEY = "an object has a duplicate key"
_SHOWN_CHARACTERS = 60


def json_object(text: str | bytes, what: str, error: type[WireError]) -> dict[str, object]:
    """Parse a JSON object from untrusted text.

    Args:
        text: The text, or its bytes in UTF-8.
        what: Name of the text in error messages.
        error: Type of the error to raise.

    Raises:
        WireError: The text is not JSON, not an object, or has an object with a duplicate key.
    """
    try:
        value = msgspec.json.decode(text)
        is_ambiguous = has_duplicate_key(text, value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as reason:
        raise error(f"invalid JSON in {what}: {str(reason)[:_SHOWN_CHARACTERS]}") from None
    if not isinstance(value, dict):
        raise error(f"{what} must be a JSON object")
    if is_ambiguous:
        raise error(f"invalid JSON in {what}: {DUPLICATE_KEY}")
    return value


def has_duplicate_key(text: str | bytes, value: object) -> bool:
    """Whether an object in this JSON has a duplicate key: readers then disagree about its meaning (RFC 8259, 4).

    A parser keeps one value for each key, so a text with a duplicate key has more colons than its value encoded again.

    Args:
        text: JSON.
        value: The parsed text; parts left raw are not searched.

    Raises:
        RecursionError: The value is nested too deeply to be encoded.
    """
    raw = text if isinstance(text, bytes) else text.encode()
    if isinstance(value, dict) and raw.count(b":") == len(value):
        return False  # the usual case: nothing nested, and no string with a colon
    return _colons(raw) != _colons(msgspec.json.encode(value))


def _colons(raw: bytes) -> int:
    escaped = raw.replace(b"\\\\", b"").lower().count(b"\\u003a") if b"\\" in raw else 0
    return raw.count(b":") + escaped
