"""The fuzzing harness of `.ci/run --long` finds planted faults, and none in ordinary messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import harness
from trio_stt.errors import PacketError


@pytest.mark.parametrize("seed", harness.SEEDS)
def test_ordinary_messages_pass(seed: bytes) -> None:
    harness.check_input(seed)


@given(st.sampled_from(harness.SEEDS), st.integers(0, 100), st.binary(max_size=8))
def test_mutated_messages_pass(seed: bytes, at: int, inserted: bytes) -> None:
    harness.check_input(seed[:at] + inserted + seed[at + len(inserted) :])


def test_unexpected_exception_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising_parser(frame: bytes, **_: object) -> object:
        return frame[3]

    monkeypatch.setattr(harness, "parse_packet", raising_parser)
    with pytest.raises(IndexError):
        harness.check_input(b"")


@pytest.mark.parametrize("message", ["", "two\nlines", "x" * 1000, "half \ud800"])
def test_unencodable_error_is_found(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise PacketError(message)

    monkeypatch.setattr(harness, "parse_packet", refuse)
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        harness.check_input(b"")
