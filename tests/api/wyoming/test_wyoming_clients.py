"""Home Assistant's own client of Wyoming, unmodified, against a real server; and its discovery."""

import asyncio
import socket
import uuid
import wave
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import trio
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import wav_to_chunks
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from zeroconf import DNSIncoming, DNSOutgoing, DNSQuestion, DNSService
from zeroconf.const import _CLASS_IN, _FLAGS_QR_QUERY, _TYPE_PTR

from tests.api.conftest import ClientServer
from tests.support.client import connected, load_pcm
from tests.support.real import moonshine_asset, shared_sentences
from tests.support.wer import word_error_rate

T = TypeVar("T")
SERVICE = "_wyoming._tcp.local."


def talk(server: ClientServer, dialogue: Callable[[AsyncTcpClient], Coroutine[Any, Any, T]]) -> T:
    """What a dialogue of the client returns."""

    async def main() -> T:
        async with AsyncTcpClient("127.0.0.1", server.wyoming_port, connect_timeout=5, read_timeout=60) as client:
            return await dialogue(client)

    return asyncio.run(main())


async def transcribe(client: AsyncTcpClient, path: Path) -> list[Event]:
    """The events from the request to the end of the streamed transcript."""
    await client.write_event(Transcribe(language="en").event())
    with wave.open(str(path)) as sound:
        for event in wav_to_chunks(sound, samples_per_chunk=1024, start_event=True, stop_event=True):
            await client.write_event(event.event())
    events = [await read(client)]
    while not TranscriptStop.is_type(events[-1].type):
        events.append(await read(client))
    return events


async def read(client: AsyncTcpClient) -> Event:
    event = await client.read_event()
    assert event is not None
    return event


def test_describe_and_ping(client_server: ClientServer) -> None:
    async def dialogue(client: AsyncTcpClient) -> tuple[Event, Event]:
        await client.write_event(Describe().event())
        await client.write_event(Ping(text="x").event())
        return await read(client), await read(client)

    described, answered = talk(client_server, dialogue)
    (program,) = Info.from_event(described).asr
    assert (program.name, program.models[0].languages) == ("trio-stt", ["en"])
    assert Pong.from_event(answered).text == "x"


async def test_transcript_has_the_words_of_the_native_protocol(client_server: ClientServer) -> None:
    path = moonshine_asset("beckett.wav")
    events = await trio.to_thread.run_sync(talk, client_server, lambda client: transcribe(client, path))
    start, *chunks, transcript, _stop = events
    assert TranscriptStart.from_event(start).language == "en"
    text = Transcript.from_event(transcript).text
    assert len(chunks) > 1
    assert "".join(TranscriptChunk.from_event(chunk).text for chunk in chunks) == text
    async with connected(client_server.running) as client:
        await client.until("ready")
        await client.command("start")
        await client.stream(*load_pcm(path), speed=10.0)
        await client.command("stop")
        await client.until_all_final()
    assert text == client.text


def test_several_commands_over_one_connection(client_server: ClientServer) -> None:
    sentences = shared_sentences()[:2]

    async def dialogue(client: AsyncTcpClient) -> list[list[Event]]:
        return [await transcribe(client, path) for path, _ in sentences]

    for events, (_, words) in zip(talk(client_server, dialogue), sentences, strict=True):
        assert word_error_rate(words, Transcript.from_event(events[-2]).text) < 0.2


def test_port_is_announced_in_the_network(client_server: ClientServer) -> None:
    # Asked from another port than 5353, which two programs on one machine share, so that the answer comes here.
    query = DNSOutgoing(_FLAGS_QR_QUERY, multicast=False)
    query.add_question(DNSQuestion(SERVICE, _TYPE_PTR, _CLASS_IN))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(10)
        asking.sendto(query.packets()[0], ("127.0.0.1", 5353))
        answer = DNSIncoming(asking.recv(9000))
    (service,) = [record for record in answer.answers() if isinstance(record, DNSService)]
    assert (service.name, service.port) == (f"{uuid.getnode():012x}.{SERVICE}", client_server.wyoming_port)
