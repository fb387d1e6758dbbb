"""JSON objects out of what strangers send: bounded depth, bounded numbers, in linear time. It knows no message."""

import msgspec

from trio_stt.errors import WireError

_SHOWN_CHARACTERS = 60


def json_object(text: str | bytes, what: str, error: type[WireError]) -> dict[str, object]:
    """A JSON object, however hostile the text.

    Raises:
        WireError: Of the type `error`: the text is not JSON, or not an object; the message names `what`.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as reason:
        raise error(f"invalid JSON in {what}: {str(reason)[:_SHOWN_CHARACTERS]}") from None
    if not isinstance(value, dict):
        raise error(f"{what} must be a JSON object")
    return value
