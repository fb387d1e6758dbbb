"""Feeds arbitrary bytes to the packet parser and the command decoder, which must accept or reject them.

    uv run --group test --with atheris python -m tests.fuzz.harness [--seconds 300]

atheris (libFuzzer for Python) finds bytes that reach new code; `.ci/run --long` runs it. What fails is printed, and
kept in a file that libFuzzer writes to the current folder.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from trio_stt.errors import CommandError, PacketError
from trio_stt.protocol.commands import Command, Flush, Resume, Start, parse_command
from trio_stt.protocol.events import Flushed, encode
from trio_stt.protocol.packets import SampleFormat, build_packet, parse_packet

MAX_PCM_BYTES = 4096
_LONGEST_MESSAGE = 400
SEEDS = (
    build_packet(bytes(64), rate_hz=16_000),
    build_packet(bytes(64), rate_hz=48_000, channels=2),
    build_packet(bytes(63), rate_hz=8_000, coding=SampleFormat.MULAW),
    *(json.dumps({"type": kind}).encode() for kind in Command),
    b'{"type":"start","language":"de","prompt":"Ada","interim":false}',
    b'{"type":"flush","id":"one"}',
    b'{"type":"resume","token":"a.b","seq":1}',
)
KEYS = (
    "type",
    "start",
    "language",
    "prompt",
    "interim",
    "flush",
    "resume",
    "token",
    "seq",
    "sampleRate",
    "channels",
    "frames",
    "format",
)
WORDS = (*KEYS, *SampleFormat, "null")


def check_input(data: bytes) -> None:
    """Pass the bytes to both. An error that they do not declare propagates."""
    try:
        packet = parse_packet(data, max_payload_bytes=MAX_PCM_BYTES)
    except PacketError as error:
        _check_message(str(error))
    else:
        assert len(packet.payload) % (packet.format.sample_bytes * packet.channels) == 0
        again = parse_packet(
            build_packet(bytes(packet.payload), rate_hz=packet.rate_hz, channels=packet.channels, coding=packet.format),
            max_payload_bytes=MAX_PCM_BYTES,
        )
        assert again == packet
    try:
        command = parse_command(data.decode(errors="surrogatepass" if len(data) % 2 else "replace"))
    except CommandError as error:
        _check_message(str(error))
    except UnicodeDecodeError:
        pass  # no text frame has such bytes
    else:
        assert isinstance(command, Command | Start | Flush | Resume)
        if isinstance(command, Flush):
            encode(Flushed(session_id="", id=command.id))


def _check_message(message: str) -> None:
    """An error for a client is one short line that can be encoded."""
    assert message
    assert len(message.splitlines()) == 1, message
    assert len(message) <= _LONGEST_MESSAGE
    message.encode()


def main() -> None:
    """Fuzz for the given time; the exit status is not 0 after a failure."""
    import atheris  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - installed for the long run alone

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    options = parser.parse_args()
    # Compiled code parses JSON, and libFuzzer cannot see into it. Valid messages as a start get it past the parser.
    with tempfile.TemporaryDirectory() as corpus, tempfile.NamedTemporaryFile("w") as words:
        for number, seed in enumerate(SEEDS):
            Path(corpus, str(number)).write_bytes(seed)
        words.writelines(json.dumps(word) + "\n" for word in WORDS)
        words.flush()
        limits = [f"-max_total_time={options.seconds}", "-max_len=8192", "-timeout=10", f"-dict={words.name}"]
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *limits, corpus], check_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
