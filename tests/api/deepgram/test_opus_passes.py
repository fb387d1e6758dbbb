"""Raw Opus packets of a Deepgram client are decoded one at a time, so that other clients have turns in between."""

import av
import numpy as np
import pytest
import trio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.raw_socket import BINARY, frame, handshake, raw_client
from trio_stt.sound.decoder import OPUS_RATE_HZ
from trio_stt.sound.live import OpusPackets

PACKETS = 500


def opus_packet() -> bytes:
    """20 ms of a tone."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = OPUS_RATE_HZ, "mono", "s16"  # type: ignore[attr-defined]
    tone = (np.sin(np.arange(960) / 20) * 8000).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(tone[None, :], "s16", "mono")
    sound.sample_rate = OPUS_RATE_HZ
    return bytes(encoder.encode(sound)[0])  # type: ignore[attr-defined]


class Passes(trio.abc.Instrument):
    """Counts the passes of Trio's scheduler."""

    number = 0

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - Trio's interface
        self.number += 1


async def test_each_packet_has_a_pass_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, decoded_in = Passes(), []
    decode = OpusPackets.decode

    def counted(self: OpusPackets, packet: bytes) -> object:
        decoded_in.append(passes.number)
        return decode(self, packet)

    monkeypatch.setattr(OpusPackets, "decode", counted)
    server_state = composed(monkeypatch, FakeEngine(), max_audio_speed=0)
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        trio.lowlevel.add_instrument(passes)
        try:
            async with raw_client(port) as client:
                await client.send(handshake(port, "/v1/listen?encoding=opus&sample_rate=48000"))
                await client.stream.receive_some()
                await client.send(frame(BINARY, opus_packet()) * PACKETS)
                with trio.fail_after(60):
                    while len(decoded_in) < PACKETS:  # noqa: ASYNC110 - of another task
                        await trio.sleep(0.01)
        finally:
            trio.lowlevel.remove_instrument(passes)
    assert len(set(decoded_in)) == PACKETS
