"""Models that are kept: whole or not at all."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.models.conftest import Heard, one_archive, one_file, one_folder, packed
from tests.support.file_server import FileServer
from trio_stt.errors import ModelError
from trio_stt.models import cache as store_module
from trio_stt.models.cache import ModelCache, default_root, human_size
from trio_stt.models.spec import ModelSpec

WEIGHTS = os.urandom(600_000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = store_module.fetch
    monkeypatch.setattr(store_module, "fetch", lambda *args: fetch(*args, pause_s=0))


def bundle(web: FileServer) -> ModelSpec:
    return one_archive(web, packed(("bundle/model.onnx", WEIGHTS), ("bundle/test/a.wav", b"a")))


def left_in(store: ModelCache) -> set[str]:
    """What lies in the store, but for locks."""
    files = {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}
    return {name for name in files if not name.endswith(".lock")}


def test_a_file_is_pulled_and_found(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_file(web, WEIGHTS)
    assert store.find(entry) is None
    path = store.pull(entry, heard)
    assert path == store.find(entry) == store.root / "weights.bin"
    assert path.read_bytes() == WEIGHTS
    assert left_in(store) == {"weights.bin", "weights.bin.trio-stt.json"}


def test_an_archive_is_pulled_unpacked_and_found(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = bundle(web)
    path = store.pull(entry, heard)
    assert path == store.find(entry) == store.root / "bundle"
    assert (path / "model.onnx").read_bytes() == WEIGHTS
    assert left_in(store) == {"bundle/model.onnx", "bundle/test/a.wav", "bundle.trio-stt.json"}


def test_a_folder_of_files_is_pulled_as_one(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_folder(web, **{"model.bin": WEIGHTS, "config.json": b"{}"})
    path = store.pull(entry, heard)
    assert path == store.find(entry) == store.root / "folder"
    assert {file.name: file.read_bytes() for file in path.iterdir()} == {"model.bin": WEIGHTS, "config.json": b"{}"}
    assert heard.steps[-1] == (len(WEIGHTS) + 2, len(WEIGHTS) + 2)
    assert [done for done, _ in heard.steps] == sorted(done for done, _ in heard.steps)


def test_what_is_here_is_not_fetched_again(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = bundle(web)
    store.pull(entry, heard)
    web.asked.clear()
    assert store.pull(entry, heard) == store.root / "bundle"
    assert not web.asked


def test_a_folder_half_fetched_is_gone_on_with(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_folder(web, first=WEIGHTS, second=WEIGHTS[::-1])
    web.files["/second"].status = [500, 404]
    with pytest.raises(ModelError, match="404"):
        store.pull(entry, heard)
    assert store.find(entry) is None
    web.asked.clear()
    store.pull(entry, heard)
    assert [path for path, _ in web.asked] == ["/second"]


@pytest.mark.parametrize("damage", ["shorter", "other", "missing"])
def test_a_damaged_model_is_fetched_again(web: FileServer, store: ModelCache, heard: Heard, damage: str) -> None:
    entry = bundle(web)
    weights = store.pull(entry, heard) / "model.onnx"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(WEIGHTS[1:] if damage == "shorter" else WEIGHTS[::-1])
    # A look at sizes does not see other bytes: that would take minutes at every start.
    assert (store.find(entry) is None) == (damage != "other")
    assert store.pull(entry, heard) == store.find(entry)
    assert weights.read_bytes() == WEIGHTS
    assert f"{store.root / 'bundle'} is damaged; fetching it again" in heard.said


def test_without_a_published_checksum_the_first_one_counts(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_file(web, WEIGHTS, pinned=False)
    path = store.pull(entry, heard)
    assert any(f"its sha256 is {web.files['/weights.bin'].sha256}" in text for text in heard.said)
    path.unlink()
    web.files["/weights.bin"].content = WEIGHTS[::-1]
    with pytest.raises(ModelError, match="is another file than it should be"):
        store.pull(entry, heard)
    web.files["/weights.bin"].content = WEIGHTS
    assert store.pull(entry, heard).read_bytes() == WEIGHTS


def test_what_somebody_else_put_there_is_left_alone(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_file(web, WEIGHTS)
    store.root.mkdir()
    mine = store.root / "weights.bin"
    mine.write_bytes(b"mine")
    assert store.pull(entry, heard) == mine
    assert heard.said == [f"{mine} is there already; it was not pulled, and is left as it is"]
    with pytest.raises(ModelError, match="was not pulled: delete it yourself"):
        store.remove(entry, heard)
    assert mine.read_bytes() == b"mine"
    assert not web.asked


def test_a_refused_archive_leaves_nothing_that_could_be_taken_for_the_model(
    web: FileServer, store: ModelCache, heard: Heard, tmp_path: Path
) -> None:
    entry = one_archive(web, packed(("bundle/a", b"a"), ("../escaped", b"x")))
    with pytest.raises(ModelError, match="lies outside its folder"):
        store.pull(entry, heard)
    assert store.find(entry) is None
    assert not (store.root / "bundle").exists()
    assert not list(tmp_path.rglob("escaped"))


def test_a_model_is_removed_with_all_that_is_known_of_it(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = bundle(web)
    store.pull(entry, heard)
    assert store.remove(entry, heard)
    assert left_in(store) == set()
    assert not store.remove(entry, heard)


def test_what_is_half_fetched_is_removed_too(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_file(web, WEIGHTS)
    web.files["/weights.bin"].cut_after = [1000, 0, 0, 0, 0]
    with pytest.raises(ModelError):
        store.pull(entry, heard)
    assert left_in(store)
    assert store.remove(entry, heard)
    assert left_in(store) == set()


def test_too_little_room_is_said_before_anything_is_fetched(
    web: FileServer, store: ModelCache, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = bundle(web)
    size = entry.size_bytes or 0
    assert size
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * size - 1))
    with pytest.raises(ModelError, match=r"mine needs 2 MB in .*, where 2 MB are free; make room, or name another"):
        store.pull(entry, heard)
    assert not web.asked
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * size))
    store.pull(entry, heard)


def test_a_folder_that_cannot_be_written_is_said_in_one_line(web: FileServer, tmp_path: Path, heard: Heard) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(ModelError, match=r"cannot write in .*models: ") as raised:
        ModelCache(tmp_path / "models").pull(one_file(web, WEIGHTS), heard)
    assert "\n" not in str(raised.value)


def test_a_damaged_record_is_no_record(web: FileServer, store: ModelCache, heard: Heard) -> None:
    entry = one_file(web, WEIGHTS)
    store.pull(entry, heard)
    (store.root / "weights.bin.trio-stt.json").write_text('{"engine": 1')
    assert store.find(entry) is None


def test_models_are_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
def test_sizes_in_words(size_bytes: int | None, words: str) -> None:
    assert human_size(size_bytes) == words
