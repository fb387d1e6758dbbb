"""openWakeWord's models in onnxruntime: one set of networks for the process, one stream of features per audio stream.

It owns the networks and the state of each stream; `wake_words` decides which windows a stream gets. The networks come
from the installed openwakeword package, which is never imported: it would import tflite-runtime and scipy; or they are
downloaded.

Every 80 ms of audio give 8 mel frames; the last 76 of them give one embedding, and each classifier scores the last 16
to 34 embeddings. Without gaps in the audio, the scores equal those of the package's own class, for a fifth of its CPU
time: 3.4 ms per second of audio with one word (the package: 20 ms), on one core of a 2-core AMD EPYC. The embeddings
take 2.0 ms of it, the mel frames 0.8 ms, each word 0.1 to 0.4 ms.
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
from trio_stt.errors import SettingError, first_line
from trio_stt.models import wake_word_trial
from trio_stt.runtime.packages import package_folder

FRAME_SAMPLES = 1280
"""Samples of one step, 80 ms: each step gives a new score."""

_MEL_CONTEXT_SAMPLES = 480
"""Samples before a step that its first mel frames need."""

_MAX_EMBEDDINGS = 120  # 9.6 s; no word is longer

_BACKGROUND_SAMPLES = 160 * MEL_FRAMES + _MEL_CONTEXT_SAMPLES
"""Samples of the mel frames of one embedding, 10 ms each, and of their context."""

_ROOM_NOISE_RMS = 5.0
"""Level, in int16 units, of the synthetic room noise that stands in for audio from before the stream. After digital
silence, `alexa` within the first second is missed twice as often; after loud noise, up to half of the time."""
_ROOM_NOISE: NDArray[np.int16] = (
    np.random.default_rng(0).normal(scale=_ROOM_NOISE_RMS, size=_BACKGROUND_SAMPLES).round().astype(np.int16)
)

_PACKAGE_WORDS = ("alexa", "hey jarvis", "hey mycroft", "hey rhasspy", "timer", "weather")


class _Classifier:
    """Classifier network of one wake word."""

    def __init__(self, label: str, path: Path) -> None:
        """Load the network.

        Raises:
            ValueError: The file is no wake-word model; the message gives the reason.
        """
        self.label = label
        self._session = open_model(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape
        fits = len(inputs) == 1 and len(shape) == 3 and shape[2] == EMBEDDING_WIDTH and isinstance(shape[1], int)  # noqa: PLR2004 - batch, embeddings, width
        if not fits or not 0 < shape[1] <= _MAX_EMBEDDINGS or len(outputs[0].shape) != 2:  # noqa: PLR2004 - batch, classes
            raise ValueError(f"it takes {shape}, not [1, embeddings, {EMBEDDING_WIDTH}]")
        self.embeddings: int = shape[1]
        self._input: str = inputs[0].name

    def score(self, embeddings: NDArray[np.float32]) -> float:
        """The word's score, 0 to 1, for the newest of these embeddings, float32, shape (n >= `embeddings`, 96)."""
        scores = self._session.run(None, {self._input: embeddings[np.newaxis, -self.embeddings :]})[0].ravel()
        # With several classes the first one is "no word", as in the package's timer model.
        return float(scores[0] if scores.size == 1 else scores[1:].max())


class _Features:
    """The two networks in front of every classifier. `room_noise` is the result of `of_background` for a quiet room."""

    def __init__(self, folder: Path) -> None:
        self._mel = open_model(folder / "melspectrogram.onnx")
        self._embedding = load_embedding(folder / "embedding_model.onnx")
        self.room_noise = self.of_background(_ROOM_NOISE)

    def of_background(self, background: NDArray[np.int16]) -> tuple[NDArray[np.float32], State]:
        """Embedding, shape (96,), and state after int16 samples, shape (`_BACKGROUND_SAMPLES`,), and silence before."""
        # The embedding takes whole steps of 8 frames: zeros in front fill the 76 frames up to 80.
        before = np.zeros((-MEL_FRAMES % MEL_STEP, MEL_BINS), np.float32)
        return self._embedding.process(np.concatenate((before, self._mel_frames(background))), self._embedding.blank)

    def step(self, samples: NDArray[np.int16], state: State) -> tuple[NDArray[np.float32], State]:
        """Embedding, shape (96,), and state after a step; int16 samples, shape (1760,): its context and the step."""
        return self._embedding.process(self._mel_frames(samples), state)

    def _mel_frames(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Mel frames, shape (samples / 160 - 3, 32), of samples, shape (samples,)."""
        spectrogram = self._mel.run(None, {"input": samples[np.newaxis].astype(np.float32)})[0]
        frames: NDArray[np.float32] = spectrogram.reshape(-1, MEL_BINS)
        return frames / np.float32(10) + np.float32(2)  # the scale that the embedding network was trained with


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWakeWords:
    """Loaded wake words, shared by all streams."""

    features: _Features
    classifiers: tuple[_Classifier, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The words."""
        return tuple(classifier.label for classifier in self.classifiers)

    def new_stream(self, sensitivity: float) -> "OpenWakeWordStream":
        """A new stream; a word is detected if its score is at least `sensitivity`, 0 to 1."""
        return OpenWakeWordStream(self, sensitivity)


class OpenWakeWordStream:
    """Wake-word detection of one stream.

    After a gap in the audio call `resume`; otherwise the audio on both sides counts as continuous.
    """

    def __init__(self, words: OpenWakeWords, sensitivity: float) -> None:
        self._words = words
        self._sensitivity = sensitivity
        most = max(classifier.embeddings for classifier in words.classifiers)
        self._embeddings = np.empty((most, EMBEDDING_WIDTH), np.float32)
        # Context and step, and room for the part of the last window that belongs to the next step.
        self._audio = np.empty(_MEL_CONTEXT_SAMPLES + FRAME_SAMPLES + WINDOW_SAMPLES, np.int16)
        self._filled = 0
        self._scores = (0.0,) * len(words.classifiers)
        self.resume(np.empty(0, np.int16))

    @property
    def scores(self) -> tuple[float, ...]:
        """The newest score of each word, 0 to 1."""
        return self._scores

    def resume(self, before: NDArray[np.int16]) -> None:
        """Restart the stream after a gap.

        Args:
            before: The audio just before the next window, int16, shape (samples,), possibly empty: the background.
                All embeddings before the next window are set to that of this background.
        """
        background = np.concatenate((_ROOM_NOISE, before))[-_BACKGROUND_SAMPLES:]
        features = self._words.features
        # Streams may share the state of the room noise, because a state is never changed in place.
        self._embeddings[:], self._state = features.of_background(background) if before.size else features.room_noise
        self._audio[:_MEL_CONTEXT_SAMPLES] = background[-_MEL_CONTEXT_SAMPLES:]
        self._filled = _MEL_CONTEXT_SAMPLES
        self._scores = (0.0,) * len(self._scores)

    def process(self, window: NDArray[np.int16]) -> str | None:
        """Process the next window, int16, shape (512,); returns the label of the best word that reaches sensitivity."""
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
        """Release memory until `resume`, by sharing the state of the room noise."""
        _, self._state = self._words.features.room_noise

    def _step(self, audio: NDArray[np.int16]) -> None:
        self._embeddings[:-1] = self._embeddings[1:].copy()
        self._embeddings[-1], self._state = self._words.features.step(audio, self._state)
        self._scores = tuple(classifier.score(self._embeddings) for classifier in self._words.classifiers)


def load_words(words: Sequence[str], paths: Sequence[str], downloaded: Path | None = None) -> OpenWakeWords:
    """Load wake-word models.

    Args:
        words: Without `paths`, names of the package's own words, in any spelling (`hey_jarvis`, `Jarvis`); an empty
            list means all. With `paths`, labels for them in order; a path without one is labelled by its file name.
        paths: The user's own `.onnx` files.
        downloaded: Folder of downloaded networks, for where the package is missing.

    Raises:
        SettingError: A word or file does not exist or is no model, or there are no networks.
    """
    folder = packaged_models() or downloaded
    if folder is None:
        raise SettingError(
            "wakeword_backend: openWakeWord's models are not on this machine; run `trio-stt models pull openwakeword`"
        )
    if paths:
        chosen = _own_files(words, paths)
    else:
        chosen = {word: folder / f"{word.replace(' ', '_')}_v0.1.onnx" for word in _known_words(words)}
    setting = "openwakeword_model_paths" if paths else "wakeword_backend"
    classifiers = []
    for label, path in chosen.items():
        try:
            if paths and (reason := wake_word_trial.refusal(path)):
                raise ValueError(reason)  # noqa: TRY301 - handled like what onnxruntime raises
            classifiers.append(_Classifier(label, path))
        except Exception as error:  # noqa: BLE001 - onnxruntime raises a class of its own for each kind of bad file
            reason = first_line(error)
            raise SettingError(f"{setting}: {str(path)!r} is no wake-word model: {reason[:200]}") from None
    return OpenWakeWords(features=_features(folder), classifiers=tuple(classifiers))


def _known_words(words: Sequence[str]) -> list[str]:
    spellings = {_letters(word): word for word in _PACKAGE_WORDS}
    spellings |= {_letters(word).removeprefix("hey"): word for word in _PACKAGE_WORDS}
    for word in words:
        if _letters(word) not in spellings:
            raise SettingError(f"wake_words: openWakeWord has no {word[:80]!r}; there are {', '.join(_PACKAGE_WORDS)}")
    return list(dict.fromkeys(spellings[_letters(word)] for word in words)) or list(_PACKAGE_WORDS)


def _letters(word: str) -> str:
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


def packaged_models() -> Path | None:
    """The folder of the networks inside the installed package; None without it, or without the networks."""
    package = package_folder("openwakeword")
    folder = package / "resources" / "models" if package else None
    return folder if folder and (folder / "embedding_model.onnx").is_file() else None


@lru_cache(maxsize=1)
def _features(folder: Path) -> _Features:
    return _Features(folder)
