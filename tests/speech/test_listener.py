"""However audio is split, the listener hears the same."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.conversation import LoudnessDetector
from trio_stt.settings import Settings
from trio_stt.speech.events import SpeechEvent, UtteranceEnded
from trio_stt.speech.listener import Listener
from trio_stt.speech.segmenter import SegmenterConfig

Heard = list[tuple[SpeechEvent, bytes]]


def listener() -> Listener:
    config = Settings(max_audio_queue_seconds_per_session=3.0, post_speech_silence_duration=0.3)
    return Listener(SegmenterConfig.of(config), LoudnessDetector())


def with_clips(hearing: Listener, events: list[SpeechEvent]) -> Heard:
    """Events, those of an end with the audio to transcribe."""
    return [
        (e, hearing.clip(e.start_sample, e.clip_end_sample).tobytes() if isinstance(e, UtteranceEnded) else b"")
        for e in events
    ]


def hear(samples: NDArray[np.int16], rate_hz: int, cuts: list[int]) -> Heard:
    hearing, heard = listener(), Heard()
    hearing.begin()
    edges = [0, *sorted(cut % (samples.size + 1) for cut in cuts), samples.size]
    for start, end in pairwise(edges):
        heard += with_clips(hearing, hearing.push(samples[start:end], rate_hz))
    return heard + with_clips(hearing, hearing.stop())


# Stretches of (level, length in 10 ms): speech, noise and silence of any length and order.
stretches = st.lists(st.tuples(st.sampled_from([0, 0, 300, 4000, 9000]), st.integers(1, 150)), max_size=8)


@given(
    stretches=stretches,
    rate_hz=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    cuts=st.lists(st.integers(0, 2**31), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_any_split_of_any_audio_gives_the_same_utterances(
    stretches: list[tuple[int, int]], rate_hz: int, cuts: list[int]
) -> None:
    wave = np.sin(np.arange(rate_hz // 100) * 2 * np.pi * 5 / (rate_hz // 100))
    pieces = [np.tile(wave * level, length) for level, length in stretches]
    samples = np.concatenate([np.zeros(0), *pieces]).astype(np.int16)
    assert hear(samples, rate_hz, cuts) == hear(samples, rate_hz, [])


def test_a_change_of_the_rate_keeps_every_sample() -> None:
    hearing = listener()
    for rate_hz in (48_000, 8_000, 16_000, 44_100):
        hearing.push(np.full(rate_hz, 5000, np.int16), rate_hz)
    hearing.stop()
    assert abs(hearing.position_sample - 4 * 16_000) <= 3


def test_what_is_cleared_is_never_heard_again() -> None:
    hearing = listener()
    hearing.begin()
    hearing.push(np.full(20_000, 5000, np.int16), 16_000)
    hearing.clear()
    cleared = hearing.position_sample
    assert cleared == 20_000
    hearing.push(np.full(5_000, 7000, np.int16), 16_000)
    ended = next(event for event in hearing.stop() if isinstance(event, UtteranceEnded))
    assert ended.start_sample == cleared
    assert set(hearing.clip(ended.start_sample, ended.clip_end_sample)) == {np.float32(7000 / 32768)}
