"""Dictates a sound file to the Deepgram service of Pipecat, in an environment of its own; prints its frames as JSON."""

import asyncio
import json
import sys
import wave

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.deepgram.stt import DeepgramSTTService

_FRAMES_PER_S = 50
_SPEED = 4


class Collector(FrameProcessor):
    """Collects transcripts."""

    def __init__(self) -> None:
        super().__init__()
        self.partials: list[str] = []
        self.finals: list[tuple[str, bool]] = []
        self.arrived = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.finals.append((frame.text, bool(getattr(frame, "finalized", False))))
            self.arrived.set()
        elif isinstance(frame, InterimTranscriptionFrame):
            self.partials.append(frame.text)
        await self.push_frame(frame, direction)


async def main(url: str, path: str) -> None:
    with wave.open(path) as file:
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    collector = Collector()
    service = DeepgramSTTService(api_key="none", base_url=url, sample_rate=rate_hz)
    task = PipelineTask(
        Pipeline([service, collector]),
        params=PipelineParams(audio_in_sample_rate=rate_hz),
        cancel_on_idle_timeout=False,
    )
    step = rate_hz // _FRAMES_PER_S * 2

    async def dictate() -> None:
        await task.queue_frame(VADUserStartedSpeakingFrame())
        for start in range(0, len(pcm), step):
            await task.queue_frame(InputAudioRawFrame(pcm[start : start + step], rate_hz, 1))
            await asyncio.sleep(1 / _FRAMES_PER_S / _SPEED)
        await task.queue_frame(VADUserStoppedSpeakingFrame())
        await asyncio.wait_for(collector.arrived.wait(), 20)
        await task.queue_frame(EndFrame())

    await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), dictate())
    sys.stdout.write(json.dumps({"partials": collector.partials, "finals": collector.finals}))


asyncio.run(main(*sys.argv[1:]))
