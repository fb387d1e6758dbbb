"""Fake recognisers of sherpa-onnx for models that tests do not have; they recognise the words of `tone_models`.

The adapters run unchanged up to the call into the library. The model folders contain empty files of the right names.
"""

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import sherpa_onnx
from numpy.typing import NDArray
from onnx import helper

from tests.support.tone_recognizer import pieces_of, words_of
from trio_stt.lanes.engines.sherpa import trial
from trio_stt.lanes.engines.sherpa.families import (
    COHERE,
    FUNASR_NANO,
    NEMO_TRANSDUCER,
    OMNILINGUAL,
    PARAFORMER,
    QWEN3,
    SENSE_VOICE,
)
from trio_stt.lanes.engines.sherpa.family import Family

FAMILIES = (COHERE, FUNASR_NANO, NEMO_TRANSDUCER, OMNILINGUAL, PARAFORMER, QWEN3, SENSE_VOICE)
ENGINE_OF = {
    COHERE.name: "cohere_transcribe",
    FUNASR_NANO.name: "funasr",
    NEMO_TRANSDUCER.name: "sherpa_onnx_parakeet",
    OMNILINGUAL.name: "omnilingual_asr",
    PARAFORMER.name: "funasr",
    QWEN3.name: "qwen3_asr",
    SENSE_VOICE.name: "funasr",
}

UNLOADABLE = {
    "cohere_transcribe": COHERE,
    "funasr, SenseVoice": SENSE_VOICE,
    "funasr, Paraformer": PARAFORMER,
    "funasr, FunASR-Nano": FUNASR_NANO,
    "qwen3_asr": QWEN3,
}
"""Families of sherpa-onnx of which the tests write no model, by test name."""


def empty_model(folder: Path, family: Family) -> Path:
    """Make a directory with the files of a family's model; nothing can load it."""
    folder.mkdir(parents=True, exist_ok=True)
    known = dict.fromkeys(family.metadata, "4")
    model = helper.make_model(helper.make_graph([], "empty", [], []))
    helper.set_model_props(model, known)
    for option, (name, *_) in family.files.items():
        if option in family.folder_holds:
            (folder / name).mkdir(exist_ok=True)
            for held in family.folder_holds[option]:
                (folder / name / held).touch()
        elif option == "tokens":
            (folder / name).write_text("<blk> 0\n", encoding="utf-8")
        else:
            onnx.save(model, folder / name)
    return folder


def fake_library(name: str) -> AbstractContextManager[None]:
    """Replace the library while the engine with this test name is loaded, if it needs a fake one."""
    return _sherpa_factory(UNLOADABLE[name]) if name in UNLOADABLE else nullcontext()


class _FakeRecognizer:
    """A recogniser with sherpa-onnx's interface that recognises tones."""

    def create_stream(self) -> "_FakeStream":
        return _FakeStream()

    def decode_stream(self, stream: "_FakeStream") -> None:
        stream.recognize()


class _FakeStream:
    """One clip of `_FakeRecognizer`."""

    def __init__(self) -> None:
        self.result = SimpleNamespace(text="", lang="", tokens=[], timestamps=[])
        self._samples: NDArray[np.float32]

    def set_option(self, name: str, value: str) -> None:
        assert name == "language"
        assert value in {"English", "en"}, "the name of Qwen3-ASR or of Cohere Transcribe"

    def accept_waveform(self, rate_hz: int, samples: NDArray[np.float32]) -> None:
        assert rate_hz == 16_000
        self._samples = samples

    def recognize(self) -> None:
        found = pieces_of(self._samples)
        self.result.text = words_of(self._samples)
        self.result.tokens = [piece.replace("▁", " ") for piece, _ in found]
        self.result.timestamps = [start_s for _, start_s in found]


@contextmanager
def _sherpa_factory(family: Family) -> Iterator[None]:
    original = getattr(sherpa_onnx.OfflineRecognizer, family.factory)

    def make(**_: Any) -> _FakeRecognizer:
        recognizer = _FakeRecognizer()
        if family.times == "none":  # the real model returns text only
            recognizer.create_stream = _TextOnlyStream  # type: ignore[method-assign, assignment]  # one of its kind
        return recognizer

    make.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]  # the adapter reads its signature
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sherpa_onnx.OfflineRecognizer, family.factory, make)
        patch.setattr(trial, "refusal", lambda *_: None)  # a child process would load the real library
        yield


class _TextOnlyStream(_FakeStream):
    def recognize(self) -> None:
        self.result.text = words_of(self._samples)
