"""Compares the CPU of an OpenAI Realtime session with that of a native one, side by side on one server.

    uv run --group bench python -m benchmarks.dialect_cost [--clients 20] [--seconds 10] [--turns 3]

The clients stream the same samples at 24 kHz in packets of 40 ms, in turns: native, Realtime, native, ... The server is
`benchmarks.silent_server`, so the engine costs nothing; a Realtime session gets no words from it, only turns.
"""

import argparse
import base64
import statistics
import sys
from collections.abc import Callable, Mapping

import numpy as np
import soxr
import trio
from numpy.typing import NDArray
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from benchmarks.speech import QUIET, SPEECH_48K
from trio_stt.bench.process import process_use
from trio_stt.bench.server import own_server
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.packets import build_packet

RATE_HZ = 24_000
PACKET_S = 0.04
SOUNDS: Mapping[str, NDArray[np.int16]] = {
    "silence": soxr.resample(QUIET, SAMPLE_RATE_HZ, RATE_HZ),
    "speech": soxr.resample(SPEECH_48K, 48_000, RATE_HZ),
}


def native(pcm: bytes) -> bytes:
    """A packet of the server's own protocol."""
    return build_packet(pcm, rate_hz=RATE_HZ)


def realtime(pcm: bytes) -> str:
    """An event of OpenAI Realtime."""
    return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(pcm).decode()}"}}'


PROTOCOLS: Mapping[str, tuple[str, str, Callable[[bytes], str | bytes]]] = {
    "native": ("/ws/transcribe", '{"type":"start"}', native),
    "realtime": ("/v1/realtime?intent=transcription", '{"type":"session.update","session":{}}', realtime),
}


async def stream(url: str, protocol: str, sound: NDArray[np.int16], *, delay_s: float, seconds: float) -> None:
    """One client, from its connection to its end."""
    path, first, message = PROTOCOLS[protocol]
    size = round(PACKET_S * RATE_HZ)
    packets = [message(sound[start : start + size].tobytes()) for start in range(0, sound.size - size + 1, size)]
    await trio.sleep(delay_s)
    async with open_websocket_url(url + path) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(_read, socket)
        await socket.send_message(first)
        begun_s = trio.current_time()
        for number in range(round(seconds / PACKET_S)):
            await trio.sleep_until(begun_s + number * PACKET_S)
            await socket.send_message(packets[number % len(packets)])
        nursery.cancel_scope.cancel()


async def _read(socket: WebSocketConnection) -> None:
    try:
        while True:
            await socket.get_message()
    except ConnectionClosed:
        pass


async def cost(url: str, pid: int, protocol: str, sound: str, *, clients: int, seconds: float) -> float:
    """Milliseconds of the server's CPU for each second of audio."""
    before = process_use(pid).cpu_s
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            delay_s = number / clients
            nursery.start_soon(
                lambda delay_s: stream(url, protocol, SOUNDS[sound], delay_s=delay_s, seconds=seconds), delay_s
            )
    return (process_use(pid).cpu_s - before) * 1000 / (clients * seconds)


async def compare(*, clients: int, seconds: float, turns: int) -> None:
    """Measure and print the table."""
    command = [sys.executable, "-m", "benchmarks.silent_server", "-"]
    flags = ["--max-sessions", str(2 * clients), "--max-active-speakers", str(2 * clients)]
    async with own_server([*flags, "--max-connections-per-address", "1000"], command=command) as server:
        url = server.url.removesuffix(PROTOCOLS["native"][0])
        print(f"{'sound':>10} {'native':>10} {'realtime':>10} {'ratio':>7}   ms of CPU for each second of audio")
        for sound in SOUNDS:
            found: dict[str, list[float]] = {protocol: [] for protocol in PROTOCOLS}
            for _ in range(turns):
                for protocol, figures in found.items():
                    figures.append(await cost(url, server.pid, protocol, sound, clients=clients, seconds=seconds))
            one, other = (statistics.median(figures) for figures in found.values())
            print(f"{sound:>10} {one:>10.2f} {other:>10.2f} {other / one:>7.2f}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    trio.run(lambda: compare(clients=arguments.clients, seconds=arguments.seconds, turns=arguments.turns))


if __name__ == "__main__":
    main()
