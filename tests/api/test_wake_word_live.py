"""A server with a wake word, started from the command line, gets speech over a real socket."""

from itertools import pairwise

import numpy as np

from tests.support.client import connected
from tests.support.espeak import room, say
from tests.support.server import running_server
from trio_stt.dsp import SAMPLE_RATE_HZ

FLAGS = ["--wakeword-backend", "openwakeword", "--wake-words", "hey jarvis"]
# A status also says that partials are degraded, which depends on the load of the machine.
UNDEGRADED = ["--realtime-degradation-threshold-ms", "60000"]
WINDOWS = ["--wake-word-timeout", "5", "--wake-word-followup-window", "5"]

WAIT = ["timeline wakeword_wait_started", "status wakeword_wait"]
DETECTED = ["timeline wakeword_detected", "status wakeword_detected", "timeline wakeword_wait_ended"]
RECORDING = ["status voice", "timeline recording_started", "status recording"]
ENDED = ["status silence", "timeline recording_ended", "status wakeword_detected"]
FOLLOWUP = ["timeline wakeword_followup_started", "status wakeword_detected"]


async def test_spoken_wake_word_goes_through_every_state() -> None:
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
    args = ["-m", "trio_stt", "serve", "--port", "{port}", *FLAGS, *WINDOWS, *UNDEGRADED]
    async with running_server(args) as server, connected(server) as client:
        await client.until("ready")
        await client.command("start")
        await client.stream(talk, SAMPLE_RATE_HZ, speed=10.0)
        await client.command("stop")
        await client.until_all_final()

        first, second = (event["text"].lower() for event in client.of("final"))
        assert first.startswith("turn on")
        assert "jarvis" not in first
        assert second.startswith("open the window")
        shown_events = [name for name in client.event_names if "transcri" not in name and name not in LEFT_OUT]
        assert [name for name, following in pairwise([*shown_events, ""]) if name != following] == [
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
