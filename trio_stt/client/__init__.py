"""A client of this server for Python programs, on anyio: it runs under Trio and asyncio.

    async with connect("http://localhost:8010") as session:
        await session.send(pcm)  # 16-bit mono, as it is recorded
        async for event in session: ...

    async with transcribe("http://localhost:8010", "talk.m4a") as transcription:
        async for segment in transcription: ...

Events are those of `trio_stt.protocol.events`. A broken connection of a session is resumed inside, without loss.
"""

from trio_stt.client.address import ConnectError
from trio_stt.client.resumable_connection import SessionClosed
from trio_stt.client.session import ClientSession, connect
from trio_stt.client.upload import Transcription, UploadRefused, transcribe

__all__ = [
    "ClientSession",
    "ConnectError",
    "SessionClosed",
    "Transcription",
    "UploadRefused",
    "connect",
    "transcribe",
]
