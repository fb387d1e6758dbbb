"""How much an upload of an hour delays the finals of a live speaker, and how much memory the server takes for it.

    uv run --group bench python -m benchmarks.upload_delay [--minutes 60] [--turns 20] [--speech FOLDER] [-- FLAGS]

A speaker says the same sentence again and again in real time, `--turns` times without an upload and as often beside
one: an M4A (AAC, 48 kHz) of the speech repeated, sent to `/v1/audio/transcriptions`. The delay of a final is the time
from the last packet with speech to its arrival; the silence that ends an utterance is a constant part of it. The server
is `trio-stt serve` with the flags. How long finals waited in the queue of their lane tells a delay by other jobs from
one by a lack of CPU.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import soundfile
import soxr
import trio
import trio.testing
from numpy.typing import NDArray

from trio_stt.bench.process import process_use
from trio_stt.bench.server import OwnServer, own_server
from trio_stt.cli.reference_speech import sound_files
from trio_stt.client import ClientSession, connect, transcribe
from trio_stt.protocol.events import Final, Metrics

RATE_HZ, FILE_RATE_HZ = 16_000, 48_000
PACKET_S = 0.04
SENTENCE_S = 3.0
PAUSE_S = 2.0
"""Longer than the silence that ends an utterance, and a final without an upload."""
MEMORY_EVERY_S = 0.5
FLAGS = ("--max-upload-bytes", str(1 << 30), "--max-upload-seconds", "100000")


def speech(files: Sequence[str], rate_hz: int) -> NDArray[np.int16]:
    """All recordings, one behind the other."""
    parts = []
    for name in files:
        samples, from_hz = soundfile.read(name, dtype="float32", always_2d=True)
        parts.append(soxr.resample(samples.mean(axis=1), from_hz, rate_hz))
    return (np.concatenate(parts) * 32767).round().astype(np.int16)


def write_m4a(path: Path, samples: NDArray[np.int16], *, length_s: float) -> None:
    """An M4A with the samples at 48 kHz, repeated up to a length."""
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=FILE_RATE_HZ, layout="mono")
        written, wanted = 0, round(length_s * FILE_RATE_HZ)
        while written < wanted:
            part = samples[: wanted - written]
            for start in range(0, part.size, FILE_RATE_HZ):
                second = part[start : start + FILE_RATE_HZ]
                frame = av.AudioFrame.from_ndarray(second[None, :], format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = FILE_RATE_HZ, written, Fraction(1, FILE_RATE_HZ)
                written += second.size
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class LiveSpeaker:
    """Says a sentence again and again.

    Attributes:
        delays_ms: From the last packet with speech to the final, of each turn.
        queued_ms: How long finals waited in the queue of their lane: the median, and the 95th percentile.
    """

    def __init__(self, session: ClientSession, sentence: NDArray[np.int16]) -> None:
        self.delays_ms: list[float] = []
        self.queued_ms = (0.0, 0.0)
        self._session = session
        self._sentence = sentence
        self._finals_in, self._finals_out = trio.open_memory_channel[float](1000)

    async def listen(self) -> None:
        """Note when finals come."""
        async for event in self._session:
            if isinstance(event, Final):
                self._finals_in.send_nowait(trio.current_time())
            if isinstance(event, Metrics):
                found = event.metrics.queue_delay.final
                self.queued_ms = found.p50_ms, found.p95_ms

    async def say(self, turns: int) -> None:
        """Say it this often."""
        for _ in range(turns):
            self._drop_finals()
            await self._send(self._sentence)
            spoken_s = trio.current_time()
            await self._send(np.zeros(round(PAUSE_S * RATE_HZ), np.int16))
            with trio.move_on_after(30):
                final_s = await self._finals_out.receive()
                if final_s >= spoken_s:  # otherwise the sentence was cut in two
                    self.delays_ms.append((final_s - spoken_s) * 1000)

    def _drop_finals(self) -> None:
        with suppress(trio.WouldBlock):
            while True:
                self._finals_out.receive_nowait()

    async def _send(self, samples: NDArray[np.int16]) -> None:
        size, begun_s = round(PACKET_S * RATE_HZ), trio.current_time()
        for number, start in enumerate(range(0, samples.size, size)):
            await trio.sleep_until(begun_s + number * PACKET_S)
            await self._session.send(samples[start : start + size].astype("<i2").tobytes())


class Memory:
    """Memory of the server, sampled; in MB."""

    def __init__(self, server: OwnServer) -> None:
        self._server = server
        self.samples: list[float] = []

    def now(self) -> float:
        """Its resident memory."""
        return process_use(self._server.pid).rss_bytes / 1e6

    async def run(self) -> None:
        """Sample it until cancelled."""
        while True:
            self.samples.append(self.now())
            await trio.sleep(MEMORY_EVERY_S)


async def upload(url: str, path: Path, started: trio.Event, memory: Memory) -> tuple[float, float]:
    """Transcribe the file; returns the seconds of sound that came back, and those that it took."""
    begun_s, end_s = time.perf_counter(), 0.0
    async with transcribe(url, path) as transcription, trio.open_nursery() as nursery:
        async for segment in transcription:
            if not started.is_set():
                started.set()
                nursery.start_soon(memory.run)
            end_s = segment.end
        nursery.cancel_scope.cancel()
    return end_s, time.perf_counter() - begun_s


async def speak(url: str, sentence: NDArray[np.int16], turns: int) -> LiveSpeaker:
    """Say the sentence this often in a session of its own; returns what was measured."""
    async with connect(url) as session, trio.open_nursery() as nursery:
        speaker = LiveSpeaker(session, sentence)
        nursery.start_soon(speaker.listen)
        await speaker.say(turns)
        await session.command('{"type":"metrics"}')
        await session.flush()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return speaker


async def measure(arguments: argparse.Namespace, path: Path, sentence: NDArray[np.int16]) -> None:
    """Run the server, and print the figures."""
    async with own_server([*FLAGS, *arguments.flags]) as server:
        address = urlsplit(server.url)
        url, memory = f"http://{address.hostname}:{address.port}", Memory(server)
        await speak(url, sentence, 2)  # what is slow only once
        found = {"without": await speak(url, sentence, arguments.turns)}
        before_mb, started = memory.now(), trio.Event()

        async def send() -> None:
            length_s, took_s = await upload(url, path, started, memory)
            print(f"upload: {length_s:.0f} s of sound in {took_s:.0f} s, {length_s / took_s:.1f} times real time")

        async with trio.open_nursery() as uploading:
            uploading.start_soon(send)
            await started.wait()
            found["beside"] = await speak(url, sentence, arguments.turns)
            if not arguments.whole:
                uploading.cancel_scope.cancel()
        for name, speaker in found.items():
            ordered, (median_ms, high_ms) = sorted(speaker.delays_ms), speaker.queued_ms
            print(
                f"{name:>8}: {len(ordered)} finals after {statistics.median(ordered):.0f} ms (median),"
                f" {statistics.fmean(ordered):.0f} (mean), {ordered[-1]:.0f} (worst);"
                f" {median_ms:.1f} ms (median), {high_ms:.1f} (95 %) of them in the queue"
            )
        medians, means = (
            {name: average(speaker.delays_ms) for name, speaker in found.items()}
            for average in (statistics.median, statistics.fmean)
        )
        later_ms, mean_ms = (each["beside"] - each["without"] for each in (medians, means))
        print(f"delayed by {later_ms:.0f} ms (median), {mean_ms:.0f} (mean)")
        parts = [
            memory.samples[len(memory.samples) * each // 4 : len(memory.samples) * (each + 1) // 4] for each in range(4)
        ]
        quarters = ", ".join(f"{max(part):.0f}" for part in parts if part)
        print(f"memory: {before_mb:.0f} MB before, at most {quarters} MB in each quarter, {memory.now():.0f} MB after")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the upload")
    parser.add_argument("--turns", type=int, default=20, help="sentences without the upload, and beside it")
    parser.add_argument(
        "--speech", nargs="*", default=[], metavar="FILE|FOLDER", help="recordings; default: included ones"
    )
    parser.add_argument(
        "--part", dest="whole", action="store_false", help="end the upload with the last sentence beside it"
    )
    parser.add_argument("flags", nargs="*", help="flags of `trio-stt serve`, behind --")
    arguments = parser.parse_args()
    files = sound_files(arguments.speech)
    sentence = speech(sound_files([]), RATE_HZ)[: round(SENTENCE_S * RATE_HZ)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.m4a"
        write_m4a(path, speech(files, FILE_RATE_HZ), length_s=arguments.minutes * 60)
        print(f"{path.stat().st_size / 1e6:.1f} MB of M4A, {arguments.minutes:g} min", file=sys.stderr)
        trio.run(measure, arguments, path, sentence)


if __name__ == "__main__":
    main()
