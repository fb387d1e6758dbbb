"""Moonshine's files, token table and options."""

import base64
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sherpa_onnx
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.conftest import batch_of
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from tests.support.wer import BECKETT, TWO_CITIES, normalise, word_error_rate
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.lanes.engines.sherpa import trial
from trio_stt.lanes.engines.sherpa.moonshine_files import EMBEDDED_MODEL, token_table

ENGINE = "sherpa_onnx_moonshine"

V1_NAMES = ("preprocess.onnx", "encode.int8.onnx", "uncached_decode.int8.onnx", "cached_decode.int8.onnx", "tokens.txt")


def load_with(options: Mapping[str, object] | None = None, **changes: Any) -> Engine:
    moonshine_asset("tiny-en")
    return registry.load(replace(EngineConfig(engine=ENGINE, options=options or {}), **changes))


class Finder:
    """Loads models with a recogniser that only records the files it gets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[str, Path] = {}
        self.factory = ""
        monkeypatch.setattr(trial, "refusal", lambda *_: None)
        for name in ("from_moonshine", "from_moonshine_v2"):
            original = getattr(sherpa_onnx.OfflineRecognizer, name)
            monkeypatch.setattr(sherpa_onnx.OfflineRecognizer, name, self._recorder(name, inspect.signature(original)))

    def find(self, model: str, download_root: Path | None = None, **options: object) -> str:
        """Load a model, and return its name in `info`."""
        config = EngineConfig(engine=ENGINE, model=model, download_root=download_root, options=options)
        return registry.load(config).info.model

    def _recorder(self, name: str, signature: inspect.Signature) -> Callable[..., None]:
        def record(**keywords: Any) -> None:
            self.factory = name
            self.files = {option: Path(value) for option, value in keywords.items() if "/" in str(value)}

        record.__signature__ = signature  # type: ignore[attr-defined]  # it must look like the original
        return record


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> Finder:
    return Finder(monkeypatch)


def v2_folder(folder: Path) -> Path:
    """Make a v2 directory of links to the real model."""
    folder.mkdir(parents=True)
    for file in moonshine_asset("tiny-en").iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def v1_folder(folder: Path) -> Path:
    """Make a v1 directory of empty files with the right names; there is no v1 model to load."""
    folder.mkdir(parents=True)
    for name in V1_NAMES:
        (folder / name).touch()
    return folder


def transcribes_beckett(engine: Engine, beckett: NDArray[np.float32]) -> bool:
    return normalise(engine.transcribe(batch_of(beckett))[0].text) == normalise(BECKETT)


def encoded(tokens: list[bytes]) -> bytes:
    out = bytearray()
    for token in tokens:
        length = len(token)
        out += bytes([length] if length < 128 else [128 + length % 128, length // 128])
        out += token
    return bytes(out)


@given(st.lists(st.binary(max_size=400), max_size=8))
def test_token_table_has_every_token_with_its_id(tokens: list[bytes]) -> None:
    rows = [line.rsplit(" ", 1) for line in token_table(encoded(tokens)).splitlines()]
    assert [(base64.b64decode(symbol), int(number)) for symbol, number in rows] == [
        (token, number) for number, token in enumerate(tokens)
    ]


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=8), st.data())
def test_truncated_tokenizer_is_refused(tokens: list[bytes], data: st.DataObject) -> None:
    whole = encoded(tokens)
    last = len(encoded(tokens[-1:]))
    cut = data.draw(st.integers(min_value=1, max_value=last - 1))
    with pytest.raises(ValueError, match="ends inside"):
        token_table(whole[:-cut])


def test_embedded_token_table_has_every_token() -> None:
    table = token_table((moonshine_asset("tiny-en") / "tokenizer.bin").read_bytes())
    assert len(table.splitlines()) == 32_768


@pytest.mark.parametrize("table", ["YQ== 0\na b c d\n", "YQ== 0\nYg== one\n", "!!!! 0\n"])
def test_token_table_that_sherpa_onnx_cannot_read_is_refused(table: str, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text(table, encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=r"cannot load .*tiny-en as Moonshine v2: ") as raised:
        load_with({"tokens": str(tokens)})
    assert "\n" not in str(raised.value)


def test_byte_tokens_are_joined_to_characters() -> None:
    # Moonshine transcribes a short tone as a note sign, for which it has no token, only bytes.
    tone = (0.3 * np.sin(0.3927 * np.arange(1_600))).astype(np.float32)
    (transcript,) = load_with().transcribe(batch_of(tone))
    assert set(transcript.text) <= set("♪ ")


@pytest.mark.parametrize("model", ["", EMBEDDED_MODEL])
def test_embedded_model_is_the_default(model: str) -> None:
    assert load_with(model=model).info.model == EMBEDDED_MODEL


def test_nothing_is_written_to_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beckett: NDArray[np.float32]
) -> None:
    home_folder, temporary = tmp_path / "home", tmp_path / "tmp"
    home_folder.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home_folder))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert transcribes_beckett(load_with(), beckett)
    assert not list(home_folder.iterdir())
    assert not list(temporary.iterdir())


def test_v2_directory_with_a_tokenizer_loads(tmp_path: Path, beckett: NDArray[np.float32]) -> None:
    folder = v2_folder(tmp_path / "model")
    engine = load_with(model=str(folder))
    assert engine.info.model == str(folder)
    assert transcribes_beckett(engine, beckett)


def test_v2_directory_with_a_token_table_in_download_root_loads(tmp_path: Path, beckett: NDArray[np.float32]) -> None:
    folder = v2_folder(tmp_path / "model")
    (folder / "tokens.txt").write_text(token_table((folder / "tokenizer.bin").read_bytes()), encoding="utf-8")
    (folder / "tokenizer.bin").unlink()
    assert transcribes_beckett(load_with(model="model", download_root=tmp_path), beckett)


def test_relative_directory_is_looked_up_in_download_root_then_in_the_working_directory(
    finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, working_folder = tmp_path / "root", tmp_path / "here"
    root.mkdir()
    v1_folder(working_folder / "both")
    monkeypatch.chdir(working_folder)
    assert finder.find("both", root) == "both"
    v1_folder(root / "both")
    assert finder.find("both", root) == str(root / "both")
    with pytest.raises(EngineUnavailable, match=str(root / "neither")):
        finder.find("neither", root)


def test_tilde_is_the_home_folder(finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    v1_folder(tmp_path / "model")
    assert finder.find("~/model") == str(tmp_path / "model")


@pytest.mark.contract("8.3")
def test_v1_and_v2_layouts_are_distinguished(finder: Finder, tmp_path: Path) -> None:
    finder.find(str(v1_folder(tmp_path / "one")))
    assert finder.factory == "from_moonshine"
    assert {option: path.name for option, path in finder.files.items()} == dict(
        zip(("preprocessor", "encoder", "uncached_decoder", "cached_decoder", "tokens"), V1_NAMES, strict=True)
    )
    finder.find(str(v2_folder(tmp_path / "two")))
    assert finder.factory == "from_moonshine_v2"
    assert finder.files["decoder"].name == "decoder_model_merged.ort"


@pytest.mark.parametrize("hub_name", [f"UsefulSensors/moonshine-streaming-{size}" for size in ("medium", "tiny")])
def test_hub_name_means_the_directory_of_its_onnx_files(hub_name: str, finder: Finder, tmp_path: Path) -> None:
    folder = v1_folder(tmp_path / "sherpa-onnx-moonshine-tiny-en-int8")
    assert finder.find(hub_name, tmp_path) == str(folder)


def test_options_override_directory_and_files(finder: Finder, tmp_path: Path) -> None:
    folder = v1_folder(tmp_path / "model")
    (folder / "other.onnx").touch()
    absolute = tmp_path / "tokens-elsewhere.txt"
    absolute.touch()
    finder.find("ignored", model_dir=str(folder), encoder="other.onnx", files={"tokens": str(absolute)})
    assert finder.files["encoder"] == folder / "other.onnx"
    assert finder.files["tokens"] == absolute


@pytest.mark.parametrize("missing", V1_NAMES)
def test_missing_file_is_named_with_where_to_get_it(missing: str, finder: Finder, tmp_path: Path) -> None:
    folder = v1_folder(tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(EngineUnavailable) as raised:
        finder.find(str(folder))
    message = str(raised.value)
    assert all(part in message for part in ("Moonshine v1", str(folder / missing), "asr-models", "model_dir"))
    assert "\n" not in message


def test_damaged_model_file_is_refused(tmp_path: Path) -> None:
    folder = v2_folder(tmp_path / "model")
    encoder = folder / "encoder_model.ort"
    head = encoder.read_bytes()[:100_000]
    encoder.unlink()
    encoder.write_bytes(head)
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as Moonshine v2: "):
        load_with(model=str(folder))


def test_folder_is_tried_in_a_child_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = v2_folder(tmp_path / "model")  # its tokens are converted for each load
    load_with(model=str(folder)).close()
    monkeypatch.setattr(trial, "refusal", lambda *_: pytest.fail("the same files were tried already"))
    load_with(model=str(folder)).close()


def test_default_model_starts_without_a_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "refusal", lambda *_: pytest.fail("the embedded model needs no trial"))
    load_with({"num_threads": 2}).close()


def test_embedded_model_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    with pytest.raises(EngineUnavailable, match=r"pip install moonshine-voice==0\.1\.0"):
        registry.load(EngineConfig(engine=ENGINE))


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"num_threads": "many"}, "num_threads must be a whole number"),
        ({"num_threads": 0}, "num_threads must be a whole number"),
        ({"num_threads": True}, "num_threads must be a whole number"),
        ({"model": 5}, "model must be an object"),
        ({"model": {"threads": 2}}, r"model\.threads does not exist"),
        ({"files": {"encodr": "x"}}, r"files\.encodr does not exist"),
        ({"encoder": 5}, "encoder must be a string"),
        ({"preprocessor": "x.onnx"}, "preprocessor does not exist; there are .*merged_decoder"),
        ({"debug": "maybe"}, "debug must be true or false"),
        ({"decoding_method": "beam"}, "decoding_method must be 'greedy_search'"),
        ({"sample_rate": 8000}, "sample_rate must be 16000"),
        ({"rule_fars": "/no/such.far"}, "rule_fars names /no/such.far"),
        ({"provider": "tpu"}, "'tpu' must be"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, object], expected_message: str) -> None:
    with pytest.raises(SettingError, match=expected_message):
        load_with(options)


@pytest.mark.contract("8.3")
def test_reference_servers_options_are_accepted(beckett: NDArray[np.float32]) -> None:
    engine = load_with(
        {
            "model": {"num_threads": "2"},
            "debug": "off",
            "provider": "cpu",
            "sample_rate": 16_000,
            "rule_fsts": "",
            "hr_lexicon": None,
        }
    )
    assert transcribes_beckett(engine, beckett)


@pytest.mark.parametrize("language", [None, "", "en", "English"])
def test_english_and_no_language_mean_english(language: str | None) -> None:
    moonshine_asset("tiny-en")
    engine = registry.load(EngineConfig(engine=ENGINE, language=language))
    assert engine.transcribe(batch_of(np.zeros(1_600, np.float32)))[0].language == "en"


def test_reading_of_over_30_s_in_one_clip() -> None:
    (transcript,) = load_with().transcribe(batch_of(read_16k(moonshine_asset("two_cities.wav"))))
    assert word_error_rate(TWO_CITIES, transcript.text) <= 0.08
