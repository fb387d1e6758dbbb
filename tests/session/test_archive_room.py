"""The room that recordings take: bounded in size and age, whatever the wall clock does and however long one runs."""

import json
import math
import os
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.session.test_archive import archive, files_in
from trio_stt.protocol.events import WarningEvent
from trio_stt.server import recordings as archive_module
from trio_stt.server.recording_files import RecordingFiles, Room
from trio_stt.server.recordings import RecordingArchive

HOUR_S = 3600.0
OLD_FILES = ["open.flac.part", "a.flac", "a.jsonl", "crashed.flac.part", "new.flac", "notes.txt"]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in files_in(folder)]


@pytest.fixture
def old_files(tmp_path: Path) -> Path:
    """One file of a thousand bytes for each hour, the first ten hours old."""
    now = time.time()
    for hours, name in enumerate(OLD_FILES):
        (tmp_path / name).write_bytes(bytes(1000))
        age_s = (10 - hours) * HOUR_S
        os.utime(tmp_path / name, (now - age_s, now - age_s))
    return tmp_path


def room(folder: Path, *, max_bytes: float = math.inf, max_age_h: float = math.inf) -> Room:
    return Room(folder, max_bytes=max_bytes, max_age_s=max_age_h * HOUR_S)


def test_the_oldest_gives_way_to_size_and_age_and_what_is_in_use_stays(old_files: Path) -> None:
    in_use = frozenset({old_files / "open.flac.part"})
    room(old_files, max_age_h=8.5).make(in_use, 0.0)
    assert names_in(old_files) == ["a.jsonl", "crashed.flac.part", "new.flac", "notes.txt", "open.flac.part"]
    room(old_files, max_bytes=2_500).make(in_use, 0.0)
    assert names_in(old_files) == ["new.flac", "notes.txt", "open.flac.part"]


@pytest.mark.parametrize("jump_h", [-1e5, -1.0, 1.0, 1e5])
def test_a_wall_clock_that_jumps_ages_nothing(old_files: Path, monkeypatch: pytest.MonkeyPatch, jump_h: float) -> None:
    kept = room(old_files, max_age_h=11.0)
    kept.make(frozenset(), 0.0)
    jumped_s = time.time() + jump_h * HOUR_S
    monkeypatch.setattr(time, "time", lambda: jumped_s)
    (old_files / "later.flac").write_bytes(bytes(10))
    os.utime(old_files / "later.flac", (jumped_s, jumped_s))
    kept.make(frozenset(), 60.0)
    assert names_in(old_files) == sorted([*OLD_FILES, "later.flac"])
    kept.make(frozenset(), 2.5 * HOUR_S)
    assert names_in(old_files) == sorted([*OLD_FILES[2:], "later.flac"]), "time goes on all the same"
    kept.make(frozenset(), 10.9 * HOUR_S)
    assert names_in(old_files) == ["later.flac", "notes.txt"]
    kept.make(frozenset(), 11.1 * HOUR_S)
    assert names_in(old_files) == ["notes.txt"]


def test_what_another_server_writes_into_the_same_folder_does_not_age(tmp_path: Path) -> None:
    other, kept = RecordingFiles(tmp_path, "other"), room(tmp_path, max_age_h=1.0)
    for hour in range(5):
        other.add(np.arange(16_000, dtype=np.int16))
        kept.make(frozenset(), hour * HOUR_S)
        os.utime(tmp_path / "other.jsonl.part")  # libsndfile alone decides when it writes
        os.utime(tmp_path / "other.flac.part")
    other.close()
    assert names_in(tmp_path) == ["other.flac", "other.jsonl"]


def noise(seconds: float, seed: int) -> NDArray[np.int16]:
    """FLAC makes it hardly smaller."""
    return np.random.default_rng(seed).integers(-20_000, 20_000, round(seconds * 16_000)).astype(np.int16)


def turn(kept: RecordingArchive) -> None:
    """What the archive's thread does with what waits."""
    batch, kept._queue = kept._queue, deque()
    kept._write(batch)


def test_a_recording_that_never_ends_stays_within_the_limit_and_keeps_what_is_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_TIDY_EVERY_S", 0.0)
    kept, said, step = archive(tmp_path, max_mb=1), noise(120, 1), 16_000  # some 3.5 MB
    record = kept.open("0" * 32)
    for start in range(0, said.size, step):
        record.audio(said[start : start + step])
        record.event(WarningEvent(session_id="s", message=str(start)))
        turn(kept)
        assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 1e6
    record.close()
    turn(kept)
    parts = {int(path.stem.split("_")[2]): path for path in tmp_path.glob("*.flac")}
    heard = np.concatenate([soundfile.read(parts[first], dtype="int16")[0] for first in sorted(parts)])
    assert np.array_equal(heard, said[min(parts) :]), "each name says where its part begins"
    assert heard.size > said.size / 8
    told = [json.loads(line)["message"] for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert {str(start) for start in range(min(parts), said.size, step)} <= set(told)


def test_many_recordings_share_the_room_and_the_longest_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_TIDY_EVERY_S", 0.0)
    kept = archive(tmp_path, max_mb=1)
    records = [kept.open(str(number) * 32) for number in range(3)]
    for _ in range(12):
        for seconds, record in zip((2.0, 0.1, 0.1), records, strict=True):
            record.audio(noise(seconds, 1))
        turn(kept)
        assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 1e6
    for record in records:
        record.close()
    turn(kept)
    assert {path.stem.split("_")[1][0] for path in tmp_path.glob("*_*_*.flac")} == {"0"}


def test_a_recording_is_continued_in_other_files_when_its_first_are_old_enough_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    kept = archive(tmp_path, max_age_h=1.0)
    record, silent = kept.open("0" * 32), kept.open("1" * 32)
    for hour in range(4):
        now_s = 1.01 * hour * HOUR_S
        record.audio(np.full(100, hour, np.int16))
        silent.event(WarningEvent(session_id="s", message="nothing"))
        turn(kept)
    record.event(WarningEvent(session_id="s", message="the last words"))
    for each in (record, silent):
        each.close()
    turn(kept)
    assert sorted(path.stem.split("_")[2] for path in tmp_path.glob("*.flac")) == ["300", "400"]
    (last,) = tmp_path.glob("*_400.jsonl")
    assert "the last words" in last.read_text(), "what is said behind the last sound is kept, too"


def test_what_a_killed_server_wrote_is_still_there_for_the_next_and_goes_with_age(tmp_path: Path) -> None:
    killed = RecordingFiles(tmp_path, "killed")
    killed.add(noise(1, 1))
    killed.flush()
    next_server = archive(tmp_path, max_age_h=1.0)
    turn(next_server)
    assert names_in(tmp_path) == ["killed.flac.part", "killed.jsonl.part"]
    for path in files_in(tmp_path):
        os.utime(path, (0, 0))
    turn(archive(tmp_path, max_age_h=1.0))
    assert names_in(tmp_path) == []
    killed.abandon()
