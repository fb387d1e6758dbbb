"""Dictates a sound file to the Deepgram plugin of LiveKit, in an environment of its own; prints the result as JSON."""

import asyncio
import json
import sys
import wave

import aiohttp
from livekit import rtc
from livekit.plugins import deepgram

_FRAMES_PER_S = 20
_SPEED = 4


async def main(url: str, path: str) -> None:
    with wave.open(path) as file:
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    step = rate_hz // _FRAMES_PER_S * 2
    silence = bytes(2 * rate_hz * 2)

    def frame(data: bytes) -> rtc.AudioFrame:
        return rtc.AudioFrame(data, rate_hz, 1, len(data) // 2)

    async with aiohttp.ClientSession() as session:
        stt = deepgram.STT(api_key="none", base_url=url, http_session=session, sample_rate=rate_hz)
        whole = await stt.recognize(frame(pcm))
        events: list[tuple[str, str]] = []
        stream = stt.stream()

        async def talk(data: bytes) -> None:
            for start in range(0, len(data), step):
                stream.push_frame(frame(data[start : start + step]))
                await asyncio.sleep(1 / _FRAMES_PER_S / _SPEED)

        async def dictate() -> None:
            await talk(pcm + silence)  # ends by silence
            await talk(pcm)
            stream.flush()  # sends Finalize
            await talk(silence)
            stream.end_input()

        talking = asyncio.create_task(dictate())
        async for event in stream:
            text = event.alternatives[0].text if event.alternatives else ""
            events.append((event.type.value, text))
        await talking
        await stream.aclose()
        await stt.aclose()
    sys.stdout.write(json.dumps({"whole": whole.alternatives[0].text, "events": events}))


asyncio.run(main(*sys.argv[1:]))
