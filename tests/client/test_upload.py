"""Files sent to a running server, by `trio_stt.client` and `trio-stt transcribe --server`, with TLS and keys."""

import io
import json
import os
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest
import soundfile
import trio
import trustme
from hypercorn.config import Config

from tests.support.in_process import serving
from tests.support.keyed_server import rig
from tests.support.keys import add_key
from tests.support.real import moonshine_asset
from tests.support.wer import word_error_rate
from trio_stt.access.keys import KeyScope
from trio_stt.cli import main
from trio_stt.client import ConnectError, connect, transcribe
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings


@asynccontextmanager
async def secure_server(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A server with keys and a certificate of an authority of its own; its URL and a key."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    config = Config()
    config.certfile, config.keyfile = str(folder / "cert.pem"), str(folder / "key.pem")
    key = add_key(folder / "keys", KeyScope.TALK)
    server_state = build_server(load_settings({"keys_file": str(folder / "keys"), "allowed_hosts": "localhost"}))
    async with serving(monkeypatch, server_state, config) as port:
        await server_state.lanes.wait_loaded()
        yield f"https://localhost:{port}", key


async def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str, str]:
    """Status and output of a command, in another thread than the server."""
    out, err = io.StringIO(), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        with trio.fail_after(60):
            status = await trio.to_thread.run_sync(main, ["transcribe", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue()


async def test_outputs_over_tls_are_those_of_local_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(moonshine_asset("beckett.wav"), dtype="int16")
    samples = samples[: 4 * rate_hz]
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, samples, rate_hz)
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.stack([samples, np.zeros_like(samples)], axis=1), rate_hz)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nonsense")
    async with secure_server(monkeypatch, tmp_path) as (url, key):
        ask = partial(run, monkeypatch, "--server", url, "--ca-file", tmp_path / "ca.pem", "--key", key)

        status, text, err = await ask(speech)
        assert (status, err) == (0, "")
        assert word_error_rate("Ever tried? Ever failed? No matter. Try again.", text) <= 0.3

        status, out, err = await ask(stereo, "--format", "json", "--channels", "separate", "--language", "en")
        assert (status, err) == (0, "")
        segments = json.loads(out)
        assert {(each["file"], each["channel"]) for each in segments} == {(str(stereo), 1)}
        assert [each["segmentId"] for each in segments] == list(range(1, len(segments) + 1))
        assert " ".join(each["text"] for each in segments) == " ".join(text.split())
        assert (await ask(stereo, "--format", "srt"))[1].startswith("1\n00:00:0")

        # One file of several fails: the others are written.
        status, out, err = await ask(broken, speech, tmp_path / "missing.wav", "-o", f"{tmp_path}/out/")
        assert (status, out) == (1, "")
        assert (tmp_path / "out/speech.txt").read_text() == text
        assert not (tmp_path / "out/broken.txt").exists()
        assert "broken.wav: not a readable sound file" in err.splitlines()[0]
        assert "missing.wav: cannot be opened" in err.splitlines()[1]
        assert (await ask(stereo, "--channels", 3))[2] == (
            f"trio-stt: {stereo}: has 2 channels; there is no channel 3\n"
        )

        # What concerns the server ends the command with one line.
        ask = partial(run, monkeypatch, "--server", url, speech)
        status, _, err = await ask("--key", key)
        assert (status, err.count("\n")) == (1, 1)
        assert "its certificate is not trusted: " in err
        status, _, err = await ask("--ca-file", tmp_path / "ca.pem", "--key", "wrong")
        assert (status, err.count("\n")) == (1, 1)
        assert f"{url} answers with status 401: " in err
        assert "holds no certificate" in (await ask("--ca-file", speech))[2]
        with pytest.raises(ConnectError, match="its certificate is not trusted"):
            async with connect(url, key=key):
                pass
        async with connect(url, key=key, ca_file=tmp_path / "ca.pem") as session:
            await anext(session)
        found = await _segments_on_asyncio(url, speech, key, tmp_path / "ca.pem")
    assert " ".join(segment.text for segment in found) == " ".join(text.split())


async def _segments_on_asyncio(url: str, path: Path, key: str, ca_file: Path) -> list[SpokenSegment]:
    async def transcribed() -> list[SpokenSegment]:
        async with transcribe(url, path, key=key, ca_file=ca_file) as transcription:
            found = [segment async for segment in transcription]
        assert transcription.length_s == pytest.approx(soundfile.info(path).duration, abs=0.01)
        return found

    return await trio.to_thread.run_sync(partial(anyio.run, transcribed, backend="asyncio"))


async def test_full_server_and_silence_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "none"))
        file.writeframes(bytes(32_000))
    async with rig(monkeypatch, tmp_path, keyed=False, max_sessions=1) as server:
        status, out, err = await run(monkeypatch, "--server", server.own, silence)
        assert (status, out, err) == (0, "", f"trio-stt: {silence}: no speech was found\n")
        server.server_state.reserve()
        status, _, err = await run(monkeypatch, "--server", server.own, silence)
        assert (status, err) == (1, f"trio-stt: {silence}: the server is full: max_sessions is 1\n")


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\ndata: {}\n\n", b"HTTP/1.1 502 B\r\n\r\n"]
)
async def test_other_servers_are_reported_in_one_line(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    path = moonshine_asset("beckett.wav")

    async def serve(stream: trio.SocketStream) -> None:
        received = b""
        while not received.endswith(b"--\r\n"):
            received = received[-8:] + await stream.receive_some()
        await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        status, _, err = await run(monkeypatch, "--server", f"http://127.0.0.1:{port}", path)
        nursery.cancel_scope.cancel()
    assert (status, err.count("\n")) == (1, 1)
    assert f"http://127.0.0.1:{port} " in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--server", "http://127.0.0.1:1"], "cannot connect to http://127.0.0.1:1: "),
        (["--server", "ftp://here"], "ftp://here is not the address of a server"),
        (["--server", "here", "--model", "tiny"], "--model: has no effect with --server"),
        (["--key", "k"], "--key: needs --server"),
        (["--server", "here", "--key", "k", "--key-file", os.devnull], "only one of them"),
        (["--server", "here", "--key-file", "/nowhere"], "--key-file: /nowhere cannot be read"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["transcribe", str(moonshine_asset("beckett.wav")), *arguments]) in {1, 2}
    assert message in capsys.readouterr().err
