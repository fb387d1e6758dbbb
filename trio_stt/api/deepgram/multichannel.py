"""Live channels that are transcribed on their own, each in a session, over one connection.

The client's frames are read once: each session gets the samples of its channel, and all get the messages. At the end,
one `Metadata` follows the last results of all channels.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import trio

from trio_stt.api.deepgram.audio import RawDecoder
from trio_stt.api.deepgram.messages import binary_text, encode
from trio_stt.api.deepgram.options import Encoding, ListenOptions
from trio_stt.api.deepgram.translator import ListenTranslator
from trio_stt.api.dialect import Close, Frame, Wire
from trio_stt.api.dialect_route import ServeOne
from trio_stt.session.connection import ConnectionClosed

_QUEUED_FRAMES = 4
"""Frames for a channel whose session is behind the others; beyond them, nothing is read from the client."""


def channel_decoder(options: ListenOptions) -> RawDecoder:
    """The decoder of one channel, as the splitter hands it over."""
    has_floats = options.encoding is Encoding.LINEAR32
    return RawDecoder(Encoding.LINEAR16 if has_floats else options.encoding, options.sample_rate_hz)


async def serve_channels(
    wire: Wire, translators: Sequence[ListenTranslator], options: ListenOptions, serve_one: ServeOne
) -> Close | None:
    """Serve the channels of one client; returns how the server closes the connection, None when the client did."""
    splitter = _Splitter(wire, options)
    closings: list[Close] = []

    async def serve(number: int) -> None:
        closing = await serve_one(splitter.wires[number], number)
        if closing is not None:
            closings.append(closing)
        if closing is None or not closing.drains:
            splitter.end()  # the other channels have no client any more

    async with trio.open_nursery() as nursery:
        nursery.start_soon(splitter.run)
        async with trio.open_nursery() as sessions:
            for number in range(options.channels):
                sessions.start_soon(serve, number)
        nursery.cancel_scope.cancel()
    if not closings:
        return None
    metadata = translators[0].closing_metadata(sha256=splitter.sha256, channels=options.channels)
    try:
        await wire.send(encode(metadata))
    except ConnectionClosed:
        return None
    return closings[0]


class _Splitter:
    """Reads the frames of one client for all channels.

    Attributes:
        wires: Of each channel.
    """

    def __init__(self, wire: Wire, options: ListenOptions) -> None:
        self._wire = wire
        self._decoder = RawDecoder(options.encoding, options.sample_rate_hz, options.channels)
        self._hash = hashlib.sha256()
        sending = trio.Lock()  # results of two channels do not mix, although two tasks send
        self.wires = [_ChannelWire(wire, sending) for _ in range(options.channels)]

    @property
    def sha256(self) -> str:
        """Of the audio so far, as the client sent it."""
        return self._hash.hexdigest()

    async def run(self) -> None:
        """Read until the client is gone."""
        try:
            while True:
                frame = await self._wire.receive()
                if isinstance(frame, str) or binary_text(frame) is not None:
                    parts: Sequence[Frame] = [frame] * len(self.wires)
                else:
                    parts = self._split(frame)
                for wire, part in zip(self.wires, parts, strict=False):
                    await wire.put(part)
        except ConnectionClosed:
            self.end()

    def end(self) -> None:
        """End the audio of all channels: the client is gone, or not served any more."""
        for wire in self.wires:
            wire.end()

    def _split(self, data: bytes) -> list[bytes]:
        """The samples of each channel; none where no sample of all channels is complete."""
        self._hash.update(data)
        decoded = self._decoder.decode(data)
        if decoded is None:
            return []
        audio, frames = decoded
        samples = np.frombuffer(audio.data, f"V{audio.format.sample_bytes}").reshape(frames, len(self.wires))
        return [samples[:, number].tobytes() for number in range(len(self.wires))]


class _ChannelWire:
    """The wire of one channel; see `Wire`."""

    def __init__(self, wire: Wire, sending: trio.Lock) -> None:
        self._wire = wire
        self._sending = sending
        self._frames_in, self._frames_out = trio.open_memory_channel[Frame](_QUEUED_FRAMES)

    async def put(self, frame: Frame) -> None:
        """Queue a frame of the client; a channel whose session has ended takes none."""
        try:
            await self._frames_in.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()

    def end(self) -> None:
        """No more frames will come."""
        self._frames_in.close()

    async def receive(self) -> Frame:
        """The next frame."""
        try:
            return await self._frames_out.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed("the client has left, or another of its channels was closed") from None

    async def send(self, *frames: Frame) -> None:
        """Send frames."""
        async with self._sending:
            await self._wire.send(*frames)

    def abort(self) -> None:
        """Reset the transport."""
        self._wire.abort()
