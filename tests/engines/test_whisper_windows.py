"""Windows of clips: no audio is lost or moved, and no window is longer than Whisper's input."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.lanes.engines.whisper.windows import WINDOW_S, Clip, Stretch, Window, cut, lay

RATE_HZ = 16_000


def clips_of(sizes: list[int]) -> list[Clip]:
    """Clips whose samples all differ, so that each sample identifies its place."""
    numbers = np.arange(1, sum(sizes) + 1, dtype=np.float32)
    return np.split(numbers, np.cumsum(sizes)[:-1])


def no_vad_expected(_: Clip) -> list[Stretch]:
    raise AssertionError


SIZES = st.lists(st.integers(1, 50_000), min_size=1, max_size=6)


@given(SIZES)
def test_short_clip_is_one_unchanged_window(sizes: list[int]) -> None:
    clips = clips_of(sizes)
    windows = list(cut(clips, no_vad_expected, filtered=False))
    assert [(window.clip, window.start, window.end) for window in windows] == [
        (number, 0, size) for number, size in enumerate(sizes)
    ]
    audio = lay(windows, clips)
    for window, clip in zip(windows, clips, strict=True):
        first = window.at_s * RATE_HZ
        assert np.array_equal(audio[first : first + clip.size], clip)
    assert np.count_nonzero(audio) == sum(sizes)


@given(SIZES)
def test_windows_follow_each_other_at_whole_seconds_without_waste(sizes: list[int]) -> None:
    windows = list(cut(clips_of(sizes), no_vad_expected, filtered=False))
    at_s = 0
    for window, size in zip(windows, sizes, strict=True):
        assert window.at_s == at_s
        at_s = window.after_s
        assert size <= (at_s - window.at_s) * RATE_HZ < size + RATE_HZ


@given(st.lists(st.tuples(st.integers(0, 20 * RATE_HZ), st.integers(1, WINDOW_S * RATE_HZ)), max_size=12))
def test_a_filtered_clip_keeps_all_speech_and_pauses_within_a_window(steps: list[tuple[int, int]]) -> None:
    stretches: list[Stretch] = []
    end = 0
    for pause, length in steps:
        stretches.append((end + pause, end + pause + length))
        end += pause + length
    clip = np.zeros(end + 1, np.float32)
    windows = list(cut([clip], lambda _: stretches, filtered=True))
    for start, end in stretches:
        assert sum(window.start <= start and end <= window.end for window in windows) == 1
    for window in windows:
        assert window.end - window.start <= WINDOW_S * RATE_HZ
        assert window.start in {start for start, _ in stretches}
        assert window.end in {end for _, end in stretches}
    for before, after in pairwise(windows):
        first_after = next(end for start, end in stretches if start == after.start)
        assert first_after - before.start > WINDOW_S * RATE_HZ  # One window could not contain both.


@pytest.mark.parametrize(("samples", "cuts"), [(WINDOW_S * RATE_HZ, False), (WINDOW_S * RATE_HZ + 1, True)])
def test_only_clips_longer_than_a_window_are_cut(samples: int, cuts: bool) -> None:
    windows = list(cut([np.zeros(samples, np.float32)], lambda _: [(10, 20)], filtered=False))
    assert (windows[0].start, windows[0].end) == ((10, 20) if cuts else (0, samples))


def test_batch_times_are_converted_to_clip_times() -> None:
    window = Window(clip=1, start=2 * RATE_HZ, end=5 * RATE_HZ, at_s=40)
    assert [window.clip_time_s(time_s) for time_s in (39.0, 40.0, 41.5, 43.0, 47.0)] == [2.0, 2.0, 3.5, 5.0, 5.0]
