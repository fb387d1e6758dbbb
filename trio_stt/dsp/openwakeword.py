"""openWakeWord's models, run with onnxruntime: one set of networks for the process, one stream of features per talker.

It owns the networks and what a talker's stream remembers. It must not decide when a detector may sleep. The networks
come from the installed openwakeword package, which is never imported: it would import tflite-runtime and scipy.

Every 80 ms of audio become 8 mel frames; the last 76 of those become one embedding, and each classifier scores the last
16 to 34 embeddings. Fed without a gap, the scores are those of the package's own class, for a fifth of its CPU time:
3.4 ms for a second of audio and one word (the package: 20 ms), 0.1 to 0.4 ms more for each further word, on one core of
a 2-core AMD EPYC. The embedding network takes 2.0 ms of it, the mel frames 0.8, a word 0.1 to 0.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.dsp.embedding import EMBEDDING_WIDTH, MEL_BINS, MEL_FRAMES, MEL_STEP, State, load_embedding
from trio_stt.dsp.onnx import open_model
from trio_stt.errors import SettingError
from trio_stt.runtime.packages import package_folder

FRAME_SAMPLES = 1280
"""Samples of one step: 80 ms, after which there is a new score."""

_MEL_CONTEXT_SAMPLES = 480
"""Samples before a step that its first mel frames reach back to."""

_MOST_EMBEDDINGS = 120  # 9.6 s; no word is longer

_BACKGROUND_SAMPLES = 160 * MEL_FRAMES + _MEL_CONTEXT_SAMPLES
"""Audio of as many mel frames as one embedding takes."""

_ROOM_NOISE_RMS = 5.0
"""What stands for audio that was never heard: the noise of a quiet room. After true zeros `alexa` is missed twice as
often, and after loud noise up to half the time, when it comes within the first second."""
_ROOM_NOISE: NDArray[np.int16] = (
    np.random.default_rng(0).normal(scale=_ROOM_NOISE_RMS, size=_BACKGROUND_SAMPLES).round().astype(np.int16)
)

_OWN_WORDS = ("alexa", "hey jarvis", "hey mycroft", "hey rhasspy", "timer", "weather")
_INSTALL = "install it with: pip install --no-deps openwakeword==0.5.1"


class _Classifier:
    """One wake word's network."""

    def __init__(self, label: str, path: Path) -> None:
        """Load it.

        Raises:
            ValueError: The file is no wake-word model; the message says why, in a few words.
        """
        self.label = label
        self._session = open_model(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape
        fits = len(inputs) == 1 and len(shape) == 3 and shape[2] == EMBEDDING_WIDTH and isinstance(shape[1], int)  # noqa: PLR2004 - batch, embeddings, width
        if not fits or not 0 < shape[1] <= _MOST_EMBEDDINGS or len(outputs[0].shape) != 2:  # noqa: PLR2004 - batch, classes
            raise ValueError(f"it takes {shape}, not [1, embeddings, {EMBEDDING_WIDTH}]")
        self.embeddings: int = shape[1]
        self._input: str = inputs[0].name

    def score(self, embeddings: NDArray[np.float32]) -> float:
        """The word's score, 0 to 1, after these embeddings, shape (at least `embeddings`, 96)."""
        scores = self._session.run(None, {self._input: embeddings[np.newaxis, -self.embeddings :]})[0].ravel()
        # Of several classes the first is "none of them", as in the package's timer model.
        return float(scores[0] if scores.size == 1 else scores[1:].max())


class _Features:
    """The two networks in front of every classifier. `room_noise` is the result of `of_background` for a quiet room."""

    def __init__(self, folder: Path) -> None:
        self._mel = open_model(folder / "melspectrogram.onnx")
        self._embedding = load_embedding(folder / "embedding_model.onnx")
        self.room_noise = self.of_background(_ROOM_NOISE)

    def of_background(self, background: NDArray[np.int16]) -> tuple[NDArray[np.float32], State]:
        """Embedding, shape (96,), and state after samples, shape (`_BACKGROUND_SAMPLES`,), and nothing before."""
        before = np.zeros((-MEL_FRAMES % MEL_STEP, MEL_BINS), np.float32)
        return self._embedding.process(np.concatenate((before, self._mel_frames(background))), self._embedding.blank)

    def step(self, samples: NDArray[np.int16], state: State) -> tuple[NDArray[np.float32], State]:
        """Embedding, shape (96,), and state after a step; samples, shape (1760,), of it and the context before it."""
        return self._embedding.process(self._mel_frames(samples), state)

    def _mel_frames(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Mel frames, shape (samples / 160 - 3, 32), of samples, shape (samples,)."""
        heard = self._mel.run(None, {"input": samples[np.newaxis].astype(np.float32)})[0]
        frames: NDArray[np.float32] = heard.reshape(-1, MEL_BINS)
        return frames / np.float32(10) + np.float32(2)  # what the embedding network was trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWakeWords:
    """Loaded words that any number of talkers may be listened to for."""

    features: _Features
    classifiers: tuple[_Classifier, ...]

    def new_stream(self, sensitivity: float) -> "OpenWakeWordStream":
        """A talker's stream; a word is heard where its score is at least `sensitivity`."""
        return OpenWakeWordStream(self, sensitivity)


class OpenWakeWordStream:
    """One talker. After a gap in the audio call `resume`: without it, both sides of the gap would be one sound."""

    def __init__(self, words: OpenWakeWords, sensitivity: float) -> None:
        self._words = words
        self._sensitivity = sensitivity
        most = max(classifier.embeddings for classifier in words.classifiers)
        self._embeddings = np.empty((most, EMBEDDING_WIDTH), np.float32)
        self._audio = np.empty(_MEL_CONTEXT_SAMPLES + FRAME_SAMPLES + WINDOW_SAMPLES, np.int16)
        self._filled = 0
        self._scores = (0.0,) * len(words.classifiers)
        self.resume(np.empty(0, np.int16))

    @property
    def scores(self) -> tuple[float, ...]:
        """The newest score of each word, 0 to 1."""
        return self._scores

    def resume(self, before: NDArray[np.int16]) -> None:
        """Forget everything and begin anew.

        Args:
            before: What was to hear just before the next window, int16, shape (samples,), possibly empty: the
                background. All that would have been heard before it is taken to have been like it.
        """
        background = np.concatenate((_ROOM_NOISE, before))[-_BACKGROUND_SAMPLES:]
        features = self._words.features
        self._embeddings[:], self._state = features.of_background(background) if before.size else features.room_noise
        self._audio[:_MEL_CONTEXT_SAMPLES] = background[-_MEL_CONTEXT_SAMPLES:]
        self._filled = _MEL_CONTEXT_SAMPLES
        self._scores = (0.0,) * len(self._scores)

    def process(self, window: NDArray[np.int16]) -> str | None:
        """The next window, int16 of shape (512,): the label of the word whose score with it is best and high enough."""
        self._audio[self._filled : self._filled + WINDOW_SAMPLES] = window
        self._filled += WINDOW_SAMPLES
        step_end = _MEL_CONTEXT_SAMPLES + FRAME_SAMPLES
        if self._filled < step_end:
            return None
        self._step(self._audio[:step_end])
        self._filled -= FRAME_SAMPLES
        self._audio[: self._filled] = self._audio[FRAME_SAMPLES : FRAME_SAMPLES + self._filled].copy()
        best = int(np.argmax(self._scores))
        return self._words.classifiers[best].label if self._scores[best] >= self._sensitivity else None

    def rest(self) -> None:
        """Hold no state of its own: nothing is heard until `resume`."""
        _, self._state = self._words.features.room_noise

    def _step(self, audio: NDArray[np.int16]) -> None:
        self._embeddings[:-1] = self._embeddings[1:].copy()
        self._embeddings[-1], self._state = self._words.features.step(audio, self._state)
        self._scores = tuple(classifier.score(self._embeddings) for classifier in self._words.classifiers)


def load_words(words: Sequence[str], paths: Sequence[str]) -> OpenWakeWords:
    """Load models.

    Args:
        words: Without `paths`, which of the package's own words, in any spelling (`hey_jarvis`, `Jarvis`); none means
            all. With `paths`, labels for them in order; a path without one is labelled by its file name.
        paths: `.onnx` files of one's own.

    Raises:
        SettingError: A word or file is not there, or no model; or the package is missing.
    """
    folder = _folder()
    if paths:
        chosen = _own_files(words, paths)
    else:
        chosen = {word: folder / f"{word.replace(' ', '_')}_v0.1.onnx" for word in _known_words(words)}
    setting = "openwakeword_model_paths" if paths else "wakeword_backend"
    classifiers = []
    for label, path in chosen.items():
        try:
            classifiers.append(_Classifier(label, path))
        except Exception as error:  # noqa: BLE001 - onnxruntime raises a class of its own for each kind of bad file
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingError(f"{setting}: {str(path)!r} is no wake-word model: {why[:200]}") from None
    return OpenWakeWords(features=_features(folder), classifiers=tuple(classifiers))


def _known_words(words: Sequence[str]) -> list[str]:
    spellings = {_squeezed(word): word for word in _OWN_WORDS}
    spellings |= {_squeezed(word).removeprefix("hey"): word for word in _OWN_WORDS}
    for word in words:
        if _squeezed(word) not in spellings:
            raise SettingError(f"wake_words: openWakeWord has no {word[:80]!r}; there are {', '.join(_OWN_WORDS)}")
    return list(dict.fromkeys(spellings[_squeezed(word)] for word in words)) or list(_OWN_WORDS)


def _squeezed(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


def _own_files(labels: Sequence[str], paths: Sequence[str]) -> dict[str, Path]:
    if len(labels) > len(paths):
        raise SettingError(
            f"wake_words: {len(labels)} words cannot label {len(paths)} files of openwakeword_model_paths"
        )
    chosen: dict[str, Path] = {}
    for number, name in enumerate(paths):
        path = Path(name).expanduser()
        if path.suffix.lower() != ".onnx":
            raise SettingError(f"openwakeword_model_paths: {name!r} is not allowed; expected .onnx files")
        if not path.is_file():
            raise SettingError(f"openwakeword_model_paths: there is no file {name!r}")
        label = labels[number] if number < len(labels) else path.stem
        if label in chosen:
            raise SettingError(f"openwakeword_model_paths: two files are called {label!r}; label them with wake_words")
        chosen[label] = path
    return chosen


def _folder() -> Path:
    package = package_folder("openwakeword")
    if package is None:
        raise SettingError(f"wakeword_backend: openWakeWord needs the package openwakeword; {_INSTALL}")
    folder = package / "resources" / "models"
    if not (folder / "embedding_model.onnx").is_file():
        raise SettingError(f"wakeword_backend: the installed openwakeword has no models in {folder}; {_INSTALL}")
    return folder


@lru_cache(maxsize=1)
def _features(folder: Path) -> _Features:
    return _Features(folder)
