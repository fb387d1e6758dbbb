"""Streaming models of sherpa-onnx, written by the tests: files, options, words with times, damaged models."""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.engines.conftest import batch_of
from tests.support.stream_families import (
    write_nemo_ctc,
    write_nemo_stream_transducer,
    write_paraformer,
    write_wenet_ctc,
)
from tests.support.stream_models import write_stream_transducer, write_zipformer2_ctc
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, pause, spoken, tone
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig, StreamingEngine, TimedText
from trio_stt.lanes.engines.sherpa import trial

SENTENCE = spoken(ONE_HZ, TWO_HZ, THREE_HZ, END_HZ, ONE_HZ)
WORDS = "one two three one"

Writer = Callable[[Path], Path]

CTC_WRITERS = (write_zipformer2_ctc, write_nemo_ctc, write_wenet_ctc)
TIMED_WRITERS = (write_stream_transducer, write_nemo_stream_transducer, *CTC_WRITERS)
WRITERS = (*TIMED_WRITERS, write_paraformer)

every_family = pytest.mark.parametrize("write", WRITERS)


def load(folder: Path, **options: object) -> StreamingEngine:
    engine = registry.load(EngineConfig(engine="sherpa_onnx_streaming", model=str(folder), options=options))
    assert isinstance(engine, StreamingEngine)
    return engine


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Writer], Path]:
    """The folder of each writer's model, written once, so that it is tried in a child process once."""
    return cache(lambda write: write(tmp_path_factory.mktemp("model")))


@every_family
def test_family_is_chosen_by_the_files(write: Writer, folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write))
    assert engine.transcribe(batch_of(SENTENCE))[0].text == WORDS
    assert (engine.info.streaming, engine.info.model) == (True, str(folder_of(write)))


@every_family
@pytest.mark.parametrize("piece", [160, 1_000, 7_777])
def test_chunks_of_any_size_equal_one_shot(write: Writer, piece: int, folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write))
    stream = engine.open_stream()
    partials = [""]
    for start in range(0, SENTENCE.size, piece):
        stream.feed(SENTENCE[start : start + piece])
        engine.decode([stream])
        partials.append(stream.result().text)
    stream.finish()
    engine.decode([stream])
    assert stream.result() == engine.transcribe(batch_of(SENTENCE))[0]
    # Greedy streaming revises nothing; only Paraformer gives the first half of a word without its `@@`.
    assert all(WORDS.startswith(text) or text.endswith(" th") for text in partials)
    assert len(set(partials)) >= 3


@every_family
def test_last_word_is_found_wherever_the_clip_ends(write: Writer, folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write))
    ends = range(16_000, 16_000 + 12_000, 480)
    clips = [np.concatenate([pause((end - 4_800) / 16_000), tone(ONE_HZ, 0.3)]) for end in ends]
    assert {transcript.text for transcript in engine.transcribe(batch_of(*clips))} == {"one"}


@every_family
def test_last_word_is_lost_without_a_tail(write: Writer, folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write), tail_padding_seconds=0)
    clips = [np.concatenate([pause(end / 16_000), tone(ONE_HZ, 0.15)]) for end in range(16_000, 28_000, 480)]
    assert "" in {transcript.text for transcript in engine.transcribe(batch_of(*clips))}


@pytest.mark.parametrize("write", TIMED_WRITERS)
def test_words_have_times_in_the_clip(write: Writer, folder_of: Callable[[Writer], Path]) -> None:
    (transcript,) = load(folder_of(write)).transcribe(batch_of(SENTENCE))
    assert [piece.text for piece in transcript.segments] == ["one", "two", "three", "one"]
    # Every tone begins 0.64 s after the one before; "three" is two of them.
    assert np.allclose([piece.start_s for piece in transcript.segments], [0.32, 0.96, 1.60, 2.88], atol=0.09)


def test_the_last_word_ends_with_what_was_fed(folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write_stream_transducer))
    stream = engine.open_stream()
    stream.feed(spoken(ONE_HZ)[: round(0.39 * 16_000)])
    stream.finish()
    engine.decode([stream])
    (piece,) = stream.result().segments
    assert piece == TimedText(text="one", start_s=piece.start_s, end_s=0.39, confidence=piece.confidence)


def test_streams_of_different_lengths_are_decoded_together(folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write_stream_transducer))
    clips = [SENTENCE[:size] for size in (100, 16_000, 30_000, SENTENCE.size)]
    together = engine.transcribe(batch_of(*clips))
    assert together == [engine.transcribe(batch_of(clip))[0] for clip in clips]


def test_sample_that_is_not_finite_is_refused_without_harm(folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write_stream_transducer))
    stream = engine.open_stream()
    stream.feed(SENTENCE[:20_000])
    with pytest.raises(TranscriptionFailed, match="finite"):
        stream.feed(np.full(100, np.nan, np.float32))
    stream.feed(SENTENCE[20_000:])
    stream.finish()
    engine.decode([stream])
    assert stream.result().text == WORDS


def test_closed_engine_refuses_every_call(folder_of: Callable[[Writer], Path]) -> None:
    engine = load(folder_of(write_stream_transducer))
    stream = engine.open_stream()
    engine.close()
    for use in (engine.open_stream, lambda: engine.decode([stream]), stream.result):
        with pytest.raises(TranscriptionFailed, match="closed"):
            use()


def test_normalize_audio_turns_streaming_off(folder_of: Callable[[Writer], Path]) -> None:
    config = EngineConfig(engine="sherpa_onnx_streaming", model=str(folder_of(write_stream_transducer)))
    info = registry.load(EngineConfig(engine=config.engine, model=config.model, normalize_audio=True)).info
    assert not info.streaming
    assert "normalize_audio" in (info.notice or "")


def test_hotwords_are_preferred(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_stream_transducer(tmp_path)
    hotwords, vocabulary = tmp_path / "hotwords.txt", tmp_path / "bpe.vocab"
    hotwords.write_text("one\n", encoding="utf-8")
    vocabulary.write_text("<blk>\t0\n▁one\t-1\n▁two\t-2\n▁th\t-3\nree\t-4\n", encoding="utf-8")
    engine = load(
        folder,
        decoding_method="modified_beam_search",
        hotwords_file=str(hotwords),
        hotwords_score=2.5,
        modeling_unit="bpe",
        bpe_vocab=str(vocabulary),
    )
    (transcript,) = engine.transcribe(batch_of(SENTENCE))
    assert transcript.text == WORDS
    stream = engine.open_stream()
    stream.feed(SENTENCE)
    stream.finish()
    engine.decode([stream])
    scores = engine.model.get_result_all(stream.native).context_scores  # type: ignore[attr-defined] # sherpa-onnx's own view
    assert scores == [2.5, 0.0, 0.0, 0.0, 2.5]
    assert capfd.readouterr() == ("", "")


def test_options_override_model_directory_and_files(tmp_path: Path) -> None:
    folder = write_stream_transducer(tmp_path / "model")
    elsewhere = tmp_path / "tokens-elsewhere.txt"
    shutil.move(folder / "tokens.txt", elsewhere)
    shutil.move(next(folder.glob("encoder*")), folder / "other.onnx")
    engine = load(tmp_path / "none", model_dir=str(folder), encoder="other.onnx", files={"tokens": str(elsewhere)})
    assert engine.transcribe(batch_of(SENTENCE))[0].text == WORDS


def test_model_name_is_looked_up_in_download_root(tmp_path: Path) -> None:
    config = EngineConfig(engine="sherpa_onnx_streaming", download_root=tmp_path)
    default = "sherpa-onnx-streaming-zipformer-en-2023-06-26"
    with pytest.raises(
        EngineUnavailable, match=re.escape(f"{tmp_path / default}/encoder*.onnx; fetch {default}.tar.bz2")
    ):
        registry.load(EngineConfig(engine=config.engine, model=default, download_root=tmp_path))
    write_stream_transducer(tmp_path / default)
    loaded = registry.load(EngineConfig(engine=config.engine, model=default, download_root=tmp_path))
    assert loaded.info.model == str(tmp_path / default)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_type", "", "No model_type in the metadata"),
        ("model_type", "zipformer3", "zipformer3"),
        ("T", "0", "invalid dimensions"),
        ("T", "many", "invalid dimensions"),
        ("decode_chunk_len", "-32", "-32"),
        ("decode_chunk_len", "", "'decode_chunk_len' does not exist in the metadata"),
        ("encoder_dims", "4,x", "4,x"),
        ("left_context_len", "99999999999", "."),
    ],
)
def test_metadata_that_ends_sherpa_onnx_is_refused(key: str, value: str, message: str, tmp_path: Path) -> None:
    folder = write_stream_transducer(tmp_path, metadata={key: value})
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as streaming transducer: .*{message}"):
        load(folder)


def test_model_that_hangs_while_it_loads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "DEADLINE_S", 0.01)
    with pytest.raises(EngineUnavailable, match=r"cannot load .*: loading takes longer than 0\.01 s"):
        load(write_stream_transducer(tmp_path))


def test_model_is_tried_in_a_child_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_stream_transducer(tmp_path)
    load(folder).close()
    monkeypatch.setattr(trial, "refusal", lambda *_: pytest.fail("the same files were tried already"))
    load(folder).close()


def test_changed_hotwords_file_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_stream_transducer(tmp_path / "model")
    tried: list[object] = []
    monkeypatch.setattr(trial, "refusal", lambda *arguments: tried.append(arguments[-1]))
    for name, content in (("first", "one"), ("second", "one"), ("second", "one two"), ("second", "one two")):
        hotwords = tmp_path / f"{name}.txt"
        if not hotwords.exists() or hotwords.read_text(encoding="utf-8") != content:
            hotwords.write_text(content, encoding="utf-8")
        load(folder, decoding_method="modified_beam_search", hotwords_file=str(hotwords)).close()
    assert len(tried) == 3


def test_folder_with_spaces_and_other_alphabets_is_tried(tmp_path: Path) -> None:
    engine = load(write_stream_transducer(tmp_path / "mödel 名 1"))
    assert engine.transcribe(batch_of(SENTENCE))[0].text == WORDS


@pytest.mark.parametrize(
    ("exit_statement", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "by SIGKILL, which is also how the system ends a process when memory"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "by SIGABRT"),
        ("os._exit(7)", "ended with status 7"),
    ],
)
def test_child_that_ends_without_a_message_is_described(
    exit_statement: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text(f"import os\nimport signal\n{exit_statement}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert message in str(trial.refusal("deadly", "Recognizer", "load", {}))


def test_crash_after_a_successful_trial_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = """
import atexit, os
class Recognizer:
    load = classmethod(lambda cls: cls())
    def __init__(self): atexit.register(os.abort)
    def create_stream(self): return self
    def accept_waveform(self, rate_hz, samples): pass
    def decode_stream(self, stream): pass
"""
    (tmp_path / "fragile.py").write_text(library, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert trial.refusal("fragile", "Recognizer", "load", {}) is None


def test_interpreter_without_an_executable_skips_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in (None, "", "/no/such/python"):
        monkeypatch.setattr("sys.executable", executable)
        assert trial.refusal("sherpa_onnx", "OnlineRecognizer", "from_transducer", {}) is None


@pytest.mark.parametrize("key", ["vocab_size", "context_size"])
def test_decoder_without_metadata_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=f"as streaming transducer: '{key}' does not exist in the metadata"):
        load(write_stream_transducer(tmp_path, decoder={key: ""}))


def test_decoder_of_another_kind_of_transducer_is_refused(tmp_path: Path) -> None:
    icefall = write_stream_transducer(tmp_path / "icefall")
    nemo = write_nemo_stream_transducer(tmp_path / "nemo")
    for folder, other in ((icefall, nemo), (nemo, icefall)):
        with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as streaming transducer: "):
            load(folder, decoder=str(next(other.glob("decoder*"))))


@pytest.mark.parametrize("write", CTC_WRITERS)
def test_tokens_without_a_blank_are_refused(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = write(tmp_path)
    tokens = folder / "tokens.txt"
    tokens.write_text(re.sub("<.*>", "nought", tokens.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as .* CTC: .*blank"):
        load(folder)


def test_too_few_tokens_fail_the_clip(tmp_path: Path) -> None:
    folder = write_stream_transducer(tmp_path)
    (folder / "tokens.txt").write_text("<blk> 0\n▁one 1\n", encoding="utf-8")
    with pytest.raises(TranscriptionFailed, match="engine sherpa_onnx_streaming: "):
        load(folder).transcribe(batch_of(SENTENCE))


def test_damaged_model_file_is_refused(tmp_path: Path) -> None:
    folder = write_stream_transducer(tmp_path)
    joiner = next(folder.glob("joiner*"))
    joiner.write_bytes(joiner.read_bytes()[:100])
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as streaming transducer: "):
        load(folder)
    for writer in (write_stream_transducer, write_nemo_stream_transducer):
        for name in ("encoder", "decoder"):
            damaged = next(writer(tmp_path / writer.__name__).glob(f"{name}*"))
            damaged.write_bytes(damaged.read_bytes()[:100])
            with pytest.raises(EngineUnavailable, match=f"cannot load {damaged.parent} as streaming transducer: "):
                load(damaged.parent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_threads": 0}, "num_threads must be a whole number"),
        ({"decoding_method": "beam"}, "must be 'greedy_search' or 'modified_beam_search'"),
        ({"hotwords_file": "/no/such"}, "hotwords_file names /no/such"),
        ({"hotwords_file": __file__}, "hotwords_file needs the option decoding_method"),
        ({"rule1_min_trailing_silence": 1.0}, "rule1_min_trailing_silence can only be 2.4"),
        ({"enable_endpoint_detection": "perhaps"}, "enable_endpoint_detection must be true or false"),
        ({"tail_padding_seconds": "long"}, "tail_padding_seconds must be a number from 0 to 10"),
        ({"tail_padding_seconds": 11}, "tail_padding_seconds must be a number from 0 to 10"),
        ({"chunk_size": 8}, "chunk_size does not exist"),
        (
            {"files": {"model": "x.onnx"}},
            r"option files\.model does not exist; there are decoder, enc",
        ),
        ({"sample_rate": 8000}, "sample_rate must be 16000"),
        ({"provider": "tpu"}, "'tpu' must be"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=message):
        load(write_stream_transducer(tmp_path), **options)


def test_wenet_chunk_options_are_used(tmp_path: Path) -> None:
    engine = load(write_wenet_ctc(tmp_path), chunk_size=16, num_left_chunks=2, tail_padding_seconds="auto")
    assert engine.transcribe(batch_of(SENTENCE))[0].text == WORDS
