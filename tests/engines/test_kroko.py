"""Kroko's models: intact, damaged and encrypted files, which file is used, and the package for licensed ones."""

import json
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Self

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.conftest import batch_of
from tests.support.stream_models import CHUNK_FRAMES, WINDOW_FRAMES, pack_kroko, write_stream_transducer
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, StreamingEngine
from trio_stt.lanes.engines.sherpa import trial
from trio_stt.lanes.engines.sherpa.kroko_files import DEFAULT_MODEL, read_file

SENTENCE = spoken(ONE_HZ, TWO_HZ, THREE_HZ, END_HZ, ONE_HZ)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stream_transducer(tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="module")
def packed(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_kroko(unpacked, tmp_path_factory.mktemp("packed") / "Kroko-DE-Tones-64-L-Streaming-001.data")


def load(path: Path | str, *, download_root: Path | None = None, **options: object) -> Engine:
    config = EngineConfig(engine="kroko", model=str(path), download_root=download_root, options=options)
    return registry.load(config)


@pytest.mark.contract("8.3")
def test_packed_model_equals_the_unpacked_one(packed: Path, unpacked: Path) -> None:
    streaming = registry.load(EngineConfig(engine="sherpa_onnx_streaming", model=str(unpacked)))
    engine = load(packed)
    assert isinstance(engine, StreamingEngine)
    stream = engine.open_stream()
    for start in range(0, SENTENCE.size, 1_600):
        stream.feed(SENTENCE[start : start + 1_600])
        engine.decode([stream])
    stream.finish()
    engine.decode([stream])
    (expected,) = streaming.transcribe(batch_of(SENTENCE))
    assert expected.text == "one two three one"
    for transcript in (stream.result(), engine.transcribe(batch_of(SENTENCE))[0]):
        assert (transcript.text, transcript.segments, transcript.language) == (expected.text, expected.segments, "de")
    assert engine.info.model == str(packed)


def test_unpacked_files_are_removed(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = load(packed)
    assert list(tmp_path.iterdir()) == []
    assert engine.transcribe(batch_of(SENTENCE))[0].text == "one two three one"
    damaged = tmp_path / "elsewhere" / "x.data"
    damaged.parent.mkdir()
    damaged.write_bytes(HEADER + b"".join(map(block, (b"e", b"d", b"j", b"t"))))
    with pytest.raises(EngineUnavailable):
        load(damaged)
    assert list(tmp_path.iterdir()) == [damaged.parent]


def test_file_is_tried_in_a_child_once(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(packed).close()
    monkeypatch.setattr(trial, "refusal", lambda *_: pytest.fail("the same file was tried already"))
    load(packed).close()


def test_model_type_in_the_header_is_enough(tmp_path: Path) -> None:
    folder = write_stream_transducer(tmp_path / "model", metadata={"model_type": ""})
    assert load(pack_kroko(folder, tmp_path / "x.data")).transcribe(batch_of(SENTENCE))[0].text == "one two three one"


@pytest.mark.parametrize(
    ("header", "expected_message"),
    [
        ({"type": "lstm"}, "cannot load .* does not exist in the metadata"),
        ({"free": False}, "is encrypted: give its licence key as the option `key`"),
        ({"free": "false"}, "is encrypted"),
    ],
)
def test_header_is_used(header: dict[str, object], expected_message: str, unpacked: Path, tmp_path: Path) -> None:
    path = pack_kroko(unpacked, tmp_path / "x.data", header=header)
    with pytest.raises(EngineUnavailable, match=expected_message) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert "trio-stt-kroko" not in str(raised.value)


def block(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


HEADER = block(json.dumps({"free": True, "id": "x", "type": "zipformer2"}).encode())


@pytest.mark.parametrize(
    ("content", "expected_message"),
    [
        (b"", "ends before its header"),
        (b"\1\0", "ends before its header"),
        (struct.pack("<I", 2**32 - 1) + b"{}", "its header should have 4294967295 bytes, but only 2 follow"),
        (block(b""), "its header would have 0 bytes"),
        (block(b"x" * 100_000), "its header would have 100000 bytes"),
        (block(b"no json"), "its header is not JSON"),
        (block(b"[" * 60_000), "its header is not JSON"),
        (block(b"\xff\xfe"), "its header is not JSON"),
        (block(b"[1]"), "its header is not a JSON object"),
        (HEADER, "ends before its encoder"),
        (HEADER + block(b"e") + block(b"d"), "ends before its joiner"),
        (HEADER + block(b"e") + block(b"d") + struct.pack("<I", 1000) + b"j", "its joiner should have 1000 bytes, but"),
        (HEADER + block(b"e") + block(b"d") + block(b""), "its joiner is empty"),
        (HEADER + b"".join(map(block, (b"e", b"d", b"j", b"t"))) + b"more", "4 bytes follow its tokens"),
        (HEADER + b"".join(map(block, (b"e", b"d", b"j", b"t"))), "cannot load .* as Kroko transducer"),
    ],
)
def test_damaged_file_is_refused(content: bytes, expected_message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.data"
    path.write_bytes(content)
    with pytest.raises(EngineUnavailable, match=expected_message) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_truncated_or_changed_file_is_refused_or_consistent(data: st.DataObject, packed: Path, tmp_path: Path) -> None:
    content = bytearray(packed.read_bytes())
    path = tmp_path / "x.data"
    cut = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:cut])
    with pytest.raises(EngineUnavailable, match="is not a Kroko model"):
        read_file(path, engine="kroko_onnx", model=path.name)
    content[data.draw(st.integers(0, 80))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        file = read_file(path, engine="kroko_onnx", model=path.name)
    except EngineUnavailable as error:
        assert "\n" not in str(error)  # noqa: PT017 - most changes are harmless, so none must raise
        return
    assert sum(length + 4 for _, length in file.blocks.values()) <= len(content)


# --- which file is loaded ---


@pytest.mark.contract("8.3")
@pytest.mark.parametrize(
    ("options", "model", "found"),
    [
        ({"model_path": "a.data"}, "b.data", "a.data"),
        ({"model_file": "sub/a.data"}, "", "sub/a.data"),
        ({"model_dir": "a.data"}, "", "a.data"),
        ({"model_dir": "two", "model_filename": "x.data"}, "", "two/x.data"),
        ({"model_dir": "two"}, "", f"two/{DEFAULT_MODEL}"),
        ({"model_dir": "one"}, "", "one/only.data"),
        ({"model_dir": "default"}, "", f"default/{DEFAULT_MODEL}"),
        ({}, "Kroko-FR.data", "Kroko-FR.data"),
    ],
)
def test_options_and_names_find_the_reference_servers_files(
    options: dict[str, object], model: str, found: str, tmp_path: Path
) -> None:
    for name in ("two/x.data", "two/y.data", "one/only.data", f"default/{DEFAULT_MODEL}", "default/z.data"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(EngineUnavailable, match=re.escape(f"{tmp_path / found}") + r"[ ;]"):  # missing, or empty
        load(model, download_root=tmp_path, **options)


@pytest.mark.contract("8.3")
def test_reference_servers_download_is_found(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / ".cache" / "realtimestt" / "kroko-onnx"
    cache.mkdir(parents=True)
    (cache / DEFAULT_MODEL).write_bytes(packed.read_bytes())
    engine = load(DEFAULT_MODEL)
    assert engine.info.model == str(cache / DEFAULT_MODEL)
    assert engine.transcribe(batch_of(SENTENCE))[0].language == "en"


def test_missing_file_names_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=f"no model file {tmp_path / 'x.data'}; fetch Kroko-EN.* from https://"):
        load("x.data", download_root=tmp_path, auto_download_model=True)


# --- options ---


@pytest.mark.contract("8.3")
def test_reference_servers_options_are_accepted(packed: Path) -> None:
    engine = load(
        packed,
        key="",
        referralcode="",
        num_threads="1",
        provider="cpu",
        sample_rate=16_000,
        feature_dim=80,
        decoding_method="greedy_search",
        max_active_paths=4,
        hotwords_file="",
        hotwords_score=1.5,
        blank_penalty=0,
        enable_endpoint_detection=True,
        rule1_min_trailing_silence=2.4,
        rule2_min_trailing_silence=1.2,
        rule3_min_utterance_length=20.0,
        language="EN",
        finalization_padding_seconds=1.5,
        suppress_native_output="yes",
        quiet=True,
        download_model=False,
        recognizer={"decoding_method": "modified_beam_search", "max_active_paths": 2},
    )
    (transcript,) = engine.transcribe(batch_of(SENTENCE))
    assert (transcript.text, transcript.language) == ("one two three one", "en")


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"recognizer": 1}, "option recognizer must be an object"),
        ({"recognizer": {"decoding_method": "x"}}, "option decoding_method must be"),
        ({"tail_padding_seconds": -1}, "tail_padding_seconds must be a number from 0 to 10"),
        ({"finalization_padding_seconds": "x"}, "finalization_padding_seconds must be"),
        ({"quiet": "perhaps"}, "quiet must be true or false"),
        ({"key": 7}, "key must be a string"),
        ({"rule3_min_utterance_length": 5}, "rule3_min_utterance_length can only be 20"),
        ({"hf_token": "x"}, "hf_token does not exist"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], expected_message: str, packed: Path) -> None:
    with pytest.raises(SettingError, match=f"engine kroko_onnx: .*{expected_message}"):
        load(packed, **options)


# --- how much silence a model needs after the last word ---


@pytest.mark.parametrize("tail_s", [WINDOW_FRAMES / 100 + 0.01, 0.66])
def test_tail_of_a_window_and_a_frame_is_necessary_and_enough(packed: Path, tail_s: float) -> None:
    ends = range(32_000, 32_000 + CHUNK_FRAMES * 160, 160)
    clips = [np.append(np.zeros(end, np.float32), SENTENCE[5_120:6_400]) for end in ends]
    enough = load(packed, tail_padding_seconds=tail_s)
    assert {transcript.text for transcript in enough.transcribe(batch_of(*clips))} == {"one"}
    less = load(packed, tail_padding_seconds=tail_s - CHUNK_FRAMES / 100 - 0.1)
    if tail_s < 0.5:
        assert "" in {transcript.text for transcript in less.transcribe(batch_of(*clips))}


# --- licensed models, with the package ---


class FakeStream:
    def __init__(self) -> None:
        self.samples = self.decoded = 0
        self.finished = False

    def accept_waveform(self, sample_rate: int, samples: NDArray[np.float32]) -> None:
        assert (sample_rate, samples.dtype, self.finished) == (16_000, np.float32, False)
        self.samples += samples.size

    def input_finished(self) -> None:
        self.finished = True


@dataclass
class FakeResult:
    text: str


class FakeRecognizer:
    """The interface in the package's documentation, and nothing beyond it."""

    arguments: ClassVar[dict[str, object]] = {}

    @classmethod
    def from_transducer(  # noqa: PLR0917 - as the package has it
        cls,
        model_path: str,
        key: str = "",
        referralcode: str = "",
        num_threads: int = 1,
        provider: str = "cpu",
        decoding_method: str = "modified_beam_search",
        blank_penalty: float = 0.0,
        enable_endpoint_detection: bool = True,
        rule1_min_trailing_silence: float = 2.4,
        rule2_min_trailing_silence: float = 1.2,
        rule3_min_utterance_length: float = 20.0,
    ) -> Self:
        cls.arguments = {name: value for name, value in locals().items() if name != "cls"}
        if key == "wrong":
            raise RuntimeError("no licence\nat all")
        return cls()

    def create_stream(self) -> FakeStream:
        return FakeStream()

    def is_ready(self, stream: FakeStream) -> bool:
        return stream.samples - stream.decoded > (WINDOW_FRAMES + 1) * 160 or (stream.finished and not stream.decoded)

    def decode_streams(self, streams: list[FakeStream]) -> None:
        for stream in streams:
            stream.decoded = stream.samples

    def get_result(self, stream: FakeStream) -> FakeResult:
        return FakeResult(f" heard {stream.decoded} ")


@pytest.fixture
def licensed(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A trial in a child process would be a second connection to the licence server.
    monkeypatch.setattr(trial, "refusal", lambda *_: pytest.fail("a licensed model is loaded in one process only"))
    package = ModuleType("kroko_onnx")
    package.OnlineRecognizer = FakeRecognizer  # type: ignore[attr-defined] # a fake module
    monkeypatch.setitem(sys.modules, "kroko_onnx", package)
    header: dict[str, object] = {"free": "false"}
    return pack_kroko(unpacked, tmp_path / "Kroko-FR-Pro-128-L-Streaming-001.data", header=header)


def test_encrypted_model_uses_the_package_and_key(licensed: Path) -> None:
    engine = load(licensed, key="abc", referralcode="r", num_threads=3, blank_penalty=0.5)
    expected = {
        "model_path": str(licensed),
        "key": "abc",
        "referralcode": "r",
        "num_threads": 3,
        "provider": "cpu",
        "decoding_method": "greedy_search",
        "blank_penalty": 0.5,
        "enable_endpoint_detection": False,
    }
    assert FakeRecognizer.arguments | expected == FakeRecognizer.arguments
    assert (engine.info.model, engine.info.device, engine.info.streaming) == (str(licensed), "cpu", True)
    tail_samples = round(0.66 * 16_000)  # the minimum silence; this window is shorter
    (transcript,) = engine.transcribe(batch_of(SENTENCE))
    assert transcript.text == f"heard {SENTENCE.size + tail_samples}"
    assert (transcript.language, transcript.segments) == ("fr", ())


def test_package_error_is_one_line(licensed: Path) -> None:
    with pytest.raises(
        EngineUnavailable,
        match=f"engine kroko_onnx: kroko-onnx cannot load {licensed} as Kroko transducer: no licence; fetch",
    ):
        load(licensed, key="wrong")


def test_option_unknown_to_the_package_is_refused(licensed: Path) -> None:
    with pytest.raises(SettingError, match=r"hotwords_score has no effect on .* in the installed kroko-onnx"):
        load(licensed, key="abc", hotwords_score=2.0)


def test_encrypted_model_without_the_package_names_it(licensed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kroko_onnx", None)
    with pytest.raises(EngineUnavailable, match=r"package kroko-onnx .*run `KROKO_LICENSE=ON \S.* install git"):
        load(licensed, key="abc")
    with pytest.raises(SettingError, match="'tpu'"):
        load(licensed, key="abc", provider="tpu")
