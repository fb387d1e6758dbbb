"""Transformers' families: batches and single clips, times, languages, options and precisions."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.checkpoints import WRITERS, load_from
from tests.engines.conftest import batch_of
from tests.engines.leaks import check_nothing_is_left
from tests.support.hf_random import write_granite
from tests.support.hf_whisper import needs_torch, whisper_checkpoint
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from tests.support.wer import TWO_CITIES, word_error_rate
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, Hints

RATE_HZ = 16_000

TIMED = ("parakeet_ctc", "parakeet_rnnt", "parakeet_tdt", "wav2vec2", "wav2vec2_old")


@pytest.fixture
def clips(beckett: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [beckett[:56_000], beckett[5_000:21_000], beckett[56_000:108_000], beckett[2_000:4_000]]


@pytest.fixture(scope="session")
def engine_of(written: Path) -> Callable[[str], Engine]:
    """The engine of each random checkpoint with no options, loaded once."""
    return cache(lambda name: load_from(written / name))


# --- every family ---


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("name", WRITERS)
def test_batch_of_mixed_lengths_equals_its_clips_one_by_one(
    name: str, engine_of: Callable[[str], Engine], clips: list[NDArray[np.float32]]
) -> None:
    engine = engine_of(name)
    alone = [engine.transcribe(batch_of(clip))[0] for clip in clips]
    assert engine.transcribe(batch_of(*clips)) == alone
    assert engine.transcribe(batch_of(*reversed(clips))) == alone[::-1]
    assert len({transcript.text for transcript in alone}) > 1, "such a checkpoint tests nothing"


@pytest.mark.parametrize("name", TIMED)
def test_words_have_times_in_order_and_inside_the_clip(
    name: str, engine_of: Callable[[str], Engine], clips: list[NDArray[np.float32]]
) -> None:
    for clip in clips:
        (transcript,) = engine_of(name).transcribe(batch_of(clip))
        assert " ".join(word.text for word in transcript.segments) == transcript.text
        assert transcript.segments
        assert all(0.0 <= word.start_s <= word.end_s <= clip.size / RATE_HZ for word in transcript.segments)
        assert all(first.end_s <= second.start_s for first, second in pairwise(transcript.segments))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("samples", [1, *(pytest.param(n, marks=pytest.mark.long) for n in (160, 1_600)), 30 * RATE_HZ])
def test_silence_of_any_length_has_no_words(name: str, samples: int, engine_of: Callable[[str], Engine]) -> None:
    (transcript,) = engine_of(name).transcribe(batch_of(np.zeros(samples, np.float32)))
    assert (transcript.text, transcript.segments) == ("", ())


# The families share the code that chooses the precision; an ordinary run loads two.
@pytest.mark.parametrize(
    "name",
    [
        "whisper",
        "wav2vec2",
        *(pytest.param(name, marks=pytest.mark.long) for name in WRITERS if name not in ("whisper", "wav2vec2")),
    ],
)
def test_configured_precision_is_used(name: str, written: Path, clips: list[NDArray[np.float32]]) -> None:
    import torch  # noqa: PLC0415 - as above

    for spelled, dtype in (("bfloat16", torch.bfloat16), ("fp16", torch.float16), ("default", torch.float32)):
        engine = load_from(written / name, compute_type=spelled)
        assert engine.model._model.dtype == dtype  # type: ignore[attr-defined] # only the adapter has it
        engine.transcribe(batch_of(*clips))


# The families share the code that frees a model; an ordinary run loads one.
@pytest.mark.parametrize(
    ("name", "rounds"),
    [("wav2vec2", 3), *(pytest.param(name, 10, marks=pytest.mark.long) for name in WRITERS)],
)
def test_repeated_loads_leak_nothing(name: str, written: Path, rounds: int) -> None:
    check_nothing_is_left(lambda: load_from(written / name), batch_of(np.ones(1_600, np.float32)), rounds=rounds)


def test_parakeet_equals_transformers_own_pipeline(written: Path, clips: list[NDArray[np.float32]]) -> None:
    import torch  # noqa: PLC0415 - as above
    from transformers import AutoProcessor, ParakeetForCTC  # noqa: PLC0415 - as above

    processor = AutoProcessor.from_pretrained(written / "parakeet_ctc")
    model = ParakeetForCTC.from_pretrained(written / "parakeet_ctc", dtype=torch.float32)
    features = processor(clips[:3], sampling_rate=RATE_HZ)
    texts = processor.batch_decode(model.generate(**features), skip_special_tokens=True)
    transcripts = load_from(written / "parakeet_ctc").transcribe(batch_of(*clips[:3]))
    assert [transcript.text for transcript in transcripts] == texts


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("name", ["parakeet_ctc", "parakeet_tdt"])
def test_parakeet_with_backend_transformers(name: str, written: Path, clips: list[NDArray[np.float32]]) -> None:
    config = EngineConfig(engine="parakeet", model=name, download_root=written, options={"backend": "transformers"})
    engine = registry.load(config)
    assert engine.info.engine == "sherpa_onnx_parakeet"
    assert engine.transcribe(batch_of(*clips)) == load_from(written / name).transcribe(batch_of(*clips))


# --- Whisper ---


@pytest.mark.long
def test_whisper_detects_the_language_of_each_clip_unless_set(written: Path, clips: list[NDArray[np.float32]]) -> None:
    found = load_from(written / "whisper").transcribe(batch_of(*clips))
    assert {transcript.language for transcript in found} <= {"en", "de", "fr"}
    german = load_from(written / "whisper", language="DE")
    assert {transcript.language for transcript in german.transcribe(batch_of(*clips))} == {"de"}
    assert german.transcribe(batch_of(*clips, hints=Hints(language="auto"))) == found
    french = german.transcribe(batch_of(*clips, hints=Hints(language="fr")))
    assert {transcript.language for transcript in french} == {"fr"}
    with pytest.raises(SettingError, match="engine transformers: language 'tlh' is unknown to "):
        load_from(written / "whisper", language="tlh")


@pytest.mark.long
def test_long_and_short_clip_in_one_batch(beckett: NDArray[np.float32]) -> None:
    engine = load_from(whisper_checkpoint(), language="en")
    long = read_16k(moonshine_asset("two_cities.wav"))
    transcript, short = engine.transcribe(batch_of(long, beckett[:56_000]))
    assert word_error_rate(TWO_CITIES, transcript.text) <= 0.08
    starts = [segment.start_s for segment in transcript.segments]
    assert len(starts) > 1
    assert starts == sorted(starts)
    assert transcript.segments[-1].end_s <= long.size / RATE_HZ
    assert word_error_rate("ever tried ever failed", short.text) == 0.0
    assert short.segments == ()


@pytest.mark.contract("8.3")
def test_prompt_affects_its_own_clip_and_timestamps_are_optional(beckett: NDArray[np.float32]) -> None:
    engine = load_from(whisper_checkpoint(), {"timestamps": True}, language="en", beam_size=2)
    clip = beckett[:56_000]
    plain = engine.transcribe(batch_of(clip))
    (prompted,) = engine.transcribe(batch_of(clip, hints=Hints(prompt="EVER TRIED EVER FAILED NO MATTER")))
    assert prompted.text.isupper()
    assert engine.transcribe(batch_of(clip)) == plain
    assert not plain[0].text.isupper()
    assert " ".join(segment.text for segment in plain[0].segments) == plain[0].text
    assert 0.0 < plain[0].segments[-1].end_s <= 3.5


# --- Granite ---


class _Mel:
    """A stand-in for torchaudio's mel spectrogram, good enough for a random model."""

    def __init__(self, *, n_fft: int, win_length: int, hop_length: int, n_mels: int, sample_rate: int) -> None:
        assert sample_rate == RATE_HZ
        self._sizes = (n_fft, hop_length, win_length)
        self._mels = n_mels

    def to(self, device: str) -> "_Mel":
        assert device == "cpu"
        return self

    def __call__(self, audio: Any) -> Any:
        import torch  # noqa: PLC0415 - as above

        window = torch.hann_window(self._sizes[2])
        power = torch.stft(audio, *self._sizes, window=window, return_complex=True).abs() ** 2
        return power[..., 1 : 1 + self._mels, :]


@pytest.mark.contract("8.3")
def test_granite_chat_has_prompt_and_language(
    tmp_path: Path, clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_torch()
    from transformers.models.granite_speech import feature_extraction_granite_speech as features  # noqa: PLC0415 - as above
    from transformers.models.granite_speech.processing_granite_speech import GraniteSpeechProcessor  # noqa: PLC0415 - as above

    monkeypatch.setattr(features, "requires_backends", lambda *_: None)
    monkeypatch.setattr(
        features, "torchaudio", SimpleNamespace(transforms=SimpleNamespace(MelSpectrogram=_Mel)), raising=False
    )
    chats: list[str] = []
    call = GraniteSpeechProcessor.__call__

    def listening(self: Any, text: list[str], *args: Any, **kwargs: Any) -> Any:
        chats.extend(text)
        return call(self, text, *args, **kwargs)

    monkeypatch.setattr(GraniteSpeechProcessor, "__call__", listening)
    options = {"generate": {"max_new_tokens": 12}, "prompt": "write it down.", "include_language_in_prompt": True}
    config = EngineConfig(engine="granite", model=str(write_granite(tmp_path)), language="en", options=options)
    engine = registry.load(config)
    transcripts = engine.transcribe(batch_of(*clips))
    assert transcripts == [engine.transcribe(batch_of(clip))[0] for clip in clips]
    assert all(transcript.text for transcript in transcripts)
    engine.transcribe(batch_of(clips[0], hints=Hints(prompt="Beckett")))
    assert chats[-2].startswith("<|audio|>write it down. The language is en.")
    assert "Context: Beckett" in chats[-1]
    assert "write it down" not in transcripts[0].text


def test_granite_without_torchaudio_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_torch()
    from transformers.models.granite_speech import feature_extraction_granite_speech as features  # noqa: PLC0415 - as above

    with monkeypatch.context() as patched:
        patched.setattr(features, "requires_backends", lambda *_: None)
        patched.setattr(
            features, "torchaudio", SimpleNamespace(transforms=SimpleNamespace(MelSpectrogram=_Mel)), raising=False
        )
        write_granite(tmp_path)
    if find_spec("torchaudio") is not None:
        pytest.skip("torchaudio is here")
    with pytest.raises(EngineUnavailable, match=r"needs another package: .*torchaudio"):
        registry.load(EngineConfig(engine="granite_speech", model=str(tmp_path)))


# --- Cohere Transcribe and Qwen3-ASR ---


@pytest.mark.contract("8.3")
@pytest.mark.parametrize(("engine", "name"), [("cohere", "cohere"), ("qwen_asr", "qwen3")])
def test_sherpa_onnx_engines_with_backend_transformers(
    engine: str, name: str, written: Path, clips: list[NDArray[np.float32]]
) -> None:
    config = EngineConfig(engine=engine, model=name, download_root=written, options={"backend": "transformers"})
    loaded = registry.load(config)
    assert loaded.info.engine == registry.resolve(engine).name
    assert loaded.transcribe(batch_of(*clips)) == load_from(written / name, language="en").transcribe(batch_of(*clips))


@pytest.mark.contract("8.3")
def test_cohere_uses_language_and_punctuation(written: Path, clips: list[NDArray[np.float32]]) -> None:
    transcripts = {
        (language, punctuation): load_from(
            written / "cohere", {"punctuation": punctuation}, language=language
        ).transcribe(batch_of(clips[0]))[0]
        for language in ("en", "de")
        for punctuation in (True, False)
    }
    assert len({transcript.text for transcript in transcripts.values()}) == len(transcripts)
    assert all(transcript.language == language for (language, _), transcript in transcripts.items())
    for language, expected_message in (
        (None, "Cohere Transcribe needs a language"),
        ("tlh", "language 'tlh' is unknown"),
    ):
        with pytest.raises(SettingError, match=f"engine transformers: {expected_message}"):
            load_from(written / "cohere", language=language)


def test_cohere_transcribes_a_long_clip_in_parts(
    written: Path, beckett: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CohereAsrProcessor  # noqa: PLC0415 - as above

    parts: list[Any] = []
    reassemble = CohereAsrProcessor._reassemble_chunk_texts

    def listening(texts: list[str], cuts: Any, separator: str) -> list[str]:
        parts.extend(texts)
        return reassemble(texts, cuts, separator)

    monkeypatch.setattr(CohereAsrProcessor, "_reassemble_chunk_texts", staticmethod(listening))
    long = np.resize(beckett, 70 * RATE_HZ)
    engine = load_from(written / "cohere", {"generate": {"max_new_tokens": 8}})
    parts.clear()
    (transcript,) = engine.transcribe(batch_of(long))
    assert len(parts) > 1
    assert transcript.text == " ".join(" ".join(parts).split())


@pytest.mark.contract("8.3")
def test_qwen3_chat_has_prompt_and_language(
    written: Path, clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Qwen3ASRProcessor  # noqa: PLC0415 - as above

    chats: list[str] = []
    call = Qwen3ASRProcessor.__call__

    def listening(self: Any, text: list[str], *args: Any, **kwargs: Any) -> Any:
        chats.extend(text)
        return call(self, text, *args, **kwargs)

    monkeypatch.setattr(Qwen3ASRProcessor, "__call__", listening)
    engine = load_from(written / "qwen3", {"generate": {"max_new_tokens": 4}}, language="de")
    engine.transcribe(batch_of(clips[0], hints=Hints(prompt="Beckett")))
    assert chats[-1].startswith("Beckett")
    assert chats[-1].endswith("language German<asr_text>")
    load_from(written / "qwen3", {"generate": {"max_new_tokens": 4}}).transcribe(batch_of(clips[0]))
    assert "language" not in chats[-1]
    with pytest.raises(SettingError, match="engine transformers: language 'tlh' is unknown to "):
        load_from(written / "qwen3", language="tlh")


# --- devices ---


def test_broken_cuda_falls_back_to_the_cpu(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch  # noqa: PLC0415 - as above

    if torch.cuda.is_available():
        pytest.skip("CUDA works here")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    engine = load_from(written / "parakeet_ctc")
    assert (engine.info.device, engine.info.max_batch) == ("cpu", 1)
    assert engine.info.notice is not None
    assert "CUDA does not work, so it runs on the CPU: " in engine.info.notice
    with pytest.raises(SettingError, match="gpu_device_index 2 is beyond the 2 CUDA devices"):
        load_from(written / "parakeet_ctc", gpu_device_index=2)


def test_error_of_the_model_fails_only_its_clip(
    written: Path, clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_from(written / "parakeet_ctc")
    with monkeypatch.context() as patched:
        patched.setattr(
            "transformers.models.parakeet.modeling_parakeet.ParakeetForCTC.forward",
            lambda *_, **__: (_ for _ in ()).throw(RuntimeError("CUDA out of memory.\nTried to allocate")),
        )
        with pytest.raises(TranscriptionFailed, match=r"^engine transformers: CUDA out of memory\.$"):
            engine.transcribe(batch_of(clips[0]))
    assert engine.transcribe(batch_of(clips[0]))[0].text
