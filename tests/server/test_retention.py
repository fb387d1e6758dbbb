"""Retention of recordings: bounded in size and age, and never touching a file that is not a recording."""

import json
import logging
import math
import os
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.server.test_recordings import archive, files_in
from trio_stt.protocol.events import WarningEvent
from trio_stt.server import interrupted_recordings
from trio_stt.server import recordings as archive_module
from trio_stt.server.recording_files import RecordingFiles
from trio_stt.server.recording_retention import Retention
from trio_stt.server.recordings import RecordingArchive

HOUR_S = 3600.0


def name_of(session: str) -> str:
    """A recording's name, without its extension."""
    return f"2026-01-02T03-04-05Z_{session * 32}"


OPEN, OLD, INTERRUPTED, NEW = map(name_of, "abcd")
OLD_FILES = [f"{OPEN}.flac.part", f"{OLD}.flac", f"{OLD}.jsonl", f"{INTERRUPTED}.flac.part", f"{NEW}_16000.flac"]
NOT_RECORDINGS = [
    "01 Song.flac",
    "dataset.jsonl",
    "notes.txt",
    f"{OLD}.flac.bak",
    f"copy of {OLD}.flac",
    f"{OLD}.wav",
    f"{OLD[:-1]}.flac",
    f"{OLD}_x.flac",
    f"{OLD.upper()}.flac",
]
"""Files of the user: two with a recording's extension, some with names like those of recordings."""


def names_in(folder: Path) -> list[str]:
    return [path.name for path in files_in(folder)]


@pytest.fixture
def old_files(tmp_path: Path) -> Path:
    """Files of 1,000 bytes, one for each of the last ten hours, the oldest first."""
    now = time.time()
    for hours, name in enumerate(OLD_FILES):
        (tmp_path / name).write_bytes(bytes(1000))
        age_s = (10 - hours) * HOUR_S
        os.utime(tmp_path / name, (now - age_s, now - age_s))
    return tmp_path


def retention(folder: Path, *, max_bytes: float = math.inf, max_age_h: float = math.inf) -> Retention:
    return Retention(folder, max_bytes=max_bytes, max_age_s=max_age_h * HOUR_S)


def test_oldest_recordings_are_removed_by_age_and_size_but_none_in_use(
    old_files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_stt")
    in_use = frozenset({old_files / OLD_FILES[0]})
    retention(old_files, max_age_h=8.5).enforce(in_use, 0.0)
    assert names_in(old_files) == sorted([OLD_FILES[0], *OLD_FILES[2:]])
    assert [record.getMessage() for record in caplog.records] == [
        f"recording {OLD_FILES[1]}: removed because of record_max_age_h"
    ]
    retention(old_files, max_bytes=2_500).enforce(in_use, 0.0)
    assert names_in(old_files) == sorted([OLD_FILES[0], OLD_FILES[4]])
    assert [record.getMessage() for record in caplog.records[1:]] == [
        f"recording {name}: removed because of record_max_mb" for name in OLD_FILES[2:4]
    ]


@pytest.fixture
def users_files(old_files: Path) -> Path:
    """Old files of the user, links to files outside, and a folder named like a recording, all beside recordings."""
    outside = old_files.parent / f"{old_files.name} outside"
    outside.mkdir()
    for name in NOT_RECORDINGS:
        (old_files / name).write_bytes(bytes(10_000))
        os.utime(old_files / name, (0, 0))
    for name in (f"{name_of('e')}.flac", f"{name_of('e')}.jsonl.part"):
        (outside / name).write_bytes(bytes(10_000))
        os.utime(outside / name, (0, 0))
        (old_files / name).symlink_to(outside / name)
        os.utime(old_files / name, (0, 0), follow_symlinks=False)
    (old_files / f"{name_of('f')}.flac").mkdir()
    os.utime(old_files / f"{name_of('f')}.flac", (0, 0))
    return old_files


def test_files_that_are_not_recordings_are_never_removed(users_files: Path) -> None:
    before = names_in(users_files)
    retention(users_files, max_age_h=11.0, max_bytes=5_000).enforce(frozenset(), 0.0)
    assert names_in(users_files) == before, "nothing is too old, and only the recordings' 5,000 bytes count"
    retention(users_files, max_age_h=1.0, max_bytes=1).enforce(frozenset(), 0.0)
    assert names_in(users_files) == sorted(set(before) - set(OLD_FILES))
    assert len(names_in(users_files.parent / f"{users_files.name} outside")) == 2


def test_server_start_leaves_files_that_are_not_recordings_alone(users_files: Path) -> None:
    write_queued(archive(users_files, max_age_h=1.0, max_mb=1))
    assert set(names_in(users_files)) >= {*NOT_RECORDINGS, f"{name_of('e')}.flac", f"{name_of('e')}.jsonl.part"}
    assert not set(names_in(users_files)) & set(OLD_FILES)


@pytest.mark.parametrize("jump_h", [-1e5, -1.0, 1.0, 1e5])
def test_jumps_of_the_wall_clock_do_not_change_ages(
    old_files: Path, monkeypatch: pytest.MonkeyPatch, jump_h: float
) -> None:
    limits = retention(old_files, max_age_h=11.0)
    limits.enforce(frozenset(), 0.0)
    jumped_s = time.time() + jump_h * HOUR_S
    monkeypatch.setattr(time, "time", lambda: jumped_s)
    later = f"{name_of('9')}.flac"
    (old_files / later).write_bytes(bytes(10))
    os.utime(old_files / later, (jumped_s, jumped_s))
    limits.enforce(frozenset(), 60.0)
    assert names_in(old_files) == sorted([*OLD_FILES, later])
    limits.enforce(frozenset(), 2.5 * HOUR_S)
    assert names_in(old_files) == sorted([*OLD_FILES[2:], later]), "the monotonic clock decides"
    limits.enforce(frozenset(), 10.9 * HOUR_S)
    assert names_in(old_files) == [later]
    limits.enforce(frozenset(), 11.1 * HOUR_S)
    assert names_in(old_files) == []


def test_recordings_that_another_server_writes_are_neither_removed_nor_completed(tmp_path: Path) -> None:
    other, recording_archive = RecordingFiles(tmp_path, OPEN), archive(tmp_path, max_age_h=1.0)
    other.add(np.arange(16_000, dtype=np.int16))
    for path in files_in(tmp_path):
        os.utime(path, (0, 0))
    write_queued(recording_archive)
    assert names_in(tmp_path) == [f"{OPEN}.flac.part", f"{OPEN}.jsonl.part"]
    other.close()
    assert names_in(tmp_path) == [f"{OPEN}.flac", f"{OPEN}.jsonl"]


def noise(seconds: float, seed: int) -> NDArray[np.int16]:
    """Audio that FLAC hardly compresses."""
    return np.random.default_rng(seed).integers(-20_000, 20_000, round(seconds * 16_000)).astype(np.int16)


def write_queued(recording_archive: RecordingArchive) -> None:
    """Write the queued audio, as the archive's thread does."""
    batch, recording_archive._queue = recording_archive._queue, deque()
    recording_archive._write(batch)


def test_endless_recording_stays_within_the_limit_and_keeps_the_newest_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_TIDY_EVERY_S", 0.0)
    recording_archive, original, step = archive(tmp_path, max_mb=1), noise(120, 1), 16_000  # some 3.5 MB
    recorder = recording_archive.open("0" * 32)
    for start in range(0, original.size, step):
        recorder.audio(original[start : start + step])
        recorder.event(WarningEvent(session_id="s", message=str(start)))
        write_queued(recording_archive)
        assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 1e6
    recorder.close()
    write_queued(recording_archive)
    parts = {int(path.stem.split("_")[2]): path for path in tmp_path.glob("*.flac")}
    samples = np.concatenate([soundfile.read(parts[first], dtype="int16")[0] for first in sorted(parts)])
    assert np.array_equal(samples, original[min(parts) :]), "each name contains the first sample of its part"
    assert samples.size > original.size / 8
    messages = [
        json.loads(line)["message"] for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert {str(start) for start in range(min(parts), original.size, step)} <= set(messages)


def test_largest_of_many_recordings_are_continued_in_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "_TIDY_EVERY_S", 0.0)
    recording_archive = archive(tmp_path, max_mb=1)
    recorders = [recording_archive.open(str(number) * 32) for number in range(3)]
    for _ in range(12):
        for seconds, recorder in zip((2.0, 0.1, 0.1), recorders, strict=True):
            recorder.audio(noise(seconds, 1))
        write_queued(recording_archive)
        assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 1e6
    for recorder in recorders:
        recorder.close()
    write_queued(recording_archive)
    assert {path.stem.split("_")[1][0] for path in tmp_path.glob("*_*_*.flac")} == {"0"}


def test_recording_older_than_the_limit_is_continued_in_new_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    recording_archive = archive(tmp_path, max_age_h=1.0)
    recorder, silent = recording_archive.open("0" * 32), recording_archive.open("1" * 32)
    for hour in range(4):
        now_s = 1.01 * hour * HOUR_S
        recorder.audio(np.full(100, hour, np.int16))
        silent.event(WarningEvent(session_id="s", message="nothing"))
        write_queued(recording_archive)
    recorder.event(WarningEvent(session_id="s", message="the last words"))
    for each in (recorder, silent):
        each.close()
    write_queued(recording_archive)
    assert sorted(path.stem.split("_")[2] for path in tmp_path.glob("*.flac")) == ["300", "400"]
    (last,) = tmp_path.glob("*_400.jsonl")
    assert "the last words" in last.read_text(), "events after the last audio are kept"


def leave_interrupted(folder: Path, samples: NDArray[np.int16], name: str = OPEN) -> None:
    """Leave the files of a recording as a killed server does."""
    killed = RecordingFiles(folder, name)
    killed.add(samples)
    killed.add(WarningEvent(session_id="s", message="before the kill"))
    killed.flush()
    left = {path: path.read_bytes() for path in killed.parts}
    killed.abandon()
    for path, content in left.items():
        path.write_bytes(content)


def test_recording_of_a_killed_server_is_completed_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_stt")
    leave_interrupted(tmp_path, original := noise(3, 1))
    for path in files_in(tmp_path):
        os.utime(path, (1e9, 1e9))
    write_queued(archive(tmp_path))
    assert names_in(tmp_path) == [f"{OPEN}.flac", f"{OPEN}.jsonl"]
    samples, rate_hz = soundfile.read(tmp_path / f"{OPEN}.flac", dtype="int16")
    assert rate_hz == 16_000
    assert samples.size >= original.size - 2 * 4096, "libsndfile keeps a block or two in memory"
    assert np.array_equal(samples, original[: samples.size])
    assert "before the kill" in (tmp_path / f"{OPEN}.jsonl").read_text()
    assert {path.stat().st_mtime for path in files_in(tmp_path)} == {1e9}, "its age counts from the kill"
    assert {path.stat().st_mode & 0o777 for path in files_in(tmp_path)} == {0o600}
    assert "completed after the server was killed" in caplog.text


def test_full_disk_leaves_interrupted_audio_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    leave_interrupted(tmp_path, noise(3, 1))
    (audio,) = tmp_path.glob("*.flac*")
    before = audio.read_bytes()
    recording_archive = archive(tmp_path)

    def short_write(*_: object) -> None:
        raise AssertionError("as soundfile raises it when libsndfile writes less than it was given")

    monkeypatch.setattr(soundfile.SoundFile, "write", short_write)
    write_queued(recording_archive)
    assert list(tmp_path.glob("*.flac*")) == [audio]
    assert audio.read_bytes() == before
    assert "could not be completed" in caplog.text


def test_completed_recording_of_a_killed_server_is_removed_by_age(tmp_path: Path) -> None:
    leave_interrupted(tmp_path, noise(3, 1))
    for path in files_in(tmp_path):
        os.utime(path, (0, 0))
    write_queued(archive(tmp_path, max_age_h=1.0))
    assert names_in(tmp_path) == []


def test_recording_that_cannot_be_completed_does_not_hinder_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (OPEN, OLD, NEW):
        leave_interrupted(tmp_path, noise(3, 1), name)
    rewrite = interrupted_recordings._rewrite_audio

    def fail_for_one(source: Path, target: Path) -> int:
        if source.name.startswith(OLD):
            raise OSError("bad sector")
        return rewrite(source, target)

    monkeypatch.setattr(interrupted_recordings, "_rewrite_audio", fail_for_one)
    write_queued(archive(tmp_path))
    assert names_in(tmp_path) == sorted(
        [f"{OPEN}.flac", f"{OPEN}.jsonl", f"{OLD}.flac.part", f"{OLD}.jsonl", f"{NEW}.flac", f"{NEW}.jsonl"]
    )
    assert f"recording {OLD}.flac.part: could not be completed, and stays as it is: bad sector" in caplog.text


def test_file_that_cannot_be_removed_does_not_hinder_the_others(
    old_files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unlink = Path.unlink

    def fail_for_one(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == OLD_FILES[0]:
            raise PermissionError("not allowed")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", fail_for_one)
    retention(old_files, max_age_h=1.0).enforce(frozenset(), 0.0)
    assert names_in(old_files) == [OLD_FILES[0]]
    assert "cannot be removed because of record_max_age_h: not allowed" in caplog.text


def test_part_is_removed_where_the_completed_file_holds_all_of_it(tmp_path: Path) -> None:
    leave_interrupted(tmp_path, noise(3, 1))
    parts = {path: path.read_bytes() for path in files_in(tmp_path)}
    write_queued(archive(tmp_path))
    before = {path: path.read_bytes() for path in files_in(tmp_path)}
    for path, content in parts.items():  # as if the server had been killed before it removed them
        path.write_bytes(content)
    write_queued(archive(tmp_path))
    assert {path: path.read_bytes() for path in files_in(tmp_path)} == before


def test_part_with_more_audio_replaces_the_completed_file(tmp_path: Path) -> None:
    leave_interrupted(tmp_path, original := noise(3, 1))
    soundfile.write(tmp_path / f"{OPEN}.flac", original[:100], 16_000)
    (tmp_path / f"{OPEN}.jsonl").write_text("")
    write_queued(archive(tmp_path))
    assert names_in(tmp_path) == [f"{OPEN}.flac", f"{OPEN}.jsonl"]
    assert soundfile.info(tmp_path / f"{OPEN}.flac").frames > 2 * 16_000
    assert "before the kill" in (tmp_path / f"{OPEN}.jsonl").read_text()


def test_interrupted_recording_without_readable_audio_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"{OPEN}.flac.part").write_bytes(b"fLaC")
    write_queued(archive(tmp_path))
    assert names_in(tmp_path) == [f"{OPEN}.flac.part"]
