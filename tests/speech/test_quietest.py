import pytest

from trio_stt.speech.quietest import quietest_window

LOUD, SOFT, ROOM = 2000.0, 200.0, 20.0


def at(place: int, *levels: float) -> list[float]:
    """Four seconds of loud windows, with others from `place` on."""
    windows = [LOUD] * 125
    windows[place : place + len(levels)] = levels
    return windows


def test_pause_of_150_ms_is_found_rather_than_a_softer_closure_within_a_word() -> None:
    closure = at(20, ROOM, ROOM)
    closure[90:95] = [SOFT / 4] * 5
    assert quietest_window(closure) == 92


def test_middle_of_the_longer_pause_is_found() -> None:
    levels = at(30, *[ROOM] * 9)
    levels[100:104] = [ROOM] * 4
    assert quietest_window(levels) == 34


def test_of_equal_pauses_the_latest_is_found() -> None:
    levels = at(30, *[ROOM] * 5)
    levels[90:95] = [ROOM] * 5
    assert quietest_window(levels) == 92


@pytest.mark.parametrize("levels", [[0.0], [LOUD], [0.0, 0.0], [LOUD] * 125])
def test_any_levels_have_a_quietest_window(levels: list[float]) -> None:
    assert quietest_window(levels) == len(levels) - 1


def test_pause_in_noise_is_found() -> None:
    noise = 600.0
    levels = [level + noise for level in at(50, *[ROOM] * 5)]
    assert quietest_window(levels) == 52
