"""Wake-word detection for one client, without a session. Sans-IO."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trio_stt.api.wyoming import messages
from trio_stt.api.wyoming.audio import AudioFormat, MonoConverter
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.wake_words import WakeWordDetector


class Detection:
    """Detects wake words in the chunks of one stream.

    Args:
        detector: For this stream alone.
        names: The words that count; all if it is empty.
    """

    def __init__(self, detector: WakeWordDetector, names: Sequence[str]) -> None:
        self._detector = detector
        self._names = frozenset(map(_plain, names))
        self._converter = MonoConverter()
        self._resampler: StreamResampler | None = None
        self._left = np.empty(0, np.int16)  # less than a window
        self._received_samples = 0  # at 16 kHz
        self._detected = False

    def push(self, payload: memoryview, audio_format: AudioFormat) -> list[bytes]:
        """Process the next chunk; returns the events for the client."""
        samples = self._converter.push(payload, audio_format)
        if self._resampler is None or self._resampler.rate_hz != audio_format.rate:
            self._resampler = StreamResampler(audio_format.rate)
        return [
            messages.detection(word, self._time_ms(audio_format))
            for word in self._words(self._resampler.push(samples))
            if not self._names or _plain(word) in self._names
        ]

    def stop(self) -> list[bytes]:
        """End the audio; returns the event for the client, unless a word was detected."""
        return [] if self._detected else [messages.not_detected()]

    def _words(self, samples: NDArray[np.int16]) -> list[str]:
        audio = np.concatenate([self._left, samples])
        whole = audio.size - audio.size % WINDOW_SAMPLES
        self._left = audio[whole:].copy()
        self._received_samples += samples.size
        found = [self._detector.process(window) for window in audio[:whole].reshape(-1, WINDOW_SAMPLES)]
        return [word for word in found if word is not None]

    def _time_ms(self, audio_format: AudioFormat) -> int:
        """The client's own time of the chunk, or else the length of the audio before its end."""
        self._detected = True
        if audio_format.timestamp is not None:
            return round(audio_format.timestamp)
        return self._received_samples * 1000 // SAMPLE_RATE_HZ


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
