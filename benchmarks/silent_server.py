"""`trio-stt serve` with an engine that sleeps 20 ms per clip and returns no text, to measure all but recognition.

    python -m benchmarks.silent_server STEPS_FILE [flags of trio-stt serve]

Unless STEPS_FILE is `-`, the work of the main thread is timed by step, and the times are written there as JSON when the
server ends. The time of a step excludes its inner steps. Hypercorn, wsproto, Quart and Trio belong to no step.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Self

import msgspec

from benchmarks.server_snapshot import report_on_signal
from trio_stt.api.realtimestt import route
from trio_stt.cli import main
from trio_stt.dsp import kernels
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.silero import SileroModel
from trio_stt.dsp.wake_words import GatedDetector
from trio_stt.dsp.webrtc import WebRtcVad
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Request, Transcript
from trio_stt.protocol.packets import AudioPacket
from trio_stt.session import audio_processor, receiver
from trio_stt.session.partials import Partials
from trio_stt.session.utterances import Utterances
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.segmenter import Segmenter

ENGINE_S = 0.02
"""About the time that Moonshine tiny takes for a second of speech."""


class SilentEngine:
    """Returns empty transcripts after a sleep."""

    info = EngineInfo(engine="silent", model="none", device="cpu")

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Sleep, and return an empty transcript for each clip."""
        time.sleep(ENGINE_S * len(batch))
        return [Transcript(text="") for _ in batch]

    def close(self) -> None:
        """Nothing to free."""


class Steps:
    """Sums the time of each step. An inner step pauses the outer one."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._inside: list[float] = []

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """Run `work` as part of a step."""
        begun_s = time.thread_time()
        self._inside.append(0.0)
        try:
            return work()
        finally:
            took_s = time.thread_time() - begun_s
            self.seconds[name] += took_s - self._inside.pop()
            if self._inside:
                self._inside[-1] += took_s

    def forget(self) -> None:
        """Reset all times."""
        self.seconds.clear()
        self.calls.clear()

    def follow(self, owner: Any, function: str, name: str) -> None:
        """Time a function from now on. For a coroutine function, only the time in which it runs counts."""
        original = getattr(owner, function)

        @wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return self.timed(name, lambda: original(*args, **kwargs))

        @wraps(original)
        async def waiting_wrapper(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return await _TimedCoroutine(self, name, original(*args, **kwargs))

        setattr(owner, function, waiting_wrapper if iscoroutinefunction(original) else wrapper)


class _TimedCoroutine:
    """A coroutine as an iterator for `await` that is timed while it runs."""

    def __init__(self, steps: Steps, name: str, waiting: Coroutine[Any, Any, Any]) -> None:
        self._steps, self._name, self._waiting = steps, name, waiting

    def __await__(self) -> Self:
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Run until the coroutine waits again."""
        return self._steps.timed(self._name, lambda: self._waiting.send(value))

    def throw(self, *error: Any) -> Any:
        """Raise an error or a cancellation in the coroutine."""
        return self._steps.timed(self._name, lambda: self._waiting.throw(*error))

    def close(self) -> None:
        """Close the coroutine."""
        self._waiting.close()


STEPS: Sequence[tuple[Any, str, str]] = (
    (receiver.Receiver, "_accept_packet", "receive: counters, inbox"),
    (receiver, "parse_packet", "decode: packet"),
    (kernels, "downmix_pcm16", "decode: PCM"),
    (audio_processor.AudioProcessor, "accept", "process: inbox to pipeline"),
    (audio_processor.AudioProcessor, "_push", "process: inbox to pipeline"),
    (StreamResampler, "push", "resample"),
    (SpeechPipeline, "push", "segment: buffer, windows"),
    (SpeechDetector, "detect", "VAD: gate and the rest"),
    (WebRtcVad, "is_speech", "VAD: WebRTC"),
    (SileroModel, "score", "VAD: Silero"),
    (GatedDetector, "process", "wake words"),
    (Segmenter, "push", "segment: segmenter"),
    (Utterances, "handle", "utterances"),
    (Partials, "update", "partials: due?"),
    (Partials, "_submit", "partials: clip and job"),
    (route.QuartConnection, "send", "send: Quart"),
    (route, "encode", "send: encoding"),
)
"""The entry of each step: an owner, the name of its function, the name of the step."""


def follow_steps() -> Steps:
    """Time every step of a session from the first packet on, so that the loading of kernels does not count."""
    steps = Steps()
    for owner, function, name in STEPS:
        steps.follow(owner, function, name)
    parse_packet: Callable[..., AudioPacket] = vars(receiver)["parse_packet"]  # timed since the loop above

    def first_packet(frame: bytes, *, max_payload_bytes: int) -> AudioPacket:
        vars(receiver)["parse_packet"] = parse_packet
        steps.forget()
        return parse_packet(frame, max_payload_bytes=max_payload_bytes)

    vars(receiver)["parse_packet"] = first_packet
    return steps


def load_silent(config: EngineConfig) -> SilentEngine:  # noqa: ARG001 - the signature of the registry
    """Replace the registry's `load`."""
    return SilentEngine()


if __name__ == "__main__":
    registry.load = load_silent
    report_on_signal()
    steps_file = sys.argv[1]
    followed = None if steps_file == "-" else follow_steps()
    status = main(["serve", *sys.argv[2:]])
    if followed is not None:
        rows = {name: {"seconds": followed.seconds[name], "calls": followed.calls[name]} for name in followed.seconds}
        Path(steps_file).write_bytes(msgspec.json.encode(rows))
    sys.exit(status)
