"""Servers on virtual time: figures follow the service times, and are the same in every run."""

from pathlib import Path

import numpy as np
import pytest

from trio_stt.bench.figures import Figures
from trio_stt.bench.speech_plan import Clip, Plan, plan_clients
from trio_stt.capacity.simulation import simulate
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.settings import load_settings

ENGINE = EngineInfo(engine="fake", model="fake", device="cpu")
SETTINGS = load_settings({"max_sessions": 100, "max_active_speakers": 100})


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Six seconds with two stretches of speech."""
    path = tmp_path / "clip.pcm"
    np.random.default_rng(0).integers(-3000, 3000, 6 * 16_000).astype("<i2").tofile(path)
    return Clip(pcm_path=str(path), length_s=6.0, words=None, speech=((0.5, 2.5), (4.0, 5.5)))


def run(clip: Clip, clients: int, *, per_audio_s: float, workers: int) -> Figures:
    plan = Plan(
        url="",
        rate_hz=16_000,
        packet_s=0.1,
        begin_s=0.0,
        duration_s=20.0,
        clips=(clip,),
        clients=plan_clients(clients, talking=[1.0], stagger_s=2.0, clips=1),
    )
    return simulate(
        SETTINGS, plan, engine=ENGINE, service=lambda audio_s: 0.01 + per_audio_s * audio_s, workers=workers
    )


def test_single_client_waits_for_the_silence_and_the_engine(clip: Clip) -> None:
    figures = run(clip, 1, per_audio_s=0.02, workers=1)
    assert figures.failures == []
    assert figures.unfinished_segments == 0
    assert figures.final.count >= 4
    assert figures.silence_ms <= figures.final.p50_ms <= figures.silence_ms + 200
    assert figures.first_partial.p95_ms < 500


def test_figures_are_the_same_in_every_run(clip: Clip) -> None:
    assert run(clip, 6, per_audio_s=0.05, workers=2) == run(clip, 6, per_audio_s=0.05, workers=2)


def test_overload_delays_words_and_a_second_worker_helps(clip: Clip) -> None:
    easy, hard, helped = (
        run(clip, clients, per_audio_s=0.1, workers=workers) for clients, workers in ((2, 1), (16, 1), (16, 2))
    )
    assert hard.partials_per_s < easy.partials_per_s
    assert hard.final.p95_ms > helped.final.p95_ms >= easy.final.p95_ms
    assert hard.dropped_s == 0.0
