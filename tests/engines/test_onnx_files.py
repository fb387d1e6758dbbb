"""Metadata read from the head of ONNX files."""

from pathlib import Path
from unittest.mock import patch

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.support.tone_models import write_ctc, write_transducer
from trio_stt.lanes.engines.sherpa.onnx_files import metadata, output_count


def model_file(folder: Path, entries: dict[str, str]) -> Path:
    model = helper.make_model(helper.make_graph([], "empty", [], []), producer_name="a test", doc_string="some words")
    helper.set_model_props(model, entries)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@given(st.dictionaries(st.text(max_size=200), st.text(max_size=200), max_size=6))
def test_it_equals_what_onnx_reads(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, str]) -> None:
    assert metadata(model_file(tmp_path_factory.mktemp("model"), entries)) == entries


def test_real_layouts_are_read(tmp_path: Path) -> None:
    assert metadata(write_transducer(tmp_path) / "encoder.int8.onnx")["subsampling_factor"] == "8"
    assert metadata(write_ctc(tmp_path) / "model.int8.onnx")["model_type"] == "omnilingual-asr"


def test_outputs_are_counted(tmp_path: Path) -> None:
    folder = write_transducer(tmp_path)
    for path in folder.glob("*.onnx"):
        assert output_count(path) == len(onnx.load(path).graph.output) > 0
    (folder / "tokens.txt").write_bytes(b"\x3a\x05\x62\x7f")  # a graph that ends early
    with pytest.raises(ValueError, match="ends early"):
        output_count(folder / "tokens.txt")


def test_weights_are_not_read(tmp_path: Path) -> None:
    path = write_ctc(tmp_path) / "model.int8.onnx"
    read: list[int] = []
    original = Path.open

    def counting(self: Path, mode: str) -> object:
        file = original(self, mode)
        read_file = file.read

        def count(size: int) -> bytes:
            read.append(size)
            return bytes(read_file(size))

        file.read = count  # type: ignore[method-assign,assignment,unused-ignore]  # counts what it lets through
        return file

    with patch.object(Path, "open", counting):
        metadata(path)
    assert sum(read) < path.stat().st_size / 20


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_holds_nothing(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(content)
    try:
        found = metadata(path)
    except ValueError:
        return
    assert sum(len(key) + len(value) for key, value in found.items()) <= len(content)


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = write_ctc(tmp_path) / "model.int8.onnx"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="ends early"):
        metadata(path)
