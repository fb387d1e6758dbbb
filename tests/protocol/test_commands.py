"""Commands: text frames to commands or errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.errors import CommandError
from trio_stt.protocol.commands import MAX_PROMPT_CHARACTERS, Command, Flush, Start, parse_command


@pytest.mark.contract("2.2")
@pytest.mark.parametrize("command", Command)
def test_commands_parse_with_extra_keys(command: Command) -> None:
    assert parse_command(f'{{"type": "{command}", "extra": [1, {{"a": null}}]}}') is command


@pytest.mark.contract("2.2")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid JSON"),
        ("nonsense", "invalid JSON"),
        ("{", "invalid JSON"),
        ("[" * 30_000 + "]" * 30_000, "invalid JSON"),
        ('{"type": ' + "[" * 100_000, "longer than"),
        ('{"type": "ping", "n": 1' + "0" * 5000 + "}", "invalid JSON"),
        ('{"type": "ping", "n": NaN}', "invalid JSON"),
        ("\ud800", "invalid JSON"),
        ("[]", "must be a JSON object"),
        ('"start"', "must be a JSON object"),
        ("7", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("{}", "unknown command type None"),
        ('{"type": "dance"}', "unknown command type 'dance'"),
        ('{"type": ["start"]}', r"unknown command type \['start'\]"),
        (
            '{"type": "START"}',
            "unknown command type 'START'; known are start, stop, clear, ping, metrics, flush, resume",
        ),
        ('{"type": "start", "language": 7}', "start language must be a string of at most 64 characters or null"),
        ('{"type": "start", "language": "' + "x" * 65 + '"}', "start language must be a string of at most 64"),
        ('{"type": "start", "prompt": ["Ada"]}', "start prompt must be a string of at most 10000 characters or null"),
        ('{"type": "start", "interim": "no"}', "start interim must be true, false or null"),
        ('{"type": "start", "interim": 0}', "start interim must be true, false or null"),
        ('{"type": "start", "endpointing": "semantic"}', "start endpointing must be fixed, adaptive or null"),
        ('{"type": "start", "endpointing": ["fixed"]}', "start endpointing must be fixed, adaptive or null"),
    ],
)
def test_invalid_commands_are_rejected_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        parse_command(text)


@pytest.mark.contract("2.2")
@given(st.text(max_size=60))
def test_any_text_is_a_command_or_a_short_error(text: str) -> None:
    try:
        parse_command(text)
    except CommandError as error:
        message = str(error)
    else:
        message = ""
    assert len(message) < 200


@pytest.mark.parametrize(
    ("written", "read"), [('"a"', "a"), ('""', ""), ("7", 7), ("-1", -1), ("null", None), (f'"{"x" * 256}"', "x" * 256)]
)
def test_flush_has_its_id(written: str, read: object) -> None:
    assert parse_command(f'{{"type": "flush", "id": {written}}}') == Flush(read)  # type: ignore[arg-type]  # any case


def test_flush_without_id_has_null() -> None:
    assert parse_command('{"type": "flush"}') == Flush(None)


@pytest.mark.parametrize("unfit", ["true", "1.5", "[]", "{}", "9223372036854775808", f'"{"x" * 257}"'])
def test_invalid_flush_id_is_rejected_and_names_the_allowed_types(unfit: str) -> None:
    allowed = "a string of at most 256 characters, an integer of 64 bits or null"
    with pytest.raises(CommandError, match=f"flush id must be {allowed}"):
        parse_command(f'{{"type": "flush", "id": {unfit}}}')


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ("", Start()),
        (', "language": "de", "extra": 1', Start(language="de")),
        (', "language": null, "prompt": "", "interim": false', Start(language=None, prompt="", interim=False)),
        (', "endpointing": "adaptive"', Start(endpointing="adaptive")),
        (f', "prompt": "{"x" * MAX_PROMPT_CHARACTERS}"', Start(prompt="x" * MAX_PROMPT_CHARACTERS)),
    ],
    ids=["none", "one", "all", "endpointing", "longest"],
)
def test_start_has_what_the_client_chose(fields: str, start: Start) -> None:
    assert parse_command(f'{{"type": "start"{fields}}}') == start
