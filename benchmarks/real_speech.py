"""Recognised words of real people, by kind of recording: the product beside its engine alone on each whole clip.

    TRIO_STT_TEST_SPEECH=… python -m benchmarks.real_speech
    TRIO_STT_TEST_SPEECH=… python -m benchmarks.real_speech --half 1 --around room --details
    TRIO_STT_TEST_SPEECH=… python -m benchmarks.real_speech --change far

The product is the session of `trio-stt transcribe`, faster than real time. For each kind, the table shows word error
rates (Whisper's normaliser), clips in which the product recognised no word although the engine alone has half of the
words right, clips whose first and last word are right (engine alone, product), and words recognised in 10 min without
speech.

`--change` gives both the same recordings as they would be from far away, whispered, very soft and so on.

Results of the engine are kept in the folder for temporary files by the content of the clip, so that a second run costs
only what has changed. `--setting name=value` may be repeated.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from tests.support.changed_speech import CHANGES
from tests.support.dictation import real_server_state
from tests.support.real_speech import NO_SPEECH, Comparison, Padding, compare, real_recordings, total
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, EngineInfo, Request, Transcript
from trio_stt.server.lane_plan import engine_configs
from trio_stt.settings import load_settings

ROOM_RMS = 30.0
"""Level of the room noise around clips, int16 units: -61 dBFS, a quiet office."""
BEFORE_S, AFTER_S = 0.8, 1.6


class KnownTexts:
    """An engine whose results are kept on disk. It closes the engine behind it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        name = hashlib.sha256(repr(engine.info).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{engine.info.engine}-{name}.jsonl"
        lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        self._known = dict(msgspec.json.decode(line, type=tuple[str, Transcript]) for line in lines)

    @property
    def info(self) -> EngineInfo:
        """As the engine's."""
        return self._engine.info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """As the engine does, or did."""
        return [self._transcribe(request) for request in batch]

    def _transcribe(self, request: Request) -> Transcript:
        key = hashlib.sha256(request.samples.tobytes() + repr(request.hints).encode()).hexdigest()
        if key not in self._known:
            self._known[key] = self._engine.transcribe([request])[0]
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode((key, self._known[key])) + b"\n")
        return self._known[key]

    def close(self) -> None:
        """Free the model."""
        self._engine.close()


def around(noise_rms: float) -> Padding:
    """Some silence with noise before and after a clip."""

    def pad(samples: NDArray[np.int16], rate_hz: int) -> NDArray[np.int16]:
        before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
        padded = np.pad(samples, ((before, after), (0, 0)))
        noise = np.random.default_rng(0).normal(scale=noise_rms, size=padded.shape)
        return np.clip(np.rint(padded + noise), -32768, 32767).astype(np.int16)

    return pad


AROUND: dict[str, Padding] = {
    "nothing": lambda samples, _: samples,
    "zeros": around(0.0),
    "room": around(ROOM_RMS),
}


def show(compared: Sequence[Comparison]) -> None:
    """Print the table."""
    print(
        f"{'kind':<18}{'clips':>6}{'words':>7}{'engine':>8}{'product':>9}{'silent':>8}"
        f"{'first word':>13}{'last word':>12}{'words in 10 min':>17}"
    )
    kinds = dict.fromkeys(each.recording.kind for each in compared)
    rows = {kind: [each for each in compared if each.recording.kind == kind] for kind in kinds}
    rows["all speech"] = [each for each in compared if each.recording.kind != NO_SPEECH]
    for kind, members in rows.items():
        sums = total(members)
        if kind == NO_SPEECH:
            per_10_min = sums.recognised / max(sums.duration_s, 1e-9) * 600
            print(f"{kind:<18}{sums.clips:>6}{sums.recognised:>7}{'':>50}{per_10_min:>17.1f}")
            continue
        print(
            f"{kind:<18}{sums.clips:>6}{sums.spoken:>7}{sums.engine_wer:>8.1%}{sums.product_wer:>9.1%}{sums.deaf:>8}"
            f"{f'{sums.engine_first} {sums.product_first}':>13}{f'{sums.engine_last} {sums.product_last}':>12}"
        )


def show_details(compared: Sequence[Comparison]) -> None:
    """Print the recordings on which the product is worse than the engine alone, and words without speech."""
    for each in compared:
        if each.product.wrong > each.engine.wrong:
            print(
                f"{each.recording.kind:<12}{each.product.wrong:>3} wrong, alone {each.engine.wrong:>3}"
                f"  {each.recording.path.name}: {each.recording.words!r}\n"
                f"{'':>26}{each.product_text!r}\n{'':>26}{each.engine_text!r}"
            )


async def measure(arguments: argparse.Namespace) -> list[Comparison]:
    """Run all recordings that were asked for."""
    settings = dict(item.split("=", 1) for item in arguments.setting)
    recordings = [
        each
        for each in real_recordings()
        if arguments.half in (None, each.half) and (not arguments.kind or each.kind in arguments.kind)
    ]
    folder = Path(tempfile.gettempdir()) / "trio-stt-real-speech"
    load = registry.load

    def load_known(config: EngineConfig) -> Engine:
        return KnownTexts(load(config), folder)

    registry.load = load_known
    final_config, _ = engine_configs(load_settings(settings))
    alone = load_known(final_config)
    async with real_server_state(use_main_model_for_realtime=True, **settings) as server_state:
        return await compare(server_state, alone, recordings, AROUND[arguments.around], CHANGES.get(arguments.change))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=int, choices=(0, 1), help="only the recordings of one half")
    parser.add_argument("--kind", action="append", default=[], help="only recordings of this kind; may be repeated")
    parser.add_argument("--around", choices=tuple(AROUND), default="nothing", help="what is around each clip")
    parser.add_argument("--change", choices=tuple(CHANGES), help="what is done to each clip")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--details", action="store_true", help="also list where the product is worse")
    arguments = parser.parse_args()
    compared = trio.run(measure, arguments)
    if arguments.details:
        show_details(compared)
    show(compared)


if __name__ == "__main__":
    main()
