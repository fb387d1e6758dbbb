"""The Python client against the real server and model, on Trio and asyncio."""

import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
import trio
import trio.testing

from tests.support.client import load_pcm
from tests.support.in_process import serving
from tests.support.keyed_server import rig
from tests.support.real import moonshine_asset
from tests.support.wer import BECKETT, word_error_rate
from trio_stt.cli import main
from trio_stt.cli.listen import Output, _listen
from trio_stt.cli.server_options import ServerOptions
from trio_stt.client import ClientSession, ConnectError, SessionClosed, connect
from trio_stt.protocol.events import Event, Final, Hello, Resumed, Timeline
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings

BLOCK_BYTES = 1280


@asynccontextmanager
async def server(monkeypatch: pytest.MonkeyPatch, **settings: object) -> AsyncIterator[str]:
    server_state = build_server(load_settings(settings))
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        yield f"http://127.0.0.1:{port}"


async def on(backend: str, main: Callable[[], Awaitable[list[Event]]]) -> list[Event]:
    """Run a client in a loop of its own, in another thread than the server."""
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(partial(anyio.run, main, backend=backend))


def beckett() -> list[bytes]:
    samples, _ = load_pcm(moonshine_asset("beckett.wav"))
    pcm = samples.astype("<i2").tobytes()
    return [pcm[start : start + BLOCK_BYTES] for start in range(0, len(pcm), BLOCK_BYTES)]


def text_of(events: list[Event]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Final))


async def spoken(session: ClientSession, blocks: list[bytes]) -> None:
    for block in blocks:
        await session.send(block)


@pytest.mark.parametrize("backend", [pytest.param("trio", marks=pytest.mark.long), "asyncio"])
async def test_session_is_resumed_without_loss(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    async with server(monkeypatch) as url:

        async def main() -> list[Event]:
            async with connect(url) as session:
                blocks, hello = beckett(), await anext(session)  # it has the token to resume with
                await spoken(session, blocks[:60])
                assert session._connection._socket is not None
                await session._connection._socket.abort()
                await spoken(session, blocks[60:])
                await session.finish()
                return [hello, *[event async for event in session]]

        events = await on(backend, main)
    assert isinstance(events[0], Hello)
    assert len([event for event in events if isinstance(event, Resumed)]) == 1
    assert word_error_rate(BECKETT, text_of(events)) <= 0.2
    numbers = [event.seq for event in events if not isinstance(event, Resumed)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_lost_session_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(monkeypatch, resume_grace_s=0) as url, connect(url) as session:
        await spoken(session, [bytes(BLOCK_BYTES)] * 10)
        await session.flush()
        assert session._connection._socket is not None
        await session._connection._socket.abort()
        await spoken(session, beckett())
        await session.finish()
        events = [event async for event in session]
    assert len([event for event in events if isinstance(event, Hello)]) == 2
    assert word_error_rate(BECKETT, text_of(events)) <= 0.2


async def test_words_without_a_final_go_to_the_next_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(monkeypatch, resume_grace_s=0) as url, connect(url) as session:
        await spoken(session, beckett())
        while not isinstance(await anext(session), Timeline):  # the server has heard the first word
            pass
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.finish)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert session._connection._socket is not None
            await session._connection._socket.abort()  # the next session answers the `flush` of `finish`
        events = [event async for event in session]
    assert len([event for event in events if isinstance(event, Hello)]) == 1
    assert word_error_rate(BECKETT, text_of(events)) <= 0.2


async def test_keys_wrong_addresses_and_errors_in_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as keyed:
        async with connect(keyed.own, key=keyed.talk) as session:
            assert isinstance(await anext(session), Hello)
        with pytest.raises(LookupError):  # an error in the block leaves it as it is
            async with connect(keyed.own, key=keyed.talk):
                raise LookupError
        with pytest.raises(SessionClosed) as closed:
            async with connect(keyed.own, key="wrong") as session:
                assert not [event async for event in session if isinstance(event, Hello)]
        assert closed.value.code == 1008
    with pytest.raises(ConnectError, match=r"cannot connect to http://127\.0\.0\.1:1"):
        async with connect("http://127.0.0.1:1"):
            pass
    with pytest.raises(ConnectError, match=r"ftp://example\.org is not the address of a server"):
        async with connect("ftp://example.org"):
            pass


def test_listen_lists_the_microphones(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    devices = [{"name": "Speaker", "max_input_channels": 0}, {"name": "USB microphone", "max_input_channels": 1}]
    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(query_devices=lambda: devices))
    assert main(["listen", "--list-devices"]) == 0
    assert capsys.readouterr().out == "1  USB microphone\n"


def test_listen_without_portaudio_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class WithoutPortAudio(MetaPathFinder):
        def find_spec(self, fullname: str, *_: object) -> None:
            if fullname == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutPortAudio(), *sys.meta_path])
    assert main(["listen"]) == 2
    assert "PortAudio library not found; install it, on Debian and Ubuntu with `apt install libportaudio2`" in (
        capsys.readouterr().err
    )


def test_listen_names_a_file_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("trio_stt.cli.listen._sound_card", lambda _: None)
    assert main(["listen", "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"trio-stt: --output: {tmp_path} cannot be written: Is a directory\n"


def test_listen_reports_audio_that_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output("text")
    for _ in range(100):
        output.note_lost(0.04)
    output.finish()
    assert capsys.readouterr().err == "trio-stt: 4 s of audio are lost: the server did not take them\n"


async def test_listen_prints_finals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def microphone(take: Callable[[bytes], object]) -> Iterator[None]:
        for block in [*beckett(), b""]:
            take(block)
        yield

    async with server(monkeypatch) as url:
        for format_name in ("text", "srt", "jsonl"):
            with trio.fail_after(60):
                await _listen(ServerOptions(url=url), None, Output(format_name), microphone)
            out = capsys.readouterr().out
            assert "better" in out.lower(), format_name
            assert ("-->" in out, out.startswith("{")) == (format_name == "srt", format_name == "jsonl")
        # With a file, nothing goes to standard output.
        with io.StringIO() as file, trio.fail_after(60):
            await _listen(ServerOptions(url=url), None, Output("text", file), microphone)
            assert ("better" in file.getvalue(), capsys.readouterr().out) == (True, "")
