"""The wire of clients whose audio is in a container."""

import trio

from tests.api.deepgram.test_translator import translator
from trio_stt.api.deepgram.container import container_wire
from trio_stt.api.deepgram.translator import NO_SAMPLES
from trio_stt.api.dialect import Frame


class OneFrame:
    """A wire on which the same frame comes again and again."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def receive(self) -> Frame:
        await trio.lowlevel.checkpoint()
        return self._frame

    async def send(self, *frames: Frame) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


async def test_frames_without_samples_count_for_the_rate_limits() -> None:
    """Otherwise a client could send them as fast as the decoder's thread takes them."""
    dialect = translator()
    with trio.fail_after(5):
        async with container_wire(OneFrame(b"\x1a"), dialect) as wire:
            for _ in range(10):
                frame = await wire.receive()
                assert frame is NO_SAMPLES
                step = dialect.receive(frame)
                assert (step.is_audio, step.to_session) == (True, ())
