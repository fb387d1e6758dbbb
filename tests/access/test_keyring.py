"""Keys presented to a running server: right, wrong, revoked, and throttled."""

import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.keys import SCRYPT_ENTRY, SCRYPT_KEY, add_key
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.keyring import WRONG_KEY, Keyring
from trio_stt.access.keys import KeyRecord, KeyScope, add_to_file, create_key, parse_entries, remove_from_file
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings

ADDRESS, OTHER_ADDRESS = "203.0.113.9", "198.51.100.7"


def ring(tmp_path: Path, *, most: int = 3, entries: str = "") -> tuple[Keyring, Path]:
    path = tmp_path / "keys"
    path.touch()
    return Keyring(load_settings({"keys_file": str(path), "keys": entries}), lambda: most), path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the records with which a key was compared."""
    seen: list[str] = []
    real = KeyRecord.matches

    def matches(self: KeyRecord, key: str) -> bool:
        seen.append(self.id)
        return real(self, key)

    monkeypatch.setattr(KeyRecord, "matches", matches)
    return seen


async def test_right_key_is_compared_with_its_record_once(tmp_path: Path, hashed: list[str]) -> None:
    keys, path = ring(tmp_path)
    key = add_key(path, KeyScope.TALK)
    for _ in range(5):
        record = await keys.check(key, ADDRESS)
        assert isinstance(record, KeyRecord)
        assert record.scope is KeyScope.TALK
    assert hashed == [record.id]


async def test_keys_of_the_environment_are_accepted(tmp_path: Path) -> None:
    key, record = create_key(KeyScope.ADMIN)
    keys, _ = ring(tmp_path, entries=f"{record.entry}, {create_key(KeyScope.TALK)[1].entry}")
    assert await keys.check(key, ADDRESS) == record
    alone = Keyring(load_settings({"keys": record.entry}), lambda: 3)
    assert await alone.check(key, ADDRESS) == record
    assert alone.is_needed
    assert not Keyring(load_settings(), lambda: 3).is_needed


async def test_wrong_secret_with_known_id_is_rejected(tmp_path: Path, hashed: list[str]) -> None:
    keys, path = ring(tmp_path)
    key = add_key(path, KeyScope.TALK)
    forged = key[:-4] + ("AAAA" if not key.endswith("AAAA") else "BBBB")
    assert await keys.check(forged, ADDRESS) is WRONG_KEY
    assert isinstance(await keys.check(key, ADDRESS), KeyRecord)
    assert await keys.check(forged, ADDRESS) is WRONG_KEY
    assert len(hashed) == 3


@pytest.mark.parametrize("key", ["", "x", "tstt_", "tstt_00000000_" + "A" * 43, "é" * 50, "\udcff", "x" * 100_000])
async def test_unknown_key_is_rejected_without_a_comparison(tmp_path: Path, hashed: list[str], key: str) -> None:
    keys, path = ring(tmp_path)
    add_key(path, KeyScope.TALK)
    assert await keys.check(key, ADDRESS) is WRONG_KEY
    assert hashed == []


async def test_address_with_too_many_wrong_keys_is_throttled(
    tmp_path: Path, hashed: list[str], mock_clock: trio.testing.MockClock
) -> None:
    keys, path = ring(tmp_path, most=3)
    known, fresh = add_key(path, KeyScope.TALK), add_key(path, KeyScope.ADMIN)
    assert isinstance(await keys.check(known, ADDRESS), KeyRecord)
    for _ in range(3):
        assert await keys.check("wrong", ADDRESS) is WRONG_KEY
    for key in ("wrong", fresh, known[:-1]):
        rejection = await keys.check(key, ADDRESS)
        assert isinstance(rejection, Rejection)
        assert (rejection.status, "max_failed_logins_per_address is 3" in rejection.detail) == (429, True)
        assert (b"retry-after", b"21") in rejection.headers
    assert len(hashed) == 1
    assert isinstance(await keys.check(known, ADDRESS), KeyRecord), "a key that was right before still works"
    assert isinstance(await keys.check(fresh, OTHER_ADDRESS), KeyRecord), "other addresses are not throttled"
    mock_clock.jump(21)
    assert isinstance(await keys.check(fresh, ADDRESS), KeyRecord)
    assert await keys.check("wrong", ADDRESS) is WRONG_KEY
    assert (await keys.check("wrong", ADDRESS)).status == 429  # type: ignore[union-attr] # a refusal


async def test_addresses_of_one_ipv6_network_are_throttled_together(tmp_path: Path) -> None:
    keys, _ = ring(tmp_path, most=2)
    answers = [await keys.check("wrong", f"2001:db8::{number:x}") for number in range(4)]
    assert [answer.status for answer in answers if isinstance(answer, Rejection)] == [401, 401, 429, 429]
    assert (await keys.check("wrong", "2001:db8:0:1::1")) is WRONG_KEY


async def test_concurrent_guesses_at_an_older_key_are_hashed_one_at_a_time_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most_running, hashed = 0, 0, 0
    scrypt = hashlib.scrypt

    def count(*args: Any, **options: Any) -> bytes:
        nonlocal running, most_running, hashed
        running, hashed = running + 1, hashed + 1
        most_running = max(most_running, running)
        digest = scrypt(*args, **options)
        running -= 1
        return digest

    monkeypatch.setattr(hashlib, "scrypt", count)
    keys, _ = ring(tmp_path, most=4, entries=SCRYPT_ENTRY)
    answers: list[object] = []

    async def guess() -> None:
        answers.append(await keys.check(SCRYPT_KEY[:-4] + "----", ADDRESS))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(guess)
    assert sorted(answer.status for answer in answers if isinstance(answer, Rejection)) == [401] * 4 + [429] * 16
    assert (hashed, most_running) == (4, 1)


async def test_key_of_an_older_version_is_hashed_with_scrypt_once(tmp_path: Path, hashed: list[str]) -> None:
    keys, _ = ring(tmp_path, entries=SCRYPT_ENTRY)
    for _ in range(3):
        record = await keys.check(SCRYPT_KEY, ADDRESS)
        assert isinstance(record, KeyRecord)
        assert record.name == "old desk"
    assert hashed == [record.id]


async def test_revoking_an_older_key_while_it_is_hashed_rejects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "keys"
    path.write_text(SCRYPT_ENTRY)
    keys = Keyring(load_settings({"keys_file": str(path)}), lambda: 3)

    async def revoke(matches: Callable[[str], bool], key: str, **_: object) -> bool:
        path.write_text("# empty")
        (record,) = parse_entries([SCRYPT_ENTRY])[0].values()
        look_twice(keys, record, mock_clock)
        assert not keys.is_still_authorized(record)
        await trio.lowlevel.checkpoint()
        return matches(key)

    monkeypatch.setattr(trio.to_thread, "run_sync", revoke)
    assert await keys.check(SCRYPT_KEY, ADDRESS) is WRONG_KEY


async def test_changed_file_is_read_again(
    tmp_path: Path, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    keys, path = ring(tmp_path)
    key, record = create_key(KeyScope.TALK)
    assert await keys.check(key, ADDRESS) is WRONG_KEY
    add_to_file(path, record)
    mock_clock.jump(1)
    assert await keys.check(key, ADDRESS) == record
    remove_from_file(path, record.id)
    assert keys.is_still_authorized(record), "the file is checked once a second"
    look_twice(keys, record, mock_clock)
    assert not keys.is_still_authorized(record)
    assert await keys.check(key, ADDRESS) is WRONG_KEY
    add_to_file(path, record)
    mock_clock.jump(1)
    assert keys.is_still_authorized(record)
    with caplog.at_level(logging.ERROR, logger="trio_stt"):
        path.unlink()
        look_twice(keys, record, mock_clock)
        assert not keys.is_still_authorized(record)
        path.write_text(f"what is this\n{record.entry}\n")
        look_twice(keys, record, mock_clock)
        assert keys.is_still_authorized(record)
    assert ["no key of the file is valid any more" in caplog.text, "line 1 of" in caplog.text] == [True, True]


async def ring_with_key(folder: Path, clock: trio.testing.MockClock) -> tuple[Keyring, Path, str, KeyRecord]:
    """Keys with one of the file, which was accepted; their file, that key and its record."""
    keys, path = ring(folder)
    key, record = create_key(KeyScope.TALK)
    add_to_file(path, record)
    clock.jump(1)
    assert await keys.check(key, ADDRESS) == record
    return keys, path, key, record


def look_twice(keys: Keyring, record: KeyRecord, clock: trio.testing.MockClock) -> None:
    """Let the keys find a file that may be half written, and find it the same a little later."""
    clock.jump(1)
    keys.is_still_authorized(record)
    clock.jump(0.2)


@pytest.fixture
def just_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file seems to be written this moment, however slow the test is."""
    monkeypatch.setattr(time, "time", lambda: 0.0)


async def test_revoked_key_is_rejected_at_once_when_the_file_is_old(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    keys, path, key, _ = await ring_with_key(tmp_path, mock_clock)
    path.write_text("# none")
    os.utime(path, (0, 0))
    mock_clock.jump(1)
    assert await keys.check(key, ADDRESS) is WRONG_KEY


@pytest.mark.usefixtures("just_written")
async def test_file_that_is_still_being_written_is_not_believed(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    keys, path, _, record = await ring_with_key(tmp_path, mock_clock)
    for lines in range(1, 4):
        path.write_text(f"{create_key(KeyScope.TALK)[1].entry}\n" * lines)
        mock_clock.jump(1)
        assert keys.is_still_authorized(record), "the file has changed since the last look"
    mock_clock.jump(0.2)
    assert not keys.is_still_authorized(record)


ANOTHER = f"{create_key(KeyScope.TALK)[1].entry}\n"


@pytest.mark.usefixtures("just_written")
@pytest.mark.parametrize(
    "half_written",
    ["", "tstt_1", None, "# a comment\n", ANOTHER, ANOTHER + ANOTHER[:9]],
    ids=["empty", "part of a key", "absent", "a comment", "another key", "a key and a part of it"],
)
async def test_file_that_is_being_written_invalidates_no_key(
    tmp_path: Path, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, half_written: str | None
) -> None:
    keys, path, _, record = await ring_with_key(tmp_path, mock_clock)
    whole = path.read_text()
    if half_written is None:
        path.unlink()
    else:
        path.write_text(half_written)
    mock_clock.jump(1)
    assert keys.is_still_authorized(record)
    path.write_text(f"# a comment\n{whole}")
    mock_clock.jump(0.2)
    assert keys.is_still_authorized(record)
    assert not caplog.records


async def test_key_with_another_scope_is_another_key(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    keys, path = ring(tmp_path)
    key, record = create_key(KeyScope.ADMIN)
    add_to_file(path, record)
    mock_clock.jump(1)
    assert await keys.check(key, ADDRESS) == record
    path.write_text(record.entry.replace(":admin:", ":talk:"))
    look_twice(keys, record, mock_clock)
    assert not keys.is_still_authorized(record)
    lowered = await keys.check(key, ADDRESS)
    assert isinstance(lowered, KeyRecord)
    assert lowered.scope is KeyScope.TALK


@pytest.mark.parametrize("settings", [{"keys": "nonsense"}, {"keys_file": "{folder}/none"}, {"keys_file": "{folder}"}])
def test_unusable_setting_fails_in_one_line(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=r"^keys(_file)?: [^\n]+$"):
        Keyring(load_settings({name: value.format(folder=tmp_path) for name, value in settings.items()}), lambda: 1)


def test_invalid_line_fails_the_start(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# fine\nnot fine\n")
    with pytest.raises(SettingError, match="line 2 of"):
        Keyring(load_settings({"keys_file": str(path)}), lambda: 1)
