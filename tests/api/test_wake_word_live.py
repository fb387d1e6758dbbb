"""A server with a wake word gets speech over a real socket."""

from collections.abc import Iterable

import numpy as np
import pytest

from tests.support.client import connected
from tests.support.espeak import room, say
from tests.support.in_process import serving
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings

SETTINGS = {
    "wakeword_backend": "openwakeword",
    "wake_words": "hey jarvis",
    "wake_word_timeout": 5,
    "wake_word_followup_window": 5,
    # A status also says that partials are degraded, which depends on the load of the machine.
    "realtime_degradation_threshold_ms": 60_000,
}

WAIT = ["timeline wakeword_wait_started", "status wakeword_wait"]
DETECTED = ["timeline wakeword_detected", "status wakeword_detected", "timeline wakeword_wait_ended"]
RECORDING = ["status voice", "timeline recording_started", "status recording"]
ENDED = ["status silence", "timeline recording_ended", "status wakeword_detected"]
FOLLOWUP = ["timeline wakeword_followup_started", "status wakeword_detected"]


async def test_spoken_wake_word_goes_through_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech before the wake word is ignored; then the command, a follow-up without the word, and both timeouts."""
    talk = np.concatenate(
        [
            room(1.0),
            say("I would like a cup of tea."),
            room(2.0),
            say("hey jarvis."),
            room(1.0),
            say("turn on the kitchen light."),
            room(2.0),
            say("open the window please."),
            room(6.5),
            say("nobody listens to this sentence."),
            room(2.0),
            say("hey jarvis."),
            room(6.5),
        ]
    )
    async with serving(monkeypatch, build_server(load_settings(SETTINGS))) as port, connected(port) as client:
        await client.until("ready")
        await client.command("start")
        await client.stream(talk, SAMPLE_RATE_HZ, speed=10.0)
        await client.command("stop")
        await client.until_all_final()

        first, second = (event["text"].lower() for event in client.of("final"))
        assert first.startswith("turn on")
        assert "jarvis" not in first
        assert second.startswith("open the window")
        assert without_repeated_status(name for name in client.event_names if name not in LEFT_OUT) == [
            *WAIT,
            *DETECTED,
            *RECORDING,
            *ENDED,
            *FOLLOWUP,
            *RECORDING,
            *ENDED,
            *FOLLOWUP,
            "timeline wakeword_followup_timeout",
            *WAIT,
            *DETECTED,
            "timeline wakeword_timeout",
            "status wakeword_timeout",
            *WAIT,
            "timeline wakeword_wait_ended",
            "status idle",
        ]


LEFT_OUT = ("hello", "ready", "realtime", "final", "heartbeat")


def without_repeated_status(names: Iterable[str]) -> list[str]:
    """The events but those of transcription, and without the status that returns after a text, whenever that comes."""
    kept, status, returns = [""], "", False
    for name in names:
        if "transcri" in name:
            returns = True
        elif name != kept[-1] and not (returns and name == status):
            kept.append(name)
        if name.startswith("status ") and "transcri" not in name:
            status, returns = name, False
    return kept[1:]
