"""Dictates a sound file to the OpenAI plugin of LiveKit, in an environment of its own; prints the result as JSON."""

import asyncio
import json
import sys
import wave

import aiohttp
from livekit import rtc
from livekit.agents import utils
from livekit.plugins import openai

_FRAMES_PER_S = 20
_SERVER_VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 600, "silence_duration_ms": 350}


async def main(url: str, path: str, model: str) -> None:
    with wave.open(path) as file:
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    pcm += bytes(2 * rate_hz * 2)
    step = rate_hz // _FRAMES_PER_S * 2
    # Other models end their turns by commits of the plugin's own speech detector.
    detection = {"turn_detection": _SERVER_VAD} if model.startswith("gpt-4o") else {}
    async with aiohttp.ClientSession() as session:
        utils.http_context.http_session = lambda: session
        stt = openai.STT(base_url=url, api_key="none", model=model, use_realtime=True, language="en", **detection)
        stream = stt.stream()
        events: list[tuple[str, str]] = []

        async def listen() -> None:
            async for event in stream:
                text = event.alternatives[0].text if event.alternatives else ""
                events.append((event.type.value, text))

        listening = asyncio.create_task(listen())
        for start in range(0, len(pcm), step):  # in real time: its speech detector looks at the clock
            data = pcm[start : start + step]
            stream.push_frame(rtc.AudioFrame(data, rate_hz, 1, len(data) // 2))
            await asyncio.sleep(1 / _FRAMES_PER_S)
        await asyncio.sleep(3)
        listening.cancel()
        await stream.aclose()
        await stt.aclose()
    sys.stdout.write(json.dumps({"events": events}))


asyncio.run(main(*sys.argv[1:]))
