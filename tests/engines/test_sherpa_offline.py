"""Offline models of sherpa-onnx, written by the tests: files, options, words with times, damaged models."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.engines.conftest import batch_of
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken, write_ctc, write_transducer
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, TimedText

SENTENCE = spoken(ONE_HZ, TWO_HZ, THREE_HZ, END_HZ, ONE_HZ)


def load(engine: str, folder: Path, **options: object) -> Engine:
    return registry.load(EngineConfig(engine=engine, model=str(folder), options=options))


@pytest.mark.parametrize(("engine", "write"), [("parakeet", write_transducer), ("omnilingual", write_ctc)])
def test_words_have_times_in_the_clip(engine: str, write: Callable[[Path], Path], tmp_path: Path) -> None:
    (transcript,) = load(engine, write(tmp_path)).transcribe(batch_of(SENTENCE))
    assert transcript.text == "one two three one"
    assert [piece.text for piece in transcript.segments] == ["one", "two", "three", "one"]
    # Every tone begins 0.64 s after the one before; "three" is two of them.
    starts_s = [piece.start_s for piece in transcript.segments]
    assert np.allclose(starts_s, [0.32, 0.96, 1.60, 2.88], atol=0.08)
    ends_s = [piece.end_s for piece in transcript.segments]
    assert np.allclose(ends_s, [0.40, 1.04, 2.32, 2.96], atol=0.08)


def test_the_last_word_ends_with_the_clip(tmp_path: Path) -> None:
    clip = spoken(ONE_HZ)[: round(0.35 * 16_000)]
    (transcript,) = load("parakeet", write_transducer(tmp_path)).transcribe(batch_of(clip))
    (piece,) = transcript.segments
    assert piece == TimedText(text="one", start_s=piece.start_s, end_s=0.35, confidence=piece.confidence)


def test_beam_search_gives_the_same_text(tmp_path: Path) -> None:
    engine = load("parakeet", write_transducer(tmp_path), decoding_method="modified_beam_search", max_active_paths="2")
    assert engine.transcribe(batch_of(SENTENCE))[0].text == "one two three one"


@pytest.mark.contract("8.3")
@pytest.mark.parametrize(
    ("engine", "model", "folder"),
    [
        ("parakeet", "nvidia/parakeet-tdt-0.6b-v3", "sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8"),
        ("parakeet", "", "sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8"),
        ("omni_asr", "", "sherpa-onnx-omnilingual-asr-1600-languages-1B-ctc-v2-int8-2026-02-05"),
        ("omni_asr", "tiny.en", "sherpa-onnx-omnilingual-asr-1600-languages-1B-ctc-v2-int8-2026-02-05"),
        ("omni_asr", "omniASR_CTC_300M_v2", "sherpa-onnx-omnilingual-asr-1600-languages-300M-ctc-v2-int8-2026-02-05"),
    ],
)
def test_reference_servers_model_name_means_a_release_folder(
    engine: str, model: str, folder: str, tmp_path: Path
) -> None:
    write = write_transducer if engine == "parakeet" else write_ctc
    config = EngineConfig(engine=engine, model=model, download_root=tmp_path)
    with pytest.raises(EngineUnavailable, match=re.escape(str(tmp_path / folder))):
        registry.load(config)
    written = write(tmp_path / folder)
    assert registry.load(config).info.model == str(written)


def test_options_override_model_directory_and_files(tmp_path: Path) -> None:
    folder = write_transducer(tmp_path / "model")
    elsewhere = tmp_path / "tokens-elsewhere.txt"
    shutil.move(folder / "tokens.txt", elsewhere)
    shutil.move(folder / "encoder.int8.onnx", folder / "other.onnx")
    engine = load(
        "parakeet", tmp_path / "none", model_dir=str(folder), encoder="other.onnx", files={"tokens": str(elsewhere)}
    )
    assert engine.transcribe(batch_of(SENTENCE))[0].text == "one two three one"


def test_full_precision_files_are_found(tmp_path: Path) -> None:
    folder = write_transducer(tmp_path)
    for name in ("encoder", "decoder", "joiner"):
        (folder / f"{name}.int8.onnx").rename(folder / f"{name}.onnx")
    assert load("parakeet", folder).transcribe(batch_of(SENTENCE))[0].text == "one two three one"


@pytest.mark.parametrize(
    ("key", "value", "expected_message"),
    [
        ("vocab_size", "", "'vocab_size' does not exist in the metadata"),
        ("pred_hidden", "", "'pred_hidden' does not exist in the metadata"),
        ("normalize_type", "per_batch", "per_batch"),
    ],
)
def test_metadata_that_ends_sherpa_onnx_is_refused(key: str, value: str, expected_message: str, tmp_path: Path) -> None:
    folder = write_transducer(tmp_path, metadata={key: value})
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as NeMo transducer: .*{expected_message}"):
        load("parakeet", folder)


@pytest.mark.parametrize(
    ("tokens", "expected_message"),
    [
        ("", "does not include the blank token <blk>"),
        ("▁one 0\n▁two 1\n▁th 2\nree 3\n", "does not include the blank token <blk>"),
        ("<blk> 0\n▁one 1\n▁two 2\n▁th 3\nree 4\n", "<blk> is not the last token"),
        ("▁one 0\n<blk> 1\n", "<blk> is not the last token"),
        ("▁one zero\n", "▁one zero"),
    ],
)
def test_tokens_that_end_sherpa_onnx_are_refused(tokens: str, expected_message: str, tmp_path: Path) -> None:
    folder = write_transducer(tmp_path)
    (folder / "tokens.txt").write_text(tokens, encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as NeMo transducer: .*{expected_message}"):
        load("parakeet", folder)


def test_too_few_tokens_fail_the_clip(tmp_path: Path) -> None:
    folder = write_ctc(tmp_path)
    (folder / "tokens.txt").write_text("<blk> 0\n▁one 1\n", encoding="utf-8")
    with pytest.raises(TranscriptionFailed, match="engine omnilingual_asr: "):
        load("omnilingual", folder).transcribe(batch_of(SENTENCE))


def test_damaged_model_file_is_refused(tmp_path: Path) -> None:
    folder = write_transducer(tmp_path)
    joiner = folder / "joiner.int8.onnx"
    joiner.write_bytes(joiner.read_bytes()[:100])
    with pytest.raises(EngineUnavailable, match=f"cannot load {folder} as NeMo transducer: "):
        load("parakeet", folder)


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"num_threads": 0}, "num_threads must be a whole number"),
        ({"hotwords_score": "loud"}, "hotwords_score must be a number"),
        ({"blank_penalty": -1}, "blank_penalty must be a number of at least 0"),
        ({"dither": True}, "dither must be a number"),
        ({"decoding_method": "beam"}, "must be 'greedy_search' or 'modified_beam_search'"),
        ({"model_type": "transducer"}, "model_type must be 'nemo_transducer'"),
        ({"modeling_unit": "letters"}, "modeling_unit must be"),
        ({"lm": "x.onnx"}, "lm must be ''"),
        ({"hotwords_file": "/no/such"}, "hotwords_file names /no/such"),
        ({"hotwords_file": __file__}, "hotwords_file needs the option decoding_method"),
        (
            {"hotwords_file": __file__, "decoding_method": "modified_beam_search", "modeling_unit": "bpe"},
            "hotwords_file needs the option bpe_vocab",
        ),
        ({"sample_rate": 8000}, "sample_rate must be 16000"),
        ({"provider": "tpu"}, "'tpu' must be"),
        ({"preprocessor": "x"}, "preprocessor does not exist"),
        ({"files": {"model": "x"}}, r"files\.model does not exist"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], expected_message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=expected_message):
        load("parakeet", write_transducer(tmp_path), **options)


@pytest.mark.contract("8.3")
def test_reference_servers_options_are_accepted(tmp_path: Path) -> None:
    engine = load(
        "parakeet",
        write_transducer(tmp_path),
        model={"num_threads": "2"},
        debug="no",
        provider="cpu",
        sample_rate=16_000,
        feature_dim=80,
        dither=0.0,
        max_active_paths=4,
        hotwords_score="1.5",
        lm_scale=0.1,
        rule_fsts="",
        hr_dict_dir=None,
    )
    assert engine.transcribe(batch_of(SENTENCE))[0].text == "one two three one"


def test_option_unknown_to_the_factory_is_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules.fst"
    rules.touch()
    with pytest.raises(SettingError, match="rule_fsts has no effect on Omnilingual CTC"):
        load("omnilingual", write_ctc(tmp_path), rule_fsts=str(rules))
