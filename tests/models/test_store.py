"""The model cache: a model is complete or absent."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.models.conftest import ProgressRecorder, one_archive, one_file, one_folder, packed
from tests.support.file_server import FileServer
from trio_stt.errors import ModelError
from trio_stt.models import cache as cache_module
from trio_stt.models.cache import ModelCache, default_root, human_size
from trio_stt.models.spec import ModelSpec

WEIGHTS = os.urandom(600_000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = cache_module.fetch
    monkeypatch.setattr(cache_module, "fetch", lambda *args: fetch(*args, pause_s=0))


def bundle(web: FileServer) -> ModelSpec:
    return one_archive(web, packed(("bundle/model.onnx", WEIGHTS), ("bundle/test/a.wav", b"a")))


def files_in_cache(store: ModelCache) -> set[str]:
    """The files in the cache, without locks."""
    files = {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}
    return {name for name in files if not name.endswith(".lock")}


def test_file_is_pulled_and_found(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = one_file(web, WEIGHTS)
    assert store.find(entry) is None
    path = store.pull(entry, recorder)
    assert path == store.find(entry) == store.root / "weights.bin"
    assert path.read_bytes() == WEIGHTS
    assert files_in_cache(store) == {"weights.bin", "weights.bin.trio-stt.json"}


def test_archive_is_pulled_unpacked_and_found(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = bundle(web)
    path = store.pull(entry, recorder)
    assert path == store.find(entry) == store.root / "bundle"
    assert (path / "model.onnx").read_bytes() == WEIGHTS
    assert files_in_cache(store) == {"bundle/model.onnx", "bundle/test/a.wav", "bundle.trio-stt.json"}


def test_folder_of_files_is_pulled_as_one_model(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = one_folder(web, **{"model.bin": WEIGHTS, "config.json": b"{}"})
    path = store.pull(entry, recorder)
    assert path == store.find(entry) == store.root / "folder"
    assert {file.name: file.read_bytes() for file in path.iterdir()} == {"model.bin": WEIGHTS, "config.json": b"{}"}
    assert recorder.steps[-1] == (len(WEIGHTS) + 2, len(WEIGHTS) + 2)
    assert [done for done, _ in recorder.steps] == sorted(done for done, _ in recorder.steps)


def test_complete_model_is_not_downloaded_again(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = bundle(web)
    store.pull(entry, recorder)
    web.requests.clear()
    assert store.pull(entry, recorder) == store.root / "bundle"
    assert not web.requests


def test_partial_folder_is_resumed(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = one_folder(web, first=WEIGHTS, second=WEIGHTS[::-1])
    web.files["/second"].status = [500, 404]
    with pytest.raises(ModelError, match="404"):
        store.pull(entry, recorder)
    assert store.find(entry) is None
    web.requests.clear()
    store.pull(entry, recorder)
    assert [path for path, _ in web.requests] == ["/second"]


@pytest.mark.parametrize("damage", ["shorter", "other", "missing"])
def test_damaged_model_is_downloaded_again(
    web: FileServer, store: ModelCache, recorder: ProgressRecorder, damage: str
) -> None:
    entry = bundle(web)
    weights = store.pull(entry, recorder) / "model.onnx"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(WEIGHTS[1:] if damage == "shorter" else WEIGHTS[::-1])
    # `find` compares sizes only: checksums would take minutes at every start.
    assert (store.find(entry) is None) == (damage != "other")
    assert store.pull(entry, recorder) == store.find(entry)
    assert weights.read_bytes() == WEIGHTS
    assert f"{store.root / 'bundle'} is damaged; downloading it again" in recorder.messages


def test_first_checksum_is_pinned_if_none_is_published(
    web: FileServer, store: ModelCache, recorder: ProgressRecorder
) -> None:
    entry = one_file(web, WEIGHTS, pinned=False)
    path = store.pull(entry, recorder)
    assert any(f"its sha256 is {web.files['/weights.bin'].sha256}" in text for text in recorder.messages)
    path.unlink()
    web.files["/weights.bin"].content = WEIGHTS[::-1]
    with pytest.raises(ModelError, match="has the wrong checksum"):
        store.pull(entry, recorder)
    web.files["/weights.bin"].content = WEIGHTS
    assert store.pull(entry, recorder).read_bytes() == WEIGHTS


def test_file_put_there_by_hand_is_left_alone(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = one_file(web, WEIGHTS)
    store.root.mkdir()
    mine = store.root / "weights.bin"
    mine.write_bytes(b"mine")
    assert store.pull(entry, recorder) == mine
    assert recorder.messages == [f"{mine} exists and was not pulled; it is left as it is"]
    with pytest.raises(ModelError, match="was not pulled: delete it by hand"):
        store.remove(entry, recorder)
    assert mine.read_bytes() == b"mine"
    assert not web.requests


def test_rejected_archive_leaves_no_model(
    web: FileServer, store: ModelCache, recorder: ProgressRecorder, tmp_path: Path
) -> None:
    entry = one_archive(web, packed(("bundle/a", b"a"), ("../escaped", b"x")))
    with pytest.raises(ModelError, match="lies outside its folder"):
        store.pull(entry, recorder)
    assert store.find(entry) is None
    assert not (store.root / "bundle").exists()
    assert not list(tmp_path.rglob("escaped"))


def test_model_is_removed_with_its_record(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = bundle(web)
    store.pull(entry, recorder)
    assert store.remove(entry, recorder)
    assert files_in_cache(store) == set()
    assert not store.remove(entry, recorder)


def test_partial_download_is_removed_too(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = one_file(web, WEIGHTS)
    web.files["/weights.bin"].cut_after = [1000, 0, 0, 0, 0]
    with pytest.raises(ModelError):
        store.pull(entry, recorder)
    assert files_in_cache(store)
    assert store.remove(entry, recorder)
    assert files_in_cache(store) == set()


def test_full_disk_is_reported_before_the_download(
    web: FileServer, store: ModelCache, recorder: ProgressRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = bundle(web)
    size = entry.size_bytes or 0
    assert size
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * size - 1))
    with pytest.raises(ModelError, match=r"mine needs 2 MB in .*, where 2 MB are free; free some space"):
        store.pull(entry, recorder)
    assert not web.requests
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * size))
    store.pull(entry, recorder)


def test_unwritable_folder_is_one_line(web: FileServer, tmp_path: Path, recorder: ProgressRecorder) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(ModelError, match=r"cannot write in .*models: ") as raised:
        ModelCache(tmp_path / "models").pull(one_file(web, WEIGHTS), recorder)
    assert "\n" not in str(raised.value)


def test_damaged_record_counts_as_missing(web: FileServer, store: ModelCache, recorder: ProgressRecorder) -> None:
    entry = one_file(web, WEIGHTS)
    store.pull(entry, recorder)
    (store.root / "weights.bin.trio-stt.json").write_text('{"engine": 1')
    assert store.find(entry) is None


def test_default_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "trio-stt" / "models"


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (512, "1 kB"),
        (600_000, "600 kB"),
        (29_858_559, "30 MB"),
        (999_999_999, "1000 MB"),
        (1_000_000_000, "1.0 GB"),
        (3_095_033_483, "3.1 GB"),
        (None, "unknown"),
    ],
)
def test_human_size(size_bytes: int | None, words: str) -> None:
    assert human_size(size_bytes) == words
