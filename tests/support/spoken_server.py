"""`trio-stt serve` with an engine that answers at once with a text that names the length of the clip.

    python -m tests.support.spoken_server [flags of trio-stt serve]

For tests of what happens around recognition, with servers of several processes.
"""

import sys
from collections.abc import Sequence

from trio_stt.cli import main
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Request, Transcript


class SpokenEngine:
    """Answers at once."""

    info = EngineInfo(engine="spoken", model="none", device="cpu")

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        return [Transcript(text=f"spoken for {len(request.samples) / 16_000:.1f} seconds") for request in batch]

    def close(self) -> None:
        """Nothing to free."""


def load_spoken(config: EngineConfig) -> SpokenEngine:  # noqa: ARG001 - the signature of the registry
    return SpokenEngine()


if __name__ == "__main__":
    registry.load = load_spoken
    sys.exit(main(["serve", *sys.argv[1:]]))
