from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dsp.sounds import Pcm, load, pcm
from tests.support.real import moonshine_asset
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.boundary import BoundaryDetector
from trio_stt.settings import Settings
from trio_stt.speech.cadence import CadenceConfig, PartialCadence, Trigger

START, TRIGGER = 1000, 13_000  # 0.75 s of pre-roll
STEP = 16
"""Samples of one step of the tests: audio comes in steps of 1 ms."""

FIXED = CadenceConfig(
    pause_samples=3200,
    boundary_sensitivity=None,
    followup_samples=(800,),
    min_audio_samples=0,
    max_audio_samples=0,
)
SYLLABLES = replace(FIXED, pause_samples=0, boundary_sensitivity=0.6, followup_samples=(800, 3200))

Pass = tuple[int, Trigger]


def config(**chosen: Any) -> CadenceConfig:
    return CadenceConfig.from_settings(Settings(**chosen))


@cache
def reading() -> Pcm:
    """Five seconds of real speech, from the first sample of an utterance on."""
    return pcm(load(moonshine_asset("two_cities.wav")))[: 5 * SAMPLE_RATE_HZ]


def boundaries() -> list[int]:
    """The positions at which the boundaries of the reading are known."""
    return [START + each.decided_sample for each in BoundaryDetector(0.6).push(reading())]


def passes(cadence: PartialCadence, *, step: int = STEP, engine: int = 0) -> list[Pass]:
    """Play the reading; each partial keeps the engine busy for `engine` samples. Returns where partials began."""
    begun: list[Pass] = []
    free_from = 0
    for offset in range(0, reading().size, step):
        piece = reading()[offset : offset + step]
        cadence.process(piece)
        end = START + offset + piece.size
        trigger = cadence.due(end)
        if trigger is not None and end >= free_from:
            cadence.partial_requested(end)
            free_from = end + engine
            begun.append((end, trigger))
    return begun


def up(position: int) -> int:
    """The end of the millisecond in which a position lies."""
    return START + -(-(position - START) // STEP) * STEP


def of(trigger: Trigger, begun: list[Pass]) -> list[int]:
    return [position for position, why in begun if why is trigger]


def cadence(configuration: CadenceConfig, *, trigger_sample: int = TRIGGER) -> PartialCadence:
    return PartialCadence(
        configuration, start_sample=START, trigger_sample=trigger_sample, speech_sample=trigger_sample
    )


@pytest.mark.contract("5.1")
def test_fixed_cadence_counts_from_the_start_of_the_last_partial() -> None:
    begun = passes(cadence(FIXED), engine=1600)
    assert begun == [(TRIGGER + n * 3200, Trigger.TIMER) for n in range(1, len(begun) + 1)]
    assert len(begun) == (START + reading().size - TRIGGER) // 3200


@pytest.mark.contract("5.1")
def test_next_partial_begins_when_a_slow_engine_is_free() -> None:
    begun = of(Trigger.TIMER, passes(cadence(FIXED), engine=8000))
    assert np.unique(np.diff(begun)).tolist() == [8000]


@pytest.mark.contract("5.1")
@pytest.mark.parametrize("pause_s", [0.0, 0.0005])
def test_fixed_cadence_without_a_pause_has_a_partial_every_millisecond(pause_s: float) -> None:
    rhythm = cadence(config(realtime_processing_pause=pause_s, realtime_min_audio_seconds=0))
    begun = of(Trigger.TIMER, passes(rhythm))
    assert begun == list(range(TRIGGER + STEP, START + reading().size + 1, STEP))


@pytest.mark.contract("5.4")
def test_first_partial_is_requested_before_the_minimal_speech_without_pre_roll() -> None:
    margin_samples = 1280
    for chosen in (FIXED, SYLLABLES, replace(SYLLABLES, pause_samples=160)):
        rhythm = cadence(replace(chosen, min_audio_samples=16_000))
        assert rhythm.shown_from_sample == TRIGGER + 16_000
        assert passes(rhythm)[0][0] >= TRIGGER + 16_000 - margin_samples
    rhythm = cadence(replace(FIXED, min_audio_samples=16_000))
    assert passes(rhythm)[0] == (TRIGGER + 16_000 - margin_samples, Trigger.TIMER)


@pytest.mark.contract("4.14", "5.4")
@pytest.mark.parametrize("chosen", [replace(FIXED, pause_samples=16), replace(SYLLABLES, pause_samples=16)])
def test_no_partial_is_shorter_than_50_ms(chosen: CadenceConfig) -> None:
    assert passes(cadence(chosen, trigger_sample=START))[0][0] == START + 800


@pytest.mark.contract("5.2")
def test_boundary_triggers_a_partial_and_its_followups() -> None:
    known = [position for position in boundaries() if position > TRIGGER]
    begun = passes(cadence(SYLLABLES, trigger_sample=START))
    assert len(known) > 5
    assert [position for position in of(Trigger.BOUNDARY, begun) if position > TRIGGER] == [up(each) for each in known]
    planned = [
        up(boundary + delay)
        for boundary, following in zip(known, [*known[1:], START + reading().size + 1], strict=True)
        for delay in (800, 3200)
        if up(boundary + delay) < following  # the next boundary plans anew
    ]
    assert [position for position in of(Trigger.FOLLOWUP, begun) if position > TRIGGER] == planned
    assert of(Trigger.FALLBACK, begun) == of(Trigger.TIMER, begun) == []


@pytest.mark.contract("5.2")
def test_boundaries_in_the_pre_roll_count() -> None:
    trigger = up(boundaries()[1])
    begun = passes(cadence(replace(SYLLABLES, min_audio_samples=1440), trigger_sample=trigger))
    assert begun[0] == (trigger + 160, Trigger.BOUNDARY)


@pytest.mark.contract("5.2")
def test_followups_due_during_a_partial_are_one_partial() -> None:
    rhythm = cadence(replace(SYLLABLES, followup_samples=(16, 800, 1600, 2400)), trigger_sample=START)
    last = boundaries()[-1]
    samples = reading()[: up(last) - START]
    rhythm.process(samples)
    assert rhythm.due(up(last)) is Trigger.BOUNDARY
    rhythm.partial_requested(up(last))
    assert rhythm.due(last + 15) is None
    assert rhythm.due(last + 1700) is Trigger.FOLLOWUP
    rhythm.partial_requested(last + 1700)
    assert rhythm.due(last + 2399) is None
    assert rhythm.due(last + 2400) is Trigger.FOLLOWUP
    rhythm.partial_requested(last + 2400)
    assert rhythm.due(last + 10**6) is None


@pytest.mark.contract("5.2")
def test_pause_is_the_fallback_without_boundaries_and_zero_means_none() -> None:
    silence = np.zeros(2 * SAMPLE_RATE_HZ, np.int16)
    with_pause, without = cadence(replace(SYLLABLES, pause_samples=3200)), cadence(SYLLABLES)
    for rhythm in (with_pause, without):
        rhythm.process(silence)
    assert with_pause.due(TRIGGER + 3199) is None
    assert with_pause.due(TRIGGER + 3200) is Trigger.FALLBACK
    with_pause.partial_requested(TRIGGER + 3300)
    assert with_pause.due(TRIGGER + 6499) is None
    assert with_pause.due(TRIGGER + 6500) is Trigger.FALLBACK
    assert without.due(TRIGGER + 10**7) is None


def test_pause_counts_from_any_partial() -> None:
    begun = passes(cadence(replace(SYLLABLES, pause_samples=1600), trigger_sample=START))
    gaps = np.diff([position for position, _ in begun])
    assert gaps.max() == 1600
    triggers = {trigger for _, trigger in begun}
    assert triggers == {Trigger.BOUNDARY, Trigger.FOLLOWUP, Trigger.FALLBACK}


def test_only_syllable_cadence_needs_audio_and_all_of_it_in_order() -> None:
    assert cadence(FIXED).next_sample is None
    rhythm = cadence(SYLLABLES)
    assert rhythm.next_sample == START
    rhythm.process(reading()[:123])
    assert rhythm.next_sample == START + 123


@pytest.mark.contract("11/40")
@settings(max_examples=40)
@given(st.lists(st.integers(0, 5 * SAMPLE_RATE_HZ), min_size=1, max_size=40), st.sampled_from([0, 1600]))
def test_packet_sizes_do_not_change_when_partials_are_due(cuts: list[int], pause: int) -> None:
    """The partial that is due at a position depends on the partials before it, not on the packets."""
    whole, split = (cadence(replace(SYLLABLES, pause_samples=pause), trigger_sample=START) for _ in range(2))
    length = max(cuts)
    whole.process(reading()[:length])
    for piece in np.split(reading()[:length], sorted(cuts)):
        split.process(piece)
    assert [split.due(START + n) for n in range(0, 10**5, 80)] == [whole.due(START + n) for n in range(0, 10**5, 80)]


@pytest.mark.contract("5.4", "11/33")
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_partial_covers_the_newest_audio_of_the_utterance(longest: int, length: int) -> None:
    clip = cadence(replace(FIXED, max_audio_samples=longest)).clip_start(START + length)
    assert clip == (START if longest == 0 else START + max(0, length - longest))


@given(
    st.lists(st.tuples(st.integers(0, 10**5), st.none() | st.integers(0, 10**5)), max_size=20), st.integers(1, 10**5)
)
def test_window_limits_the_clip_and_its_start_never_goes_back(
    steps: list[tuple[int, int | None]], longest: int
) -> None:
    narrowed, whole = cadence(replace(FIXED, max_audio_samples=longest)), cadence(replace(FIXED, max_audio_samples=0))
    end, before = START, START
    for more, window in steps:
        end += more
        start = narrowed.clip_start(end, window_samples=window)
        most = narrowed.full_clip_samples(end) if window is None else min(narrowed.full_clip_samples(end), window)
        assert start == max(before, end - most)
        assert whole.clip_start(end, window_samples=window) == START
        before = start


@pytest.mark.parametrize(
    ("chosen", "read", "expected"),
    [
        ({"realtime_processing_pause": 0.1}, lambda c: (c.pause_samples, c.usual_pause_s), (1600, 0.1)),
        ({"realtime_processing_pause": 0}, lambda c: c.pause_samples, 16),
        ({}, lambda c: c.boundary_sensitivity, None),
        ({"realtime_min_audio_seconds": 0.5}, lambda c: c.min_audio_samples, 8000),
        ({"realtime_max_audio_seconds": 8}, lambda c: c.max_audio_samples, 128_000),
        ({"realtime_max_audio_seconds": 0}, lambda c: c.max_audio_samples, 0),
    ],
)
def test_fixed_cadence_follows_the_settings(
    chosen: dict[str, Any], read: Callable[[CadenceConfig], object], expected: object
) -> None:
    assert read(config(**chosen)) == expected


def test_syllable_cadence_follows_the_settings() -> None:
    syllables = config(
        realtime_transcription_use_syllable_boundaries=True,
        realtime_boundary_detector_sensitivity=0.25,
        realtime_boundary_followup_delays=(0.2, 0.05),
        realtime_processing_pause=0,
    )
    assert syllables.boundary_sensitivity == 0.25
    assert syllables.followup_samples == (800, 3200)
    assert (syllables.pause_samples, syllables.usual_pause_s) == (0, 0.0)
