"""Dictates a sound file to Pipecat's service of OpenAI Realtime, in an environment of its own; prints its frames."""

import asyncio
import json
import sys
import wave

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.tests.utils import SleepFrame, run_test

_FRAMES_PER_S = 50


async def main(url: str, path: str, detection: str) -> None:
    with wave.open(path) as file:
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    step = rate_hz // _FRAMES_PER_S * 2
    options = {"turn_detection": {"type": "server_vad"}} if detection == "server" else {}
    service = OpenAIRealtimeSTTService(api_key="none", base_url=url, **options)

    def audio(data: bytes) -> list[Frame]:
        packets = [data[start : start + step] for start in range(0, len(data), step)]
        pause = 1 / _FRAMES_PER_S
        return [
            frame for packet in packets for frame in (InputAudioRawFrame(packet, rate_hz, 1), SleepFrame(sleep=pause))
        ]

    begin, end = (
        ([], []) if detection == "server" else ([VADUserStartedSpeakingFrame()], [VADUserStoppedSpeakingFrame()])
    )
    frames = [SleepFrame(sleep=1.0), *begin, *audio(pcm), *end, *audio(bytes(2 * rate_hz * 2))]
    parameters = PipelineParams(audio_in_sample_rate=rate_hz)
    down, up = await run_test(service, frames_to_send=frames, pipeline_params=parameters, start_timeout=20.0)
    found = [*down, *up]
    result = {
        "partials": [frame.text for frame in found if isinstance(frame, InterimTranscriptionFrame)],
        "finals": [frame.text for frame in found if isinstance(frame, TranscriptionFrame)],
        "errors": [frame.error for frame in found if isinstance(frame, ErrorFrame)],
    }
    sys.stdout.write("\n" + json.dumps(result))


asyncio.run(main(*sys.argv[1:]))
