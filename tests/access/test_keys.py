"""Stored keys: their format, their file, and the command that creates, lists and revokes them."""

import base64
import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.keys import SCRYPT_ENTRY, SCRYPT_KEY
from trio_stt.access.keys import (
    KeyScope,
    add_to_file,
    create_key,
    key_id_of,
    parse_entries,
    read_lines,
    remove_from_file,
)
from trio_stt.cli import main
from trio_stt.errors import SettingError


@pytest.fixture(autouse=True)
def no_keys_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIO_STT_KEYS", "TRIO_STT_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_key_matches_only_its_own_record_and_entry_does_not_contain_it() -> None:
    key, record = create_key(KeyScope.ADMIN, "Ann's desk".replace("'", ""))
    other, _ = create_key(KeyScope.ADMIN)
    assert record.matches(key)
    assert not any(record.matches(wrong) for wrong in (other, key[:-1], key + "x", "", key.upper()))
    assert key_id_of(key) == record.id
    secret = key.rpartition(f"{record.id}_")[2]
    assert secret not in record.entry
    assert len(secret) >= 43, "256 bits"


def test_keys_share_neither_secret_nor_hash_nor_id() -> None:
    made = [create_key(KeyScope.TALK) for _ in range(5)]
    assert len({key for key, _ in made}) == 5
    assert len({record.digest for _, record in made}) == len({record.id for _, record in made}) == 5


def test_entry_holds_the_sha256_of_the_whole_key() -> None:
    key, record = create_key(KeyScope.TALK, "desk")
    digest = base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
    assert record.entry == f"{record.id}:talk:{record.created}:sha256:{digest}:desk"


def test_entries_of_older_versions_are_read_and_written_unchanged() -> None:
    records, faults = parse_entries([SCRYPT_ENTRY])
    (record,) = records.values()
    assert faults == []
    assert record.entry == SCRYPT_ENTRY
    assert record.scope is KeyScope.ADMIN
    assert record.matches(SCRYPT_KEY)
    assert not record.matches(SCRYPT_KEY[:-4] + "AAAA")


def test_entries_are_read_back_as_written() -> None:
    records = [create_key(scope, name)[1] for scope, name in [(KeyScope.TALK, ""), (KeyScope.ADMIN, "a b_c@d-e.f")]]
    lines = ["# people", "", *(f"  {record.entry} " for record in records)]
    assert parse_entries(lines) == ({record.id: record for record in records}, [])


@given(st.text())
def test_any_other_line_is_a_fault(text: str) -> None:
    line = text.replace("\n", " ").strip()
    records, faults = parse_entries([line])
    assert records == {}
    assert faults == ([1] if line and not line.startswith("#") else [])


@given(st.text(max_size=80))
def test_text_that_is_not_a_key_has_no_id(text: str) -> None:
    assert key_id_of(text) is None


def test_unknown_scope_is_a_fault() -> None:
    _, record = create_key(KeyScope.ADMIN)
    assert parse_entries([record.entry.replace(":admin:", ":root:")]) == ({}, [1])


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\nb", "é", "x" * 61])
def test_name_that_would_break_the_entry_is_rejected(name: str) -> None:
    with pytest.raises(SettingError, match="--name takes"):
        create_key(KeyScope.TALK, name)


def test_file_is_readable_by_its_owner_only_and_keeps_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n")
    path.chmod(0o644)
    first, second = create_key(KeyScope.TALK)[1], create_key(KeyScope.ADMIN)[1]
    for record in (first, second):
        add_to_file(path, record)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"# ours\n{first.entry}\n{second.entry}\n"
    remove_from_file(path, first.id)
    assert path.read_text() == f"# ours\n{second.entry}\n"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_change_of_the_file_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    add_to_file(path, create_key(KeyScope.TALK)[1])
    before = path.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SettingError, match="No space left"):
        add_to_file(path, create_key(KeyScope.TALK)[1])
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.touch()
    link.symlink_to(real)
    add_to_file(link, create_key(KeyScope.TALK)[1])
    assert link.is_symlink()
    assert len(read_lines(real)) == 1


def test_draft_of_another_command_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    (tmp_path / ".keys.new").touch()
    with pytest.raises(SettingError, match=r"another command is changing it.*\.keys\.new"):
        add_to_file(path, create_key(KeyScope.TALK)[1])


def test_command_creates_lists_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "keys")
    assert main(["keys", "create", "--scope", "talk", "--name", "phone", "--keys-file", path]) == 0
    made = capsys.readouterr()
    key = made.out.strip()
    assert key_id_of(key)
    assert key not in made.err
    (record,) = parse_entries(read_lines(Path(path)))[0].values()
    assert record.matches(key)
    assert main(["keys", "list", "--keys-file", path]) == 0
    listed = capsys.readouterr().out
    assert f"{record.id}  talk   {record.created}  phone" in listed
    assert key not in listed
    assert main(["keys", "revoke", record.id, "--keys-file", path]) == 0
    assert read_lines(Path(path)) == []
    capsys.readouterr()
    assert main(["keys", "revoke", record.id, "--keys-file", path]) == 2
    assert capsys.readouterr().err.startswith(f"trio-stt: {path} has no key '{record.id}'")


def test_entry_is_printed_for_the_environment_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--scope", "admin"]) == 0
    made = capsys.readouterr()
    (record,) = parse_entries(made.err.splitlines()[-1:])[0].values()
    assert record.matches(made.out.strip())


@pytest.mark.parametrize("action", [["list"], ["revoke", "00000000"]])
def test_action_without_a_file_names_the_option(
    action: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *action]) == 2
    assert "--keys-file" in capsys.readouterr().err
    assert main(["keys", *action, "--keys-file", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_environment_variable_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIO_STT_KEYS_FILE", str(tmp_path / "keys"))
    assert main(["keys", "create", "--scope", "talk"]) == 0
    assert main(["keys", "list"]) == 0
    assert "talk" in capsys.readouterr().out
