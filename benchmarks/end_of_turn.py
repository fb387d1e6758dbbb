"""End of turn of real people, by kind of recording: how soon finals come, and how many clips are split.

    TRIO_STT_TEST_SPEECH=… python -m benchmarks.end_of_turn
    TRIO_STT_TEST_SPEECH=… python -m benchmarks.end_of_turn --half 1 --turn-model smart-turn-v3.2-cpu.onnx

Each clip, in a quiet room, is sent to a live session in packets of 40 ms, on a virtual clock. The engine and the turn
model work for real, each on a core of its own, and take the CPU time on that clock that they needed. So the figures are
those of one client on an idle machine like this one, whatever else runs on it.

For fixed and adaptive endpointing, the latter without and with the turn model, the table shows: the time from the last
spoken sample (of the clean clip, by Silero alone) to the last final, median and 95th percentile; the clips that gave
more than one segment, and those that gave more than one final, because the turn went on after an early one; words that
are wrong. Most clips are one sentence; spelled names, meetings and some spontaneous ones are not.

Results of engine and turn model are kept in the folder for temporary files, as those of `benchmarks.real_speech`.
"""

import argparse
import hashlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import trio
import trio.testing
from numpy.typing import NDArray

from benchmarks.real_speech import ROOM_RMS, around
from tests.support.conversation import Client, ServerFixture, server_fixture
from tests.support.dictation import at_rate
from tests.support.real_speech import NO_SPEECH, Recording, compare_words, real_recordings
from trio_stt.cli.reference_speech import speech_intervals
from trio_stt.dsp import SAMPLE_RATE_HZ, kernels
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.silero import SileroModel
from trio_stt.dsp.turn_model import TurnModel, packaged_model
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineInfo, Request, Transcript
from trio_stt.models.cache import ModelCache, default_root
from trio_stt.models.turn_models import SMART_TURN
from trio_stt.protocol.events import Event, Final
from trio_stt.protocol.packets import build_packet
from trio_stt.server.lane_plan import engine_configs
from trio_stt.settings import load_settings

Floats = NDArray[np.float32]

BEFORE_S, AFTER_S = 0.8, 1.6  # of room noise, as in `benchmarks.real_speech`
PACKET_S = 0.04


class Kept(msgspec.Struct, array_like=True):
    """A result, and the CPU time that it took, in seconds."""

    key: str
    cpu_s: float
    transcript: Transcript | None = None
    probability: float = 0.0


class KnownResults:
    """Results on disk, by a name and the content of the clip."""

    def __init__(self, name: str) -> None:
        folder = Path(tempfile.gettempdir()) / "trio-stt-end-of-turn"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.jsonl"
        lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        self._known = {kept.key: kept for kept in (msgspec.json.decode(line, type=Kept) for line in lines)}

    def find(self, clip: Floats) -> tuple[str, Kept | None]:
        key = hashlib.sha256(clip.tobytes()).hexdigest()
        return key, self._known.get(key)

    def keep(self, result: Kept) -> Kept:
        self._known[result.key] = result
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")
        return result


class TimedEngine:
    """An engine that tells beforehand how long a batch takes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._results = KnownResults(repr(engine.info))

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def cpu_s(self, batch: Sequence[Floats]) -> float:
        return sum(self._result(clip).cpu_s for clip in batch)

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        return [self._result(request.samples).transcript or Transcript(text="") for request in batch]

    def _result(self, clip: Floats) -> Kept:
        key, known = self._results.find(clip)
        if known is None:
            begun_s = time.thread_time()
            transcript = self._engine.transcribe([Request(samples=clip)])[0]
            known = self._results.keep(Kept(key, time.thread_time() - begun_s, transcript=transcript))
        return known

    def close(self) -> None:
        """Go on: each server of this benchmark uses the same engine."""


class TimedTurnJudge:
    """A turn model that works on the virtual clock."""

    def __init__(self, path: Path) -> None:
        self._model = TurnModel(path)
        self._results = KnownResults(path.name)

    async def probability(self, clip: Floats, *, patient: bool) -> float:  # noqa: ARG002 - as the server's
        key, known = self._results.find(clip)
        if known is None:
            begun_s = time.thread_time()
            probability = self._model.probability(clip)
            known = self._results.keep(Kept(key, time.thread_time() - begun_s, probability=probability))
        await trio.sleep(known.cpu_s)
        return known.probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What became of one clip.

    Attributes:
        delay_s: Seconds from the last spoken sample to the last final; None without a final.
        segments: Segments with a final.
        finals: Final events.
        spoken: Words of the reference.
        wrong: Words that are wrong in the last finals of all segments.
    """

    delay_s: float | None
    segments: int
    finals: int
    spoken: int
    wrong: int


def clip_of(recording: Recording, silero: SileroModel) -> tuple[NDArray[np.int16], float] | None:
    """The clip in a quiet room, int16 at 16 kHz, shape (n,), and where its last word ends, in seconds."""
    samples, rate_hz = recording.read()
    mono = at_rate(samples.mean(axis=1).astype(np.int16), rate_hz, SAMPLE_RATE_HZ)
    speech = speech_intervals(silero, kernels.to_float32(mono))
    if not speech:
        return None
    room = around(ROOM_RMS)(mono[:, np.newaxis], SAMPLE_RATE_HZ)[:, 0]
    return np.ascontiguousarray(room), BEFORE_S + speech[-1][1]


async def say(server: ServerFixture, clip: NDArray[np.int16], last_word_s: float, words: str) -> Turn:
    """Send a clip to a session of its own in real time."""
    client = await server.connect(partials=False)
    finals: list[tuple[float, Final]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Final):
            finals.append((trio.current_time(), event))

    client.on_event = on_event
    client.command("start")
    begun_s = trio.current_time()
    await send(client, clip, begun_s)
    client.command("stop")
    await client.settled()
    client.leave()
    texts = {final.segment_id: final.text for _, final in finals}
    compared = compare_words(words, " ".join(texts.values()))
    return Turn(
        delay_s=finals[-1][0] - begun_s - last_word_s if finals else None,
        segments=len(texts),
        finals=len(finals),
        spoken=compared.spoken,
        wrong=compared.wrong,
    )


async def send(client: Client, clip: NDArray[np.int16], begun_s: float) -> None:
    """Send packets, each when its last sample is spoken."""
    step = round(PACKET_S * SAMPLE_RATE_HZ)
    for start in range(0, clip.size, step):
        packet = clip[start : start + step]
        await trio.sleep_until(begun_s + (start + packet.size) / SAMPLE_RATE_HZ)
        client.raw(build_packet(packet.astype("<i2").tobytes(), rate_hz=SAMPLE_RATE_HZ))


async def measure(
    recordings: Sequence[Recording], silero: SileroModel, engine: TimedEngine, judge: TimedTurnJudge | None, mode: str
) -> dict[str, list[Turn]]:
    """Run all recordings with one way of endpointing; results by kind."""
    turns: dict[str, list[Turn]] = defaultdict(list)
    async with server_fixture(
        load=lambda: engine,
        inference_s=engine.cpu_s,
        detector=lambda: SpeechDetector(silero, energy_threshold=None, webrtc_mode=None),  # type: ignore[arg-type,return-value] # the fixture's own is one of loudness
        turn_judge=judge,
        endpointing=mode,
    ) as server:
        for recording in recordings:
            if (found := clip_of(recording, silero)) is not None:
                turns[recording.kind].append(await say(server, *found, recording.words))
    return turns


def show(ways: dict[str, dict[str, list[Turn]]]) -> None:
    """Print the table."""
    print(
        f"{'kind':<18}{'endpointing':<24}{'clips':>6}{'p50':>8}{'p95':>8}"
        f"{'2 segments':>12}{'2 finals':>10}{'silent':>8}{'wrong':>8}"
    )
    kinds = list(next(iter(ways.values())))
    for kind in [*kinds, "all"]:
        for way, turns in ways.items():
            rows = [turn for each in kinds for turn in turns[each]] if kind == "all" else turns[kind]
            delays = [turn.delay_s for turn in rows if turn.delay_s is not None]
            p50, p95 = np.percentile(delays, (50, 95)) if delays else (0.0, 0.0)
            wrong = sum(turn.wrong for turn in rows) / max(1, sum(turn.spoken for turn in rows))
            shown = kind if way == next(iter(ways)) else ""
            print(
                f"{shown:<18}{way:<24}{len(rows):>6}{p50 * 1000:>8.0f}{p95 * 1000:>8.0f}"
                f"{sum(turn.segments > 1 for turn in rows):>12}{sum(turn.finals > 1 for turn in rows):>10}"
                f"{sum(turn.delay_s is None for turn in rows):>8}{wrong:>8.1%}"
            )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=int, choices=(0, 1), help="only the recordings of one half")
    parser.add_argument("--kind", action="append", default=[], help="only recordings of this kind; may be repeated")
    parser.add_argument("--turn-model", type=Path, metavar="FILE", help="Smart Turn; without it, the installed one")
    parser.add_argument("--fixed", action="store_true", help="only fixed endpointing")
    arguments = parser.parse_args()
    kernels.warm_up()
    recordings = [
        each
        for each in real_recordings()
        if each.kind != NO_SPEECH
        and arguments.half in (None, each.half)
        and (not arguments.kind or each.kind in arguments.kind)
    ]
    final_config, _ = engine_configs(load_settings({}))
    engine, silero = TimedEngine(registry.load(final_config)), SileroModel()
    path = arguments.turn_model or packaged_model() or ModelCache(default_root()).find(SMART_TURN)
    ways: dict[str, tuple[str, TimedTurnJudge | None]] = {"fixed": ("fixed", None)}
    if not arguments.fixed:
        ways["adaptive, text"] = ("adaptive", None)
        if path is not None:
            ways["adaptive, text and sound"] = ("adaptive", TimedTurnJudge(path))
    show(
        {
            way: trio.run(
                partial(measure, recordings, silero, engine, judge, mode),
                clock=trio.testing.MockClock(autojump_threshold=0),
            )
            for way, (mode, judge) in ways.items()
        }
    )


if __name__ == "__main__":
    main()
