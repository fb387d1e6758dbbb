"""Keys at rest: their form, their file, and the command that makes, lists and revokes them."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
def no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIO_STT_KEYS", "TRIO_STT_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_key_fits_its_entry_and_no_other_and_its_entry_does_not_hold_it() -> None:
    key, record = create_key(KeyScope.ADMIN, "Ann's desk".replace("'", ""))
    other, _ = create_key(KeyScope.ADMIN)
    assert record.matches(key)
    assert not any(record.matches(wrong) for wrong in (other, key[:-1], key + "x", "", key.upper()))
    assert key_id_of(key) == record.id
    secret = key.rpartition(f"{record.id}_")[2]
    assert secret not in record.entry
    assert len(secret) >= 43, "256 bits"


def test_two_keys_never_share_salt_secret_or_id() -> None:
    made = [create_key(KeyScope.TALK) for _ in range(5)]
    assert len({key for key, _ in made}) == len({record.salt for _, record in made}) == 5
    assert len({record.digest for _, record in made}) == len({record.id for _, record in made}) == 5


def test_entries_are_read_back_as_they_were_written() -> None:
    records = [create_key(scope, name)[1] for scope, name in [(KeyScope.TALK, ""), (KeyScope.ADMIN, "a b_c@d-e.f")]]
    lines = ["# people", "", *(f"  {record.entry} " for record in records)]
    assert parse_entries(lines) == ({record.id: record for record in records}, [])


@given(st.text())
def test_any_other_line_is_named_as_a_fault(text: str) -> None:
    line = text.replace("\n", " ").strip()
    records, faults = parse_entries([line])
    assert records == {}
    assert faults == ([1] if line and not line.startswith("#") else [])


@given(st.text(max_size=80))
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert key_id_of(text) is None


def test_a_scope_that_there_is_not_is_a_fault() -> None:
    _, record = create_key(KeyScope.ADMIN)
    assert parse_entries([record.entry.replace(":admin:", ":root:")]) == ({}, [1])


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\nb", "é", "x" * 61])
def test_a_name_that_would_break_the_entry_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="--name takes"):
        create_key(KeyScope.TALK, name)


def test_the_file_is_for_its_owner_alone_and_keeps_what_people_wrote(tmp_path: Path) -> None:
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
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


def test_a_change_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.touch()
    link.symlink_to(real)
    add_to_file(link, create_key(KeyScope.TALK)[1])
    assert link.is_symlink()
    assert len(read_lines(real)) == 1


def test_another_command_at_work_is_not_overrun(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    (tmp_path / ".keys.new").touch()
    with pytest.raises(SettingError, match=r"another command is changing it.*\.keys\.new"):
        add_to_file(path, create_key(KeyScope.TALK)[1])


def test_the_command_makes_lists_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert capsys.readouterr().err.startswith(f"trio-stt: there is no key '{record.id}' in ")


def test_without_a_file_the_entry_is_printed_for_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--scope", "admin"]) == 0
    made = capsys.readouterr()
    (record,) = parse_entries(made.err.splitlines()[-1:])[0].values()
    assert record.matches(made.out.strip())


@pytest.mark.parametrize("action", [["list"], ["revoke", "00000000"]])
def test_what_needs_a_file_says_so(action: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", *action]) == 2
    assert "--keys-file" in capsys.readouterr().err
    assert main(["keys", *action, "--keys-file", str(tmp_path / "none")]) == 2
    assert "there is no " in capsys.readouterr().err


def test_the_environment_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIO_STT_KEYS_FILE", str(tmp_path / "keys"))
    assert main(["keys", "create", "--scope", "talk"]) == 0
    assert main(["keys", "list"]) == 0
    assert "talk" in capsys.readouterr().out
