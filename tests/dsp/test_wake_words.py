"""Configured wake words, and the windows that their backends get."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.dsp.sounds import pcm, room_noise, windows
from tests.support.real import package_folder
from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.dsp.wake_words import GatedDetector, WakeWords
from trio_stt.errors import SettingError
from trio_stt.settings import Settings

LEAD = 6
BACKGROUND = 25
STAY_AWAKE = 40
BITS = np.arange(12)


class Recorder:
    """A stream that records the numbers of its windows."""

    def __init__(self) -> None:
        self.processed: list[int] = []
        self.resumed: list[list[int]] = []
        self.resting = False
        self.word_at: int | None = None

    def resume(self, before: NDArray[np.int16]) -> None:
        self.resumed.append([number_of(window) for window in before.reshape(-1, WINDOW_SAMPLES)])
        self.processed.clear()
        self.resting = False

    def rest(self) -> None:
        self.resting = True

    def process(self, window: NDArray[np.int16]) -> str | None:
        assert not self.resting, "resume must come first"
        self.processed.append(number_of(window))
        return "word" if self.processed[-1] == self.word_at else None


def numbered(number: int, level: int) -> NDArray[np.int16]:
    """A window of this level, with its number in the lowest bits of its first samples."""
    window = np.full(WINDOW_SAMPLES, level, np.int16)
    window[BITS] += number >> BITS & 1
    return window


def number_of(window: NDArray[np.int16]) -> int:
    return int((window[BITS] % 2 << BITS).sum())


def run(recorder: Recorder, levels: list[int]) -> list[str | None]:
    detector = GatedDetector(recorder, energy_threshold=250.0)
    return [detector.process(numbered(number, level)) for number, level in enumerate(levels)]


QUIET, LOUD = 0, 1000


def test_quiet_stream_never_reaches_the_backend() -> None:
    recorder = Recorder()
    run(recorder, [QUIET] * 500)
    assert recorder.processed == recorder.resumed == []


def test_steady_noise_soon_stops_reaching_the_backend() -> None:
    for level in (20.0, 200.0):
        recorder = Recorder()
        detector = GatedDetector(recorder, energy_threshold=250.0)
        noise = list(windows(pcm(room_noise(16_000 * 20, level))))
        for window in noise[:300]:
            detector.process(window)
        recorder.processed.clear()
        for window in noise[300:]:
            detector.process(window)
        assert len(recorder.processed) <= 0.15 * len(noise[300:]), level


def test_soft_speech_of_any_length_reaches_the_backend() -> None:
    recorder = Recorder()
    levels = ([100] * 20 + [10] * 3) * 80
    run(recorder, levels)
    assert recorder.processed == list(range(len(levels)))


def test_backend_gets_windows_before_and_after_a_loud_one() -> None:
    recorder = Recorder()
    run(recorder, [QUIET] * 100 + [LOUD] + [QUIET] * 100)
    assert recorder.resumed == [list(range(100 - LEAD - BACKGROUND, 100 - LEAD))]
    assert recorder.processed == list(range(100 - LEAD, 100 + STAY_AWAKE + 1))


def test_short_gap_reaches_the_backend_without_a_restart() -> None:
    recorder = Recorder()
    gap = STAY_AWAKE + LEAD
    run(recorder, [QUIET] * 100 + [LOUD] + [QUIET] * gap + [LOUD])
    assert len(recorder.resumed) == 1
    assert recorder.processed == list(range(100 - LEAD, 100 + gap + 2))


def test_stream_is_reset_before_every_restart() -> None:
    recorder = Recorder()
    recorder.word_at = 220
    detector = GatedDetector(recorder, energy_threshold=250.0)
    resting = []
    for number, level in enumerate([QUIET] * 100 + [LOUD] + [QUIET] * 100 + [LOUD] * 20):
        detector.process(numbered(number, level))
        resting.append(recorder.resting)
    asleep_from = 100 + STAY_AWAKE + LEAD + 1
    assert resting == [True] * 100 + [False] * (asleep_from - 100) + [True] * (201 - asleep_from) + [False] * 19 + [
        True
    ]


def test_stream_that_begins_loud_has_no_background() -> None:
    recorder = Recorder()
    run(recorder, [LOUD] * 3)
    assert (recorder.resumed, recorder.processed) == ([[]], [0, 1, 2])


def test_detection_resets_the_detector() -> None:
    recorder = Recorder()
    recorder.word_at = 105
    words = run(recorder, [QUIET] * 100 + [LOUD] * 10)
    assert [number for number, word in enumerate(words) if word] == [105]
    assert recorder.resumed[1:] == [[]]
    assert recorder.processed == [106, 107, 108, 109]


def test_reset_forgets_the_audio() -> None:
    recorder = Recorder()
    detector = GatedDetector(recorder, energy_threshold=250.0)
    for number in range(50):
        detector.process(numbered(number, QUIET))
    detector.reset()
    detector.process(numbered(50, LOUD))
    assert (recorder.resumed, recorder.processed) == ([[]], [50])


@given(st.lists(st.tuples(st.sampled_from([QUIET, LOUD]), st.integers(1, 90)), max_size=12))
def test_backend_gets_every_loud_window_once_in_order_after_its_lead(stretches: list[tuple[int, int]]) -> None:
    levels = [level for level, count in stretches for _ in range(count)]
    processed: list[int] = []

    class Everything(Recorder):
        def process(self, window: NDArray[np.int16]) -> str | None:
            assert not self.resting
            processed.append(number_of(window))
            return None

    run(Everything(), levels)
    assert all(earlier < later for earlier, later in itertools.pairwise(processed))
    for number, level in enumerate(levels):
        if level == LOUD:
            assert set(range(max(0, number - LEAD), number + 1)) <= set(processed)


@pytest.fixture(scope="module")
def words() -> WakeWords:
    package_folder("openwakeword")
    return WakeWords()


@pytest.mark.contract("4.10")
@pytest.mark.parametrize(
    "backend", ["openwakeword", "OpenWakeWords", "open-wakeword", "OPEN_WAKEWORDS", "oww", " open_wakeword "]
)
def test_openwakeword_has_several_names(words: WakeWords, backend: str) -> None:
    assert words.new_detector(Settings(wakeword_backend=backend, wake_words=" jarvis , Alexa,")) is not None


@pytest.mark.contract("4.10")
@pytest.mark.parametrize("backend", ["pvporcupine", "Porcupine", "pvp"])
def test_porcupine_has_several_names(words: WakeWords, backend: str) -> None:
    package_folder("pvporcupine")
    words.check(Settings(wakeword_backend=backend, wake_words=" Jarvis , computer,"))
    with pytest.raises(SettingError, match="Porcupine needs at least one word"):
        words.check(Settings(wakeword_backend=backend, wake_words=" , "))


def test_words_in_use_stay_loaded_while_others_are_checked(tmp_path: Path) -> None:
    model = tmp_path / "mine.onnx"
    shutil.copyfile(package_folder("openwakeword") / "resources" / "models" / "alexa_v0.1.onnx", model)
    in_use = Settings(wakeword_backend="oww", openwakeword_model_paths=str(model))
    words = WakeWords()
    words.check(in_use)
    model.unlink()
    for number in range(1, 4):
        for others in itertools.permutations(["alexa", "timer", "weather"], number):
            words.check(Settings(wakeword_backend="oww", wake_words=",".join(others)))
    assert words.new_detector(in_use) is not None


@pytest.mark.contract("4.10", "11/5")
def test_words_without_a_backend_have_no_effect(words: WakeWords) -> None:
    settings = Settings(wakeword_backend=" ", wake_words="no such word at all")
    words.check(settings)
    assert words.new_detector(settings) is None


@pytest.mark.contract("4.10", "11/5")
@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("wakeword_backend: 'snowboy' is not allowed; expected openwakeword or pvporcupine", {"backend": "snowboy"}),
        ("wake_words: openWakeWord has no 'computer'; there are alexa, ", {"words": "alexa, computer"}),
        ("openwakeword_model_paths: there is no file 'b.onnx'", {"paths": " , b.onnx"}),
    ],
)
def test_check_refuses_words_and_files_that_do_not_exist(
    words: WakeWords, message: str, changes: dict[str, str]
) -> None:
    settings = Settings(
        wakeword_backend=changes.get("backend", "oww"),
        wake_words=changes.get("words", ""),
        openwakeword_model_paths=changes.get("paths"),
    )
    for attempt in (words.check, words.new_detector, words.check):
        with pytest.raises(SettingError) as refused:
            attempt(settings)
        assert str(refused.value).startswith(message)
        assert "\n" not in str(refused.value)


def test_checked_words_need_no_file_when_a_session_begins(
    words: WakeWords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = package_folder("openwakeword") / "resources" / "models" / "alexa_v0.1.onnx"
    path = tmp_path / "mine.onnx"
    path.write_bytes(model.read_bytes())
    monkeypatch.chdir(path.parent)
    settings = Settings(wakeword_backend="oww", openwakeword_model_paths="mine.onnx")
    words.check(settings)
    path.unlink()
    first, second = words.new_detector(settings), words.new_detector(settings)
    assert first is not None
    assert first is not second
