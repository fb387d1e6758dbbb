"""Recordings of sessions are complete and private, and never delay recognition."""

import json
import logging
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import trio
from numpy.typing import NDArray

from tests.contract.fixtures import PAUSE_S
from tests.support.conversation import server_fixture
from trio_stt.errors import SettingError
from trio_stt.protocol.events import Final, Pong, WarningEvent
from trio_stt.server import recordings as archive_module
from trio_stt.server.build import build_server
from trio_stt.server.recordings import RecordingArchive
from trio_stt.settings import load_settings


def archive(folder: Path, **limits: Any) -> RecordingArchive:
    return RecordingArchive(folder, **{"max_mb": 0, "max_age_h": 0, **limits})


def events_of(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl*")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def audio_of(folder: Path) -> NDArray[np.int16]:
    (path,) = folder.glob("*.flac*")
    with path.open("rb") as file:
        samples, rate_hz = soundfile.read(file, dtype="int16")
    assert rate_hz == 16_000
    return np.asarray(samples)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_audio_and_events_are_recorded_completely_and_named_when_the_session_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    async with server_fixture(archive=archive(folder)) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        client.leave()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = files_in(folder)
    assert [path.suffix for path in files] == [".flac", ".jsonl"]
    assert {path.stem.rpartition("_")[2] for path in files} == {client.session.session_id}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert np.array_equal(audio_of(folder), np.repeat(np.int16([1111, 0]), [16_000, round(PAUSE_S * 16_000)]))
    recorded = events_of(folder)
    assert [event["type"] for event in recorded] == [str(event.__struct_config__.tag) for event in client.events]
    assert [event["text"] for event in recorded if event["type"] == "final"] == ["1111."]
    assert client.token not in json.dumps(recorded)


async def test_last_utterance_of_a_client_that_did_not_resume_is_recorded(tmp_path: Path) -> None:
    async with server_fixture(archive=archive(tmp_path), resume_grace_s=0.1) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await client.settled()
        client.drop()
        with trio.fail_after(10):
            while server.server_state.registry.active_sessions:  # noqa: ASYNC110 - the grace period ends on the real clock
                await trio.sleep(0.01)
    assert [event["text"] for event in events_of(tmp_path) if event["type"] == "final"] == ["1111."]
    assert client.finals == []


async def test_session_without_audio_leaves_no_files(tmp_path: Path) -> None:
    async with server_fixture(archive=archive(tmp_path)) as server:
        client = await server.connect()
        client.command("ping")
        await client.until(Pong)
        client.leave()
    assert files_in(tmp_path) == []


def test_unfinished_recording_can_be_read(tmp_path: Path) -> None:
    recorder = archive_module.RecordingFiles(tmp_path, "crashed")
    samples = np.arange(32_000, dtype=np.int16)
    recorder.add(samples)
    recorder.add(WarningEvent(session_id="s", message="x"))
    recorder.flush()
    with (tmp_path / "crashed.flac.part").open("rb") as file, soundfile.SoundFile(file) as sound:
        read = sound.read(24_000, dtype="int16")
    assert np.array_equal(read, samples[:24_000])
    assert [event["message"] for event in events_of(tmp_path)] == ["x"]
    recorder.close()


async def test_audio_lost_to_a_slow_disk_is_recorded_as_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(archive_module, "MAX_QUEUED_BYTES", 50_000)
    recording_archive = archive(tmp_path)
    recorder = recording_archive.open("0" * 32)
    for level in (1, 2, 3):
        recorder.audio(np.full(16_000, level, np.int16))  # the first piece fits
    async with trio.open_nursery() as nursery:
        await nursery.start(recording_archive.run)
        with trio.fail_after(10):
            while recording_archive._queue:  # noqa: ASYNC110 - the thread that takes it cannot set our events
                await trio.sleep(0.01)
        recorder.audio(np.full(8_000, 4, np.int16))
        recorder.close()
        recording_archive.end()
    assert np.array_equal(audio_of(tmp_path), np.repeat(np.int16([1, 0, 4]), [16_000, 32_000, 8_000]))
    assert "2.0 s of audio are silence" in caplog.text


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Limit the size of files to a few pages, so that real writes fail."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("full_disk")
async def test_full_disk_ends_the_recording_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "trio_stt")
    async with server_fixture(archive=archive(tmp_path)) as server:
        client = await server.streaming_client(partials=False)
        for level in (1111, 2222):
            for step in range(25):
                client.say(level + 37 * step, 0.04)
            client.pause(PAUSE_S)
            await client.until(Final, level // 1111)
            await trio.sleep(0.5)
        client.leave()
    assert [segment for segment, _ in client.finals] == [1, 2]
    assert caplog.text.count("ended early, because the disk failed") == 1
    assert "2222" not in caplog.text
    assert {path.suffix for path in files_in(tmp_path)} == {".part"}


def test_folder_that_is_not_writable_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"record: cannot write to .*file"):
        build_server(load_settings({"record": str(tmp_path / "file")}))
