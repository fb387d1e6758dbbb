"""Audio in a container, found out from its bytes: decoded in front of the translator, which gets plain samples.

A WAV with plain samples is only relieved of its header. All else is decoded by FFmpeg in a thread, one for each such
client; at most `max_sessions` of them. The thread takes what has arrived, gives back its audio, and waits for more.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np
import trio

from trio_stt.api.deepgram.audio import RawDecoder, WavSniffer
from trio_stt.api.deepgram.messages import Control, binary_text, parse_message
from trio_stt.api.deepgram.options import Encoding
from trio_stt.api.deepgram.translator import NO_SAMPLES, ListenTranslator
from trio_stt.api.dialect import Frame, Wire
from trio_stt.errors import CommandError
from trio_stt.sound.decoder import DamagedSound, SoundBlock

_BLOCK_S = 0.5
"""Audio is gathered up to this length, because each block costs a switch from the thread."""
_MAX_DECODE_S = 60.0
"""Seconds after which a decoder that does not answer is left behind: it usually decodes a second in a few ms."""
_THREADS = trio.CapacityLimiter(math.inf)
"""Not Trio's own, whose 40 threads others need; the number of sessions limits these."""
_GONE = (trio.EndOfChannel, trio.ClosedResourceError, trio.BrokenResourceError, trio.RunFinishedError)
"""How the thread learns that its client is gone."""


@asynccontextmanager
async def container_wire(wire: Wire, dialect: ListenTranslator) -> AsyncIterator[Wire]:
    """The wire of a client whose audio is in a container: its binary frames are plain samples."""
    async with trio.open_nursery() as nursery:
        decoding = _ContainerWire(wire, dialect, nursery)
        try:
            yield decoding
        finally:
            decoding.close()
            nursery.cancel_scope.cancel()


class _ContainerWire:
    """See `Wire`."""

    def __init__(self, wire: Wire, dialect: ListenTranslator, nursery: trio.Nursery) -> None:
        self._wire = wire
        self._dialect = dialect
        self._nursery = nursery
        self._sniffer: WavSniffer | None = WavSniffer()
        self._decoder: _ThreadedDecoder | None = None
        self._begun = False  # whether the container's sample rate is known
        self._closing: Frame | None = None  # a frame that ends the stream, until all before is decoded

    async def receive(self) -> Frame:
        """The next frame."""
        while True:
            if self._decoder is not None and (samples := await self._decoded(self._decoder)) is not None:
                return samples
            if self._closing is not None:
                closing, self._closing = self._closing, None
                return closing
            frame = await self._wire.receive()
            if isinstance(frame, bytes):
                text = binary_text(frame)
                if text is None:
                    self._dialect.note_encoded(frame)
                    # A frame without samples counts for the rate limits, too: each costs a switch to the thread.
                    return await self._take(frame) or NO_SAMPLES
                frame = text
            if self._decoder is None or not _closes(frame):
                return frame
            self._closing = frame
            self._decoder.end()

    async def send(self, *frames: Frame) -> None:
        """Send frames."""
        await self._wire.send(*frames)

    def abort(self) -> None:
        """Reset the transport."""
        self._wire.abort()

    def close(self) -> None:
        """Let the thread end."""
        if self._decoder is not None:
            self._decoder.close()

    async def _take(self, data: bytes) -> bytes | None:
        """Take audio; returns what of it is plain samples already."""
        if self._sniffer is not None:
            found = self._sniffer.feed(data)
            if found is None:
                return None
            self._sniffer = None
            plain, data = found
            if plain is not None:
                self._dialect.use_decoder(plain)
            else:
                self._decoder = _ThreadedDecoder()
                self._nursery.start_soon(self._decoder.run)
        if self._decoder is None:
            return data or None
        await self._decoder.feed(data)
        return None

    async def _decoded(self, decoder: "_ThreadedDecoder") -> bytes | None:
        """The next samples of what was fed; None when more is needed."""
        try:
            block = await decoder.next_block()
        except DamagedSound as error:
            self._dialect.fail(str(error))
            return NO_SAMPLES
        if block is None:
            return None
        if not self._begun:
            self._begun = True
            self._dialect.use_decoder(RawDecoder(Encoding.LINEAR16, block.rate_hz))
        return block.samples.astype("<i2").tobytes()


def _closes(text: str) -> bool:
    try:
        return parse_message(text) is Control.CLOSE_STREAM
    except CommandError:
        return False


class _ThreadedDecoder:
    """Decodes one container. After each `feed`, and after `end`, take blocks until there is none."""

    def __init__(self) -> None:
        self._bytes_in, self._bytes_out = trio.open_memory_channel[bytes](1)
        self._blocks_in, self._blocks_out = trio.open_memory_channel[SoundBlock | None](0)
        self._is_busy = False  # has not asked for more since it was fed
        self._has_ended = False
        self._fault = ""
        # Of the thread:
        self._is_first = True
        self._rest = b""
        self._gathered: list[SoundBlock] = []

    async def run(self) -> None:
        """Decode until the end of the stream."""
        with self._blocks_in:
            try:
                # Abandoned, because a decoder in an endless loop could not be ended; all others end with the channels.
                await trio.to_thread.run_sync(self._decode, abandon_on_cancel=True, limiter=_THREADS)
                self._fault = "" if self._has_ended else "more came after its end"
            except DamagedSound as error:
                self._fault = str(error)

    async def feed(self, data: bytes) -> None:
        """Take bytes of the container."""
        self._is_busy = True
        await self._bytes_in.send(data)

    def end(self) -> None:
        """Nothing more will be fed."""
        self._is_busy = self._has_ended = True
        self._bytes_in.close()

    def close(self) -> None:
        """Let the thread end, wherever it is."""
        self._bytes_in.close()
        self._blocks_out.close()

    async def next_block(self) -> SoundBlock | None:
        """The next audio; None when more must be fed, and at the end.

        Raises:
            DamagedSound: The rest cannot be decoded.
        """
        if not self._is_busy:
            return None
        with trio.move_on_after(_MAX_DECODE_S):
            try:
                block = await self._blocks_out.receive()
            except trio.EndOfChannel:
                self._is_busy = False
                if self._fault:
                    raise DamagedSound(self._fault) from None
                return None
            self._is_busy = block is not None
            return block
        raise DamagedSound(f"its decoder does not answer for {_MAX_DECODE_S:g} s")

    # In the thread

    def _decode(self) -> None:
        # Imported here: FFmpeg takes 18 MB, and few servers get compressed sound.
        from trio_stt.sound.live import container_blocks  # noqa: PLC0415

        with suppress(*_GONE):
            length_s = 0.0
            for block in container_blocks(self._read):
                self._gathered.append(block)
                length_s += block.samples.size / block.rate_hz
                if length_s >= _BLOCK_S:
                    self._pass_on()
                    length_s = 0.0
            self._pass_on()

    def _read(self, size_bytes: int) -> bytes:
        if not self._rest:
            self._pass_on()
            with suppress(*_GONE):
                self._rest = trio.from_thread.run(self._next_bytes)
        read, self._rest = self._rest[:size_bytes], self._rest[size_bytes:]
        return read

    def _pass_on(self) -> None:
        if self._gathered:
            samples = np.concatenate([block.samples for block in self._gathered])
            joined = SoundBlock(samples, self._gathered[0].rate_hz)
            self._gathered = []
            trio.from_thread.run(self._blocks_in.send, joined)

    async def _next_bytes(self) -> bytes:
        """Ask for more, except at the start, and wait for it. At the end there is nobody to ask."""
        if not self._is_first and not self._has_ended:
            await self._blocks_in.send(None)
        self._is_first = False
        return await self._bytes_out.receive()
