"""JSON of untrusted clients: duplicate keys are found in any spelling, and other keys never are."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.errors import CommandError, PacketError
from trio_stt.protocol.commands import Command, parse_command
from trio_stt.protocol.json_text import has_duplicate_key
from trio_stt.protocol.packets import parse_packet

DUPLICATES = [
    '{"type":"ping","type":"stop"}',
    '{"type":"ping","type":"ping"}',
    '{"type":"ping","more":{"a":1,"a":1}}',
    '{"type":"ping","more":[{},{"a":{},"a":{}}]}',
    r'{"type":"ping","\u0074ype":"stop"}',
    r'{"type":"stop","more":"\u003a","type":"ping"}',
    r'{"type":"stop","more":"\\\u003A","more":"\\u003a"}',
    '{"type":"stop","":1,"":2}',
]


@pytest.mark.contract("2.2")
@pytest.mark.parametrize("text", DUPLICATES)
def test_command_with_duplicate_key_is_rejected(text: str) -> None:
    with pytest.raises(CommandError, match=r"^invalid JSON in command: an object has a duplicate key$"):
        parse_command(text)


@pytest.mark.contract("2.3")
def test_packet_metadata_with_duplicate_key_is_rejected() -> None:
    metadata = b'{"sampleRate":16000,"channels":1,"sampleRate":48000}'
    with pytest.raises(PacketError, match=r"^invalid JSON in audio packet metadata: an object has a duplicate key$"):
        parse_packet(len(metadata).to_bytes(4, "little") + metadata, max_payload_bytes=0)


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_nesting_of_any_depth_is_a_command_or_an_error(opens: str, closes: str) -> None:
    outcomes = set()
    for depth in range(1, 1200):
        text = f'{{"type":"ping","x":":","n":{opens * depth}0{closes * depth}}}'
        try:
            outcomes.add(parse_command(text))
        except CommandError:
            outcomes.add(None)
    assert outcomes == {Command.PING, None}


class Members(list[tuple[str, object]]):
    """Members of a JSON object as written; keys may repeat."""


KEYS = st.text(alphabet='ab:\\"u03A', max_size=3)
VALUES = st.recursive(
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(alphabet=':\\"u03a\u00e9', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=3).map(Members),
    max_leaves=8,
)


def written(value: object, escape: bool) -> str:
    match value:
        case Members():
            return "{" + ",".join(f"{written(key, escape)}: {written(inner, escape)}" for key, inner in value) + "}"
        case list():
            return "[" + ", ".join(written(inner, escape) for inner in value) + "]"
        case str() if escape:
            return json.dumps(value).replace(":", r"\u003A")
        case _:
            return json.dumps(value, ensure_ascii=False)


def has_duplicate(value: object) -> bool:
    if isinstance(value, Members):
        return len(dict(value)) < len(value) or any(has_duplicate(inner) for _, inner in value)
    return isinstance(value, list) and any(map(has_duplicate, value))


@given(VALUES, st.booleans(), st.booleans())
def test_exactly_duplicate_keys_are_found_at_any_place(value: object, escape: bool, as_bytes: bool) -> None:
    text = written(value, escape)
    given_text = text.encode() if as_bytes else text
    assert has_duplicate_key(given_text, msgspec.json.decode(text)) == has_duplicate(value)
