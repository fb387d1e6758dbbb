"""What soxr's modes hold back and cost, for each input rate: the table behind the choice in `trio_stt.dsp.resample`.

    uv run --group bench python -m benchmarks.resampling

One stream per row gets packets of 40 ms. Delay is input time minus output time after each packet. CPU is the fastest of
five rounds over 4 s, per second of audio. Memory is what the C library has allocated, per stream, over 50 streams.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.kernels import to_float32
from trio_stt.dsp.resample import StreamResampler

RATES_HZ = (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
MODES = (("LQ", False), ("MQ", False), ("HQ", False), ("HQ", True))
PACKET_S = 0.04
STREAMS = 50

Push = Callable[[NDArray[np.int16]], NDArray[np.generic]]


class _MallInfo(ctypes.Structure):
    # In the order of glibc's struct mallinfo2.
    _fields_ = [
        *[(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")],
        *[(name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")],
    ]


def allocated_bytes() -> int:
    """What malloc has given out (glibc)."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    mean_ms: float
    most_ms: float
    cpu_ms: float
    kib: float


def measure(new_stream: Callable[[], Push], rate_hz: int) -> Row:
    samples = np.random.default_rng(0).normal(scale=3000, size=4 * rate_hz).astype(np.int16)
    packets = np.split(samples, range(0, samples.size, round(PACKET_S * rate_hz))[1:])
    push = new_stream()
    delays_ms, pushed, returned = [], 0, 0
    for packet in packets:
        pushed += packet.size
        returned += push(packet).size
        delays_ms.append(1000 * (pushed / rate_hz - returned / SAMPLE_RATE_HZ))
    cpu_ms = []
    for _ in range(5):
        start_s = time.process_time()
        for packet in packets:
            push(packet)
        cpu_ms.append((time.process_time() - start_s) / 4 * 1000)
    before = allocated_bytes()
    streams = [new_stream() for _ in range(STREAMS)]
    for push in streams:
        for packet in packets[:25]:
            push(packet)
    kib = (allocated_bytes() - before) / STREAMS / 1024
    steady_ms = delays_ms[10:]
    return Row(mean_ms=float(np.mean(steady_ms)), most_ms=max(steady_ms), cpu_ms=min(cpu_ms), kib=kib)


def soxr_stream(rate_hz: int, quality: str, variable: bool) -> Push:
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality=quality, vr=variable)
    return lambda packet: stream.resample_chunk(to_float32(packet))


def main() -> None:
    print("| rate | mode | delay, mean | at most | CPU per s of audio | memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate_hz in RATES_HZ:
        rows = {
            f"{quality}, {'variable' if variable else 'fixed'} rate": measure(
                lambda quality=quality, variable=variable: soxr_stream(rate_hz, quality, variable),  # type: ignore[misc] # noqa: B023 - called at once
                rate_hz,
            )
            for quality, variable in MODES
        }
        rows["**StreamResampler**"] = measure(lambda: StreamResampler(rate_hz).push, rate_hz)  # noqa: B023 - called at once
        for name, row in rows.items():
            print(
                f"| {rate_hz} Hz | {name} | {row.mean_ms:.1f} ms | {row.most_ms:.1f} ms | {row.cpu_ms:.2f} ms "
                f"| {row.kib:.0f} KiB |"
            )


if __name__ == "__main__":
    main()
