"""faster-whisper's model folders, options, precision, devices, batches and VAD filter."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.conftest import batch_of, whisper_folder
from tests.engines.ct2 import write_multilingual
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from tests.support.wer import TWO_CITIES, normalise, word_error_rate
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines.base import EngineConfig, Hints
from trio_stt.lanes.engines.whisper.ct2_files import find_model
from trio_stt.lanes.engines.whisper.faster_whisper import ENGINE, FasterWhisper, load

RATE_HZ = 16_000


def load_with(options: Mapping[str, object] | None = None, **changes: Any) -> FasterWhisper:
    config = EngineConfig(engine=ENGINE, model=str(whisper_folder()), options=options or {})
    return load(replace(config, **changes))


@pytest.fixture(scope="module")
def engine() -> FasterWhisper:
    return load_with()


@pytest.fixture(scope="module")
def two_cities() -> NDArray[np.float32]:
    return read_16k(moonshine_asset("two_cities.wav"))


# --- the model ---


def test_folder_is_looked_up_in_download_root(tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(whisper_folder())
    assert load_with(model="mine", download_root=tmp_path).info.model == str(tmp_path / "mine")


@pytest.mark.parametrize("missing", ["model.bin", "tokenizer.json"])
def test_incomplete_folder_is_refused_without_a_download(missing: str, tmp_path: Path) -> None:
    for file in whisper_folder().iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(EngineUnavailable, match=f"{tmp_path} has no {missing}"):
        load_with(model=str(tmp_path))


def test_truncated_model_is_refused(tmp_path: Path) -> None:
    for file in whisper_folder().iterdir():
        if file.name != "model.bin":
            (tmp_path / file.name).symlink_to(file)
    with (whisper_folder() / "model.bin").open("rb") as whole:
        (tmp_path / "model.bin").write_bytes(whole.read(1_000_000))
    with pytest.raises(EngineUnavailable, match=f"CTranslate2 cannot load {tmp_path}"):
        load_with(model=str(tmp_path))


def test_missing_models_without_a_network_are_named(tmp_path: Path) -> None:
    names = {"": "tiny.en", "small.en": "small.en", "Systran/faster-whisper-small": "Systran/faster-whisper-small"}
    program = (
        "import time\n"
        "from pathlib import Path\n"
        "from trio_stt.errors import EngineUnavailable\n"
        "from trio_stt.lanes.engines.base import EngineConfig\n"
        "from trio_stt.lanes.engines.whisper.faster_whisper import load\n"
        "time.sleep = lambda _: None\n"  # the hub's library waits before it tries again
        f"for name in {list(names)!r}:\n"
        "    try:\n"
        f"        load(EngineConfig(engine='faster_whisper', model=name, download_root=Path({str(tmp_path)!r})))\n"
        "    except EngineUnavailable as error:\n"
        "        print(error)\n"
    )
    # Nothing listens at this port, so every request is refused, as without a network.
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(  # noqa: S603 - a program of this test
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    for line, name in zip(done.stdout.splitlines(), names.values(), strict=True):
        assert f"the model {name} is not on this machine and cannot be downloaded" in line
        assert "give its folder as model" in line


def find(name: str, *, offline: bool = False, download: Any) -> Path:
    return find_model(
        name, engine=ENGINE, known=["tiny.en"], download=download, download_root=Path("/cache"), offline=offline
    )


def test_cached_model_needs_no_request() -> None:
    calls: list[tuple[str, str, bool]] = []

    def download(name: str, *, cache_dir: str, local_files_only: bool) -> str:
        calls.append((name, cache_dir, local_files_only))
        return str(whisper_folder())

    assert find("tiny.en", download=download) == whisper_folder()
    assert calls == [("tiny.en", "/cache", True)]


def test_incomplete_download_is_repeated(tmp_path: Path) -> None:
    def download(_: str, *, cache_dir: str, local_files_only: bool) -> str:  # noqa: ARG001 - as the hub's
        return str(tmp_path if local_files_only else whisper_folder())

    assert find("owner/name", download=download) == whisper_folder()
    with pytest.raises(EngineUnavailable, match="not on this machine;"):
        find("owner/name", download=download, offline=True)


def test_download_error_without_a_message_is_named_by_its_class() -> None:
    def download(*_: object, **__: object) -> str:
        raise ConnectionResetError

    with pytest.raises(EngineUnavailable, match=r"cannot be downloaded \(ConnectionResetError\)"):
        find("tiny.en", download=download)


@pytest.mark.parametrize("name", ["huge", "/no/such/model", "./model", "owner/name/more", "owner/"])
def test_invalid_hub_name_sends_no_request(name: str) -> None:
    def download(*_: object, **__: object) -> str:
        raise AssertionError

    with pytest.raises(EngineUnavailable, match=r"no model folder .*tiny\.en"):
        find(name, download=download)


# --- precision and device ---


@pytest.mark.parametrize(("wanted", "loaded"), [("int8", "int8_float32"), ("fp32", "float32"), ("default", "float32")])
def test_precision_is_loaded_as_configured(wanted: str, loaded: str, beckett: NDArray[np.float32]) -> None:
    engine = load_with(compute_type=wanted)
    assert engine.info.notice is None
    assert engine.model.model.compute_type == loaded
    assert engine.transcribe(batch_of(beckett[:56_000]))[0].text


@pytest.mark.parametrize(
    ("options", "compute_type"),
    [({}, "half"), ({"load_model": {"compute_type": "float16"}}, "int8"), ({"transcribe": {"fp16": True}}, "default")],
)
def test_unsupported_precision_falls_back_with_a_notice(options: Mapping[str, object], compute_type: str) -> None:
    engine = load_with(options, compute_type=compute_type, device="cpu")
    assert engine.info.notice == (
        "engine faster_whisper: cpu has no float16 here, so the model keeps its own precision"
    )


def test_unknown_precision_is_named() -> None:
    with pytest.raises(SettingError, match=r"compute_type 'int7' must be one of default, .*float32"):
        load_with(compute_type="int7")


def test_broken_cuda_falls_back_with_the_reason(monkeypatch: pytest.MonkeyPatch, beckett: NDArray[np.float32]) -> None:
    import ctranslate2  # type: ignore[import-untyped]  # noqa: PLC0415 - it ships no types, and few tests need it

    if ctranslate2.get_cuda_device_count():
        pytest.skip("CUDA works here")
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    engine = load_with(device="auto")
    assert engine.info.device == "cpu"
    assert engine.info.notice is not None
    assert "CUDA does not work, so it runs on the CPU: " in engine.info.notice
    assert engine.transcribe(batch_of(beckett[:56_000]))[0].text


def test_device_index_beyond_the_devices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 2)
    with pytest.raises(SettingError, match="gpu_device_index 2 is beyond the 2 CUDA devices"):
        load_with(device="cuda", gpu_device_index=2)


def test_max_batch_is_1_on_a_cpu(engine: FasterWhisper) -> None:
    assert (engine.info.device, engine.info.max_batch) in {("cpu", 1), ("cuda", 64)}


# --- hints ---


@pytest.mark.contract("8.3")
def test_prompt_affects_its_own_clip_only(engine: FasterWhisper, beckett: NDArray[np.float32]) -> None:
    clip = beckett[:56_000]
    plain = engine.transcribe(batch_of(clip))
    prompted = engine.transcribe(batch_of(clip, hints=Hints(prompt="EVER TRIED EVER FAILED NO MATTER")))
    assert prompted[0].text.isupper()
    assert not plain[0].text.isupper()
    assert engine.transcribe(batch_of(clip)) == plain


@pytest.mark.long
def test_earlier_clips_do_not_affect_later_ones(
    engine: FasterWhisper, beckett: NDArray[np.float32], two_cities: NDArray[np.float32]
) -> None:
    clip = beckett[:56_000]
    alone = load_with().transcribe(batch_of(clip))
    engine.transcribe(batch_of(two_cities[: 12 * RATE_HZ]))
    assert engine.transcribe(batch_of(clip)) == alone


@pytest.mark.contract("8.3")
def test_words_and_phrases_have_confidences(beckett: NDArray[np.float32], engine: FasterWhisper) -> None:
    (phrases,) = engine.transcribe(batch_of(beckett))
    assert all(piece.confidence is not None and 0.3 < piece.confidence <= 1.0 for piece in phrases.segments)


def test_vad_filter_removes_silence_and_keeps_times(engine: FasterWhisper, beckett: NDArray[np.float32]) -> None:
    lead_s = 5
    clip = np.pad(beckett[:56_000], (lead_s * RATE_HZ, 3 * RATE_HZ))
    filtered, silent = engine.transcribe(
        batch_of(clip, np.zeros(3 * RATE_HZ, np.float32), hints=Hints(vad_filter=True))
    )
    (whole,) = engine.transcribe(batch_of(clip))
    assert normalise(filtered.text) == normalise(whole.text) == "ever tried ever failed"
    assert whole.segments[0].start_s == 0.0
    assert lead_s - 0.5 <= filtered.segments[0].start_s <= lead_s + 0.5
    assert filtered.segments[-1].end_s <= lead_s + 4.0
    assert (silent.text, silent.segments, silent.language) == ("", (), "en")


# --- clips ---


@pytest.mark.parametrize("filtered", [False, True])
def test_reading_longer_than_a_window(filtered: bool, engine: FasterWhisper, two_cities: NDArray[np.float32]) -> None:
    assert two_cities.size > 30 * RATE_HZ
    (transcript,) = engine.transcribe(batch_of(two_cities, hints=Hints(vad_filter=filtered)))
    assert word_error_rate(TWO_CITIES, transcript.text) <= 0.08
    starts = [segment.start_s for segment in transcript.segments]
    assert len(starts) > 1
    assert starts == sorted(starts)


def test_word_timestamps_are_relative_to_their_clip(beckett: NDArray[np.float32]) -> None:
    engine = load_with({"transcribe": {"word_timestamps": True}}, beam_size=5)
    clips = beckett[:56_000], beckett[56_000:108_000]
    first, second = engine.transcribe(batch_of(*clips))
    for clip, transcript in zip(clips, (first, second), strict=True):
        assert " ".join(word.text for word in transcript.segments) == transcript.text
        times = [time for word in transcript.segments for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert 0.0 <= times[0] < 1.5
        assert times[-1] <= clip.size / RATE_HZ
    assert len(first.segments) == 4


# --- options and language ---


def test_call_options_win_over_settings_and_hints(beckett: NDArray[np.float32]) -> None:
    options = {"transcribe": {"initial_prompt": "EVER TRIED EVER FAILED NO MATTER", "language": "en"}}
    engine = load_with(options, language="de")
    (transcript,) = engine.transcribe(batch_of(beckett[:56_000], hints=Hints(prompt="ever tried")))
    assert transcript.text.isupper()


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"model": []}, "option model must be an object"),
        ({"model": {"nonsense": 1}}, r"option model\.nonsense does not exist"),
        ({"load_model": {"cpu_threads": "two"}}, r"model\.cpu_threads must be a whole number"),
        ({"load_model": {"device": "tpu"}}, "device 'tpu'"),
        ({"transcribe": {"nonsense": 1}}, r"option transcribe\.nonsense does not exist"),
        ({"transcribe": {"clip_timestamps": "0"}}, r"transcribe\.clip_timestamps does not exist"),
        ({"transcribe": {"beam_size": "two"}}, "option of `transcribe` is not valid"),
        ({"transcribe": {"max_new_tokens": 9_999}}, "option of `transcribe` is not valid"),
        ({"transcribe": {"language": 7}}, r"transcribe\.language must be a string"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, object], expected_message: str) -> None:
    with pytest.raises(SettingError, match=expected_message):
        load_with(options)


def test_english_only_model_refuses_other_languages() -> None:
    with pytest.raises(SettingError, match="'de' needs a multilingual model"):
        load_with(language="de")
    assert load_with(language=None).transcribe(batch_of(np.zeros(1_600, np.float32)))[0].language == "en"


@pytest.mark.long
def test_multilingual_model_detects_the_language_of_each_clip_unless_set(
    tmp_path: Path, beckett: NDArray[np.float32]
) -> None:
    brief = {"transcribe": {"max_new_tokens": 8}}
    path = str(write_multilingual(tmp_path / "model"))
    engine = load_with(brief, model=path, language=None)
    assert engine.info.max_batch == 1
    clips = beckett[:56_000], np.zeros(RATE_HZ, np.float32)
    together = engine.transcribe(batch_of(*clips))
    assert together == [engine.transcribe(batch_of(clip))[0] for clip in clips]
    assert all(transcript.language in engine.model.supported_languages for transcript in together)
    french = load_with(brief, model=path, language="FR")
    (transcript,) = french.transcribe(batch_of(clips[0]))
    assert transcript.language == "fr"
    (german,) = french.transcribe(batch_of(clips[0], hints=Hints(language="de")))
    assert german.language == "de"
    assert french.transcribe(batch_of(clips[0], hints=Hints(language="auto"))) == [together[0]]
    assert french.info.translates
    (translated,) = french.transcribe(batch_of(clips[0], hints=Hints(translate=True)))
    assert translated != transcript
    with pytest.raises(SettingError, match="'tlh' is unknown to "):
        load_with(model=path, language="tlh")
