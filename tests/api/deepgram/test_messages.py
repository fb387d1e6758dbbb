"""Messages of Deepgram's clients."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_stt.api.deepgram.messages import Configure, Control, KeytermsError, binary_text, parse_message
from trio_stt.errors import CommandError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "KeepAlive"}, Control.KEEP_ALIVE),
        ({"type": "Finalize"}, Control.FINALIZE),
        ({"type": "Finalize", "channel": 0}, Control.FINALIZE),
        ({"type": "CloseStream"}, Control.CLOSE_STREAM),
        ({"type": "Configure"}, Configure(None)),
        ({"type": "Configure", "keyterms": None, "features": {"numerals": True}}, Configure(None)),
        ({"type": "Configure", "keyterms": ["Trio", "Numba"]}, Configure(("Trio", "Numba"))),
        ({"type": "Configure", "keyterms": []}, Configure(())),
    ],
)
def test_text_messages(fields: dict[str, object], message: object) -> None:
    text = json.dumps(fields)
    assert parse_message(text) == message
    assert binary_text(text.encode()) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "[]", "{}", '"KeepAlive"', '{"type":"Close"}', '{"type":["KeepAlive"]}'),
        *('{"type":"KeepAlive","type":"Finalize"}', '{"type":"Configure","keyterms":"Trio"}'),
        *('{"type":"Configure","keyterms":[1]}', '{"type":"KeepAlive","x":"' + "a" * 70_000 + '"}', "[" * 60_000),
    ],
)
def test_invalid_messages(text: str) -> None:
    with pytest.raises(CommandError):
        parse_message(text)


@pytest.mark.parametrize("terms", [["x"] * 501, ["x" * 201] * 50])
def test_limit_of_keyterms_is_named(terms: list[str]) -> None:
    with pytest.raises(KeytermsError, match="keyterms may be at most 500 texts, together of at most 10000 characters"):
        parse_message(json.dumps({"type": "Configure", "keyterms": terms}))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", '{"type":"CloseStream"}'),
        (b'{"type": "CloseStream"}', '{"type": "CloseStream"}'),
        (b'{"type": "KeepAlive"}', '{"type": "KeepAlive"}'),
        (b'{"type": "KeepAlive"}' + b" " * 200, None),
        (b'{"type": "Unknown"}', '{"type": "Unknown"}'),
        (b'{"type": ["x"], "y": "\xff"}', None),
        (b'{"kind": "KeepAlive"}', None),
        (b"{\0\0\0", None),
        (b"\0\0", None),
    ],
)
def test_binary_frames(data: bytes, text: str | None) -> None:
    assert binary_text(data) == text


@given(st.text() | st.dictionaries(st.sampled_from(["type", "keyterms"]), st.none() | st.text()).map(json.dumps))
@settings(max_examples=50)
def test_any_text_is_a_message_or_a_short_error(text: str) -> None:
    error = ""
    try:
        parse_message(text)
    except CommandError as refused:
        error = str(refused)
    assert len(error) < 300


@given(st.binary() | st.binary().map(lambda data: b"{" + data))
def test_any_bytes_but_none_are_audio(data: bytes) -> None:
    assert (binary_text(data) is None) == (data != b"")
