"""NeMo's and Omnilingual's own packages, which are not installed here: fakes with their documented interfaces."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.conftest import asked
from tests.support.hf_whisper import needs_torch
from trio_stt.errors import EngineUnavailable, ModelMissing, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, TimedText

RATE_HZ = 16_000


def sound(duration_s: float) -> NDArray[np.float32]:
    return np.full(round(duration_s * RATE_HZ), 0.1, np.float32)


@dataclass
class Calls:
    """What a fake was asked."""

    made: list[Any] = field(default_factory=list)
    transcribed: list[Any] = field(default_factory=list)


# --- NeMo ---


@pytest.fixture
def nemo(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A fake `nemo_toolkit`: its model hears how many tenths of a second a clip lasts."""
    needs_torch()
    calls = Calls()

    class Model:
        def eval(self) -> None:
            pass

        def transcribe(
            self,
            audio: list[NDArray[np.float32]],
            *,
            batch_size: int,
            return_hypotheses: bool,
            timestamps: bool | None,
            verbose: bool,
            **more: Any,
        ) -> Any:
            assert return_hypotheses
            assert not verbose
            if "unknown" in more:
                raise TypeError("unexpected keyword argument 'unknown'\nin transcribe")
            calls.transcribed.append((len(audio), batch_size, more))
            words = [{"word": "lasts", "start": 0.0, "end": 0.2}, {"word": "long", "start": 0.2, "end": 99.0}]
            best = [
                SimpleNamespace(text=" lasts  long ", timestamp={"word": words} if timestamps else [3, 7])
                for _ in audio
            ]
            return (best, [best]) if batch_size == 1 else best

    class ASRModel:
        @staticmethod
        def from_pretrained(name: str, *, map_location: str, **more: Any) -> Model:
            if "no-such" in name:
                raise FileNotFoundError(f"Model {name} was not found.\nCheck the list")
            calls.made.append((name, map_location, more))
            return Model()

        @staticmethod
        def restore_from(path: str, *, map_location: str, **more: Any) -> Model:
            calls.made.append((path, map_location, more))
            return Model()

    asr = ModuleType("nemo.collections.asr")
    asr.models = SimpleNamespace(ASRModel=ASRModel)  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, "nemo", ModuleType("nemo"))
    monkeypatch.setitem(sys.modules, "nemo.collections", ModuleType("nemo.collections"))
    monkeypatch.setitem(sys.modules, "nemo.collections.asr", asr)
    return calls


def parakeet(options: Mapping[str, object] | None = None, **changes: Any) -> Engine:
    config = EngineConfig(engine="parakeet", options={"backend": "nemo", **(options or {})})
    return registry.load(replace(config, **changes))


@pytest.mark.contract("8.3")
def test_nemo_gets_arrays_and_gives_texts(nemo: Calls) -> None:
    engine = parakeet({"model": {"strict": True}, "transcribe": {"num_workers": 0}})
    assert nemo.made == [("nvidia/parakeet-tdt-0.6b-v3", "cpu", {"strict": True})]
    assert engine.info.model == "nvidia/parakeet-tdt-0.6b-v3 with NeMo"
    heard = engine.transcribe(asked(sound(1), sound(0.01), np.zeros(100, np.float32)))
    assert [transcript.text for transcript in heard] == ["lasts long", "lasts long", ""]
    assert all(transcript.segments == () for transcript in heard)
    assert engine.transcribe(asked(sound(1)))[0] == heard[0]
    assert nemo.transcribed == [(3, 3, {"num_workers": 0}), (1, 1, {"num_workers": 0})]
    engine.close()
    engine.close()
    with pytest.raises(TranscriptionFailed, match="closed"):
        engine.transcribe(asked(sound(1)))


@pytest.mark.contract("8.3")
def test_nemo_times_words_when_asked_to(nemo: Calls, tmp_path: Path) -> None:
    (tmp_path / "my.nemo").touch()
    engine = parakeet({"timestamps": True}, model="my.nemo", download_root=tmp_path, compute_type="bfloat16")
    assert nemo.made[0][0] == str(tmp_path / "my.nemo")
    (transcript,) = engine.transcribe(asked(sound(1)))
    assert transcript.segments == (
        TimedText(text="lasts", start_s=0.0, end_s=0.2),
        TimedText(text="long", start_s=0.2, end_s=1.0),
    )


@pytest.mark.parametrize(
    ("options", "changes", "error", "complaint"),
    [
        ({"nonsense": 1}, {}, SettingError, "option nonsense does not exist"),
        ({"transcribe": {"timestamps": True}}, {}, SettingError, r"option transcribe\.timestamps has no place here"),
        ({"sample_rate": 8_000}, {}, SettingError, "sample_rate must be 16000"),
        ({}, {"compute_type": "int8"}, SettingError, "compute_type 'int8' needs a quantised model"),
        ({}, {"device": "tpu"}, SettingError, "device 'tpu'"),
        ({}, {"model": "nvidia/no-such"}, EngineUnavailable, r"NeMo cannot load nvidia/no-such: .* was not found\.$"),
        ({}, {"model": "no-such.nemo"}, EngineUnavailable, r"no model file no-such\.nemo"),
        ({}, {"model": "no-such"}, EngineUnavailable, "no model no-such"),
    ],
)
@pytest.mark.usefixtures("nemo")
def test_nemo_names_what_is_wrong(
    options: Mapping[str, object], changes: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=f"engine sherpa_onnx_parakeet: .*{complaint}"):
        parakeet(options, **changes)


@pytest.mark.usefixtures("nemo")
def test_what_nemo_raises_fails_the_clip() -> None:
    engine = parakeet({"transcribe": {"unknown": 1}})
    with pytest.raises(
        TranscriptionFailed, match=r"^engine sherpa_onnx_parakeet: unexpected keyword argument 'unknown'$"
    ):
        engine.transcribe(asked(sound(1)))


# --- Omnilingual ---


@pytest.fixture
def omnilingual(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A fake `omnilingual_asr`: its pipeline hears the whole seconds of a clip, and refuses more than 40."""
    needs_torch()
    calls = Calls()

    class Pipeline:
        def __init__(self, model_card: str, *, device: str, dtype: Any, **more: Any) -> None:
            if "no_such" in model_card:
                raise ValueError(f"asset {model_card} is unknown\nknown are")
            calls.made.append((model_card, device, str(dtype), more))

        def transcribe(self, audio: list[dict[str, Any]], *, batch_size: int, **more: Any) -> list[str]:
            lasting = [len(each["waveform"]) / each["sample_rate"] for each in audio]
            if any(duration_s > 40 for duration_s in lasting):
                raise ValueError("Audio length exceeds max 40s.")
            calls.transcribed.append((batch_size, more))
            return [f" {round(duration_s)} " for duration_s in lasting]

    for name in ("omnilingual_asr", "omnilingual_asr.models", "omnilingual_asr.models.inference"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    pipeline = ModuleType("omnilingual_asr.models.inference.pipeline")
    pipeline.ASRInferencePipeline = Pipeline  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, pipeline.__name__, pipeline)
    return calls


def omni(options: Mapping[str, object] | None = None, **changes: Any) -> Engine:
    config = EngineConfig(engine="omni-asr", options={"backend": "package", **(options or {})})
    return registry.load(replace(config, **changes))


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("model", ["", "tiny", "tiny.en", "omniASR_CTC_1B_v2"])
def test_ctc_cards_get_no_language(model: str, omnilingual: Calls) -> None:
    engine = omni(model=model)
    assert omnilingual.made == [("omniASR_CTC_1B_v2", "cpu", "torch.float32", {})]
    assert engine.info.model == "omniASR_CTC_1B_v2 with omnilingual-asr"
    heard = engine.transcribe(asked(sound(3), np.zeros(RATE_HZ, np.float32)))
    assert [transcript.text for transcript in heard] == ["3", ""]
    assert omnilingual.transcribed == [(32, {})]


@pytest.mark.contract("8.3")
@pytest.mark.parametrize(
    ("options", "language", "called"),
    [
        ({}, "en", "eng_Latn"),
        ({"language": "ZH"}, "en", "cmn_Hans"),
        ({"lang": "swh_Latn"}, "en", "swh_Latn"),
        ({"language_aliases": {"sw": "swh_Latn"}}, "sw", "swh_Latn"),
    ],
)
def test_llm_cards_get_the_language_as_they_spell_it(
    options: Mapping[str, object], language: str, called: str, omnilingual: Calls
) -> None:
    engine = omni({"model_card": "omniASR_LLM_1B_v2", "batch_size": 2, **options}, language=language)
    engine.transcribe(asked(sound(1), sound(2), sound(3)))
    assert omnilingual.transcribed == [(2, {"lang": [called] * 3})]


def test_an_llm_card_without_a_language_finds_it_and_an_unknown_one_is_named(omnilingual: Calls) -> None:
    omni(model="omniASR_LLM_1B_v2", language=None).transcribe(asked(sound(1)))
    assert omnilingual.transcribed == [(32, {})]
    with pytest.raises(SettingError, match="engine omnilingual_asr: language 'tlh' must be like eng_Latn"):
        omni(model="omniASR_LLM_1B_v2", language="tlh")


@pytest.mark.contract("8.3")
def test_a_clip_longer_than_the_package_takes_is_cut_into_equal_parts(omnilingual: Calls) -> None:
    engine = omni()
    heard = engine.transcribe(asked(sound(39.9), sound(41), sound(120)))
    assert [transcript.text for transcript in heard] == ["40", "20 20", "30 30 30 30"]
    assert len(omnilingual.transcribed) == 1


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("off", [None, False, "off"])
@pytest.mark.usefixtures("omnilingual")
def test_the_limit_may_be_lifted_for_cards_that_have_none(off: object) -> None:
    engine = omni({"max_audio_seconds": off})
    with pytest.raises(TranscriptionFailed, match="engine omnilingual_asr: Audio length exceeds max 40s"):
        engine.transcribe(asked(sound(41)))


@pytest.mark.parametrize(
    ("options", "changes", "error", "complaint"),
    [
        ({"nonsense": 1}, {}, SettingError, "option nonsense does not exist"),
        ({"max_audio_seconds": 40}, {}, SettingError, "max_audio_seconds must be a number from 1 to 39.9"),
        ({"dtype": "int8"}, {}, SettingError, "compute_type 'int8' needs a quantised model"),
        ({"device": "tpu"}, {}, SettingError, "device 'tpu'"),
        ({"batch_size": 0}, {}, SettingError, "batch_size must be a whole number"),
        ({}, {"offline": True}, ModelMissing, "might download the card omniASR_CTC_1B_v2, and offline is on"),
        (
            {},
            {"model": "no_such"},
            EngineUnavailable,
            "cannot load the card no_such, and no other is taken: asset no_such",
        ),
    ],
)
@pytest.mark.usefixtures("omnilingual")
def test_omnilingual_names_what_is_wrong(
    options: Mapping[str, object], changes: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=f"engine omnilingual_asr: .*{complaint}") as raised:
        omni(options, **changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("load", [parakeet, omni])
@pytest.mark.parametrize("clip", [np.zeros(0, np.float32), np.full(16_000, np.nan, np.float32)])
@pytest.mark.usefixtures("nemo", "omnilingual")
def test_a_clip_that_is_not_audio_fails(load: Callable[[], Engine], clip: NDArray[np.float32]) -> None:
    with pytest.raises(TranscriptionFailed, match=r"empty|finite"):
        load().transcribe(asked(clip))
