"""`trio-stt listen`: sends the local microphone to a server, and prints what it hears.

It owns the terminal and the signals. `microphone` owns the sound card, `trio_stt.client` the session.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO

import trio

from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.cli.server_options import ServerOptions
from trio_stt.client import ClientSession, ConnectError, SessionClosed, connect
from trio_stt.errors import SettingError
from trio_stt.protocol.events import Error, Event, Final, Realtime, WarningEvent, encode
from trio_stt.protocol.subtitles import as_srt
from trio_stt.protocol.transcript_formats import SpokenSegment, spoken_segment
from trio_stt.runtime.packages import install_hint

RATE_HZ = 16_000
_BLOCK_FRAMES = RATE_HZ // 25
_QUEUED_BLOCKS = 1000
"""Blocks of 40 ms that wait while more than the client keeps cannot be sent."""
_CLEAR_LINE = "\r\033[K"

Microphone = Callable[[Callable[[bytes], object]], AbstractContextManager[object]]
"""Calls what it gets with each block of audio, from any thread, while it is open."""


def listen(
    server: ServerOptions,
    *,
    language: str | None,
    format_name: str,
    device: str | None,
    output_file: str | None = None,
    microphone: Microphone | None = None,
) -> int:
    """Listen until the microphone ends or SIGINT comes; return the exit status.

    Raises:
        SettingError: There is no microphone, the package that reads it is not installed, or the file cannot be written.
        ConnectError: The server cannot be reached.
        SessionClosed: The server closed the session, or it was lost.
    """
    opened = microphone or _sound_card(device)
    with unwrap_errors(ConnectError, SessionClosed, SettingError), _opened_file(output_file) as file:
        trio.run(_listen, server, language, Output(format_name, file), opened)
    return 0


def list_devices() -> int:
    """Print the microphones that `--device` takes; return the exit status.

    Raises:
        SettingError: The package that reads them is not installed.
    """
    for number, device in enumerate(_sounddevice().query_devices()):
        if device["max_input_channels"]:
            print(f"{number}  {device['name']}")
    return 0


def _opened_file(path: str | None) -> AbstractContextManager[TextIO | None]:
    if path is None:
        return nullcontext()
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        raise SettingError(f"--output: {path} cannot be written: {error.strerror or error}") from None


class Output:
    """Prints events: finals to a file or standard output, partials to one line of a terminal that is rewritten."""

    def __init__(self, format_name: str, file: TextIO | None = None) -> None:
        self._file = file
        self._format_name = format_name
        self._rewrites = format_name == "text" and sys.stderr is not None and sys.stderr.isatty()
        self._segments: list[SpokenSegment] = []
        self._lost_s = 0.0

    def show(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, (Error, WarningEvent)):
            print(f"{self._clear()}trio-stt: {event.message}", file=sys.stderr, flush=True)
        elif isinstance(event, (Final, Realtime)) and self._format_name == "jsonl":
            print(encode(event), file=self._file, flush=True)
        elif isinstance(event, Final):
            self._segments.append(spoken_segment("-", event))
            if self._format_name == "text":
                print(self._clear(), end="", file=sys.stderr, flush=True)
                print(event.text, file=self._file, flush=True)
        elif isinstance(event, Realtime) and self._rewrites:
            print(f"{self._clear()}{event.text}", end="", file=sys.stderr, flush=True)

    def note_lost(self, seconds: float) -> None:
        """Count audio that could not be sent; what it amounts to is printed at the end."""
        self._lost_s += seconds

    def finish(self) -> None:
        """Print what is printed at the end."""
        print(self._clear(), end="", file=sys.stderr, flush=True)
        if self._lost_s:
            print(f"trio-stt: {self._lost_s:.0f} s of audio are lost: the server did not take them", file=sys.stderr)
        if self._format_name == "srt":
            print(as_srt(self._segments), end="", file=self._file, flush=True)

    def _clear(self) -> str:
        return _CLEAR_LINE if self._rewrites else ""


async def _listen(server: ServerOptions, language: str | None, output: Output, microphone: Microphone) -> None:
    blocks_in, blocks_out = trio.open_memory_channel[bytes](_QUEUED_BLOCKS)
    token = trio.lowlevel.current_trio_token()

    def take(block: bytes) -> None:
        try:
            blocks_in.send_nowait(block)
        except trio.WouldBlock:  # the server cannot be reached for long, or is too slow
            output.note_lost(len(block) / 2 / RATE_HZ)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # listening has ended

    connection = connect(server.url, key=server.key, rate_hz=RATE_HZ, language=language, ca_file=server.ca_file)
    async with connection as session, trio.open_nursery() as nursery:
        nursery.start_soon(_end_at_signal, blocks_in)
        nursery.start_soon(_send, blocks_out, session)
        with microphone(
            lambda block: token.run_sync_soon(take, block) if block else token.run_sync_soon(blocks_in.close)
        ):
            print("Listening. Ctrl-C ends.", file=sys.stderr, flush=True)
            async for event in session:
                output.show(event)
        nursery.cancel_scope.cancel()
    output.finish()


async def _send(blocks: trio.MemoryReceiveChannel[bytes], session: ClientSession) -> None:
    async for block in blocks:
        await session.send(block)
    await session.finish()


async def _end_at_signal(blocks: trio.MemorySendChannel[bytes]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            blocks.close()


def _sounddevice() -> Any:
    """The package that reads microphones.

    Raises:
        SettingError: It is not installed, or lacks PortAudio, which its wheels for Linux do not have.
    """
    try:
        import sounddevice  # noqa: PLC0415 - an extra, and it opens the sound system
    except ImportError as error:
        raise SettingError(f"listen: cannot use a microphone: {error}; run `{install_hint('mic')}`") from None
    except OSError as error:
        raise SettingError(
            f"listen: cannot use a microphone: {error}; install it, on Debian and Ubuntu with"
            " `apt install libportaudio2`"
        ) from None
    return sounddevice


def _sound_card(device: str | None) -> Microphone:
    """The sound card's microphone.

    Raises:
        SettingError: The package that reads it is not installed, or there is none.
    """
    sounddevice = _sounddevice()

    @contextmanager
    def opened(take: Callable[[bytes], object]) -> Iterator[None]:
        number = int(device) if device and device.isdecimal() else device
        try:
            stream = sounddevice.RawInputStream(
                samplerate=RATE_HZ,
                blocksize=_BLOCK_FRAMES,
                channels=1,
                dtype="int16",
                device=number,
                callback=lambda block, *_: take(bytes(block)),
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise SettingError(f"listen: cannot open the microphone: {error}") from None
        with stream:
            yield

    return opened
