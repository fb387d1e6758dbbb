"""TLS of a real `trio-stt serve`: encrypted sockets, and a certificate that changes while they are open."""

import json
import signal
import ssl
import sys
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.support.raw_socket import TEXT, RawClient, frame
from tests.support.server import RunningServer, ServerFailed, running_server
from trio_stt.cli import main
from trio_stt.cli.serve import _warn_if_public
from trio_stt.cli.tls import ServerConfig
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings

SERVE = ["-m", "trio_stt", "serve", "--port", "{port}", "--certfile", "{cert}", "--keyfile", "{key}"]


def issue(folder: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def connect(port: int, authority: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    stream = trio.SSLStream(tcp, trusting(authority), server_hostname="localhost", https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def command(folder: Path) -> list[str]:
    return [part.replace("{cert}", f"{folder}/cert.pem").replace("{key}", f"{folder}/key.pem") for part in SERVE]


class TlsServer(RunningServer):
    """A server that is ready."""

    async def wait_until_ready(self, within_s: float) -> None:
        with trio.move_on_after(within_s):
            while "trio-stt is ready on https://" not in self.output:
                if self.process.poll() is not None:
                    raise ServerFailed(f"the server ended with status {self.process.returncode}")
                await trio.sleep(0.05)


async def test_sighup_loads_a_new_certificate_and_sessions_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.server.RunningServer", TlsServer)
    old, new = trustme.CA(), trustme.CA()
    issue(tmp_path, old)
    async with running_server(command(tmp_path)) as server, await connect(server.port, old) as stream:
        client = RawClient(stream)
        await client.open(server.port)
        await client.until("ready")
        with pytest.raises(trio.BrokenResourceError):
            await connect(server.port, new)

        (tmp_path / "key.pem").write_text("half a key")
        server.process.send_signal(signal.SIGHUP)
        await server.wait_for_output("the old one stays in use")
        await (await connect(server.port, old)).aclose()

        issue(tmp_path, new)
        server.process.send_signal(signal.SIGHUP)
        await server.wait_for_output("certificate reloaded")
        await (await connect(server.port, new)).aclose()
        with pytest.raises(trio.BrokenResourceError):
            await connect(server.port, old)
        await client.send(frame(TEXT, b'{"type": "ping"}'))
        await client.until("pong")
        assert await server.stop() == 0
        await client.read_to_the_end()
        assert client.close_code == 1001


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--certfile", "a.pem"], "trio-stt: keyfile: is missing"),
        (["--keyfile", "a.pem"], "trio-stt: certfile: is missing"),
        (["--certfile", "/nowhere/a.pem", "--keyfile", "b.pem"], "/nowhere/a.pem and b.pem: No such file"),
    ],
)
def test_unusable_certificate_files_fail_the_start_in_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_stt.cli.serve.start_logging", lambda *_, **__: None)
    assert main(["serve", *flags]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("not a certificate", "{key}", "certfile: {folder}/cert.pem holds no certificate in PEM format"),
        ("", "{key}", "certfile: {folder}/cert.pem holds no certificate in PEM format"),
        ("{key}", "{key}", "certfile: {folder}/cert.pem holds no certificate in PEM format"),
        ("\x00\x01\x02", "{key}", "certfile: {folder}/cert.pem holds no certificate in PEM format"),
        ("{certificate}", "half a key", "keyfile: {folder}/key.pem holds no private key in PEM format"),
        ("{certificate}", "{certificate}", "keyfile: {folder}/key.pem holds no private key in PEM format"),
        ("{cut}", "{key}", "certfile, keyfile: {folder}/cert.pem or {folder}/key.pem is damaged: "),
    ],
)
def test_malformed_certificate_names_the_file(certificate: str, key: str, message: str, tmp_path: Path) -> None:
    issue(tmp_path, trustme.CA())
    good = {"certificate": (tmp_path / "cert.pem").read_text(), "key": (tmp_path / "key.pem").read_text()}
    good["cut"] = good["certificate"][:200] + "\n-----END CERTIFICATE-----\n"
    (tmp_path / "cert.pem").write_text(certificate.format(**good))
    (tmp_path / "key.pem").write_text(key.format(**good))
    settings = load_settings({"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")})
    with pytest.raises(SettingError) as raised:
        ServerConfig().use_certificate(settings)
    assert str(raised.value).startswith(message.format(folder=tmp_path))
    assert "\n" not in str(raised.value)


def test_wrong_or_encrypted_private_key_is_rejected(tmp_path: Path) -> None:
    authority = trustme.CA()
    issue(tmp_path, authority)
    settings = load_settings({"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")})
    config = ServerConfig()
    config.use_certificate(settings)
    context = config.create_ssl_context()
    assert context is not None
    authority.issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "key.pem")
    with pytest.raises(SettingError, match=r"^certfile, keyfile: .*mismatch"):
        config.reload_certificate()
    (tmp_path / "key.pem").write_text(_encrypted_key())
    with pytest.raises(SettingError, match="without a password"):
        config.reload_certificate()


def _encrypted_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()


@pytest.mark.parametrize(("keyed", "encrypted"), [(False, False), (True, False), (False, True), (True, True)])
def test_public_address_without_keys_or_tls_warns(
    keyed: bool, encrypted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(({"keys_file": "k"} if keyed else {}) | ({"certfile": "c"} if encrypted else {}))
    _warn_if_public(["http://0.0.0.0:8010", "http://127.0.0.1:8010"], settings)
    printed = capsys.readouterr().err
    assert ("without a key" in printed) == (not keyed)
    assert ("without encryption" in printed) == (not encrypted)
    assert printed.count("Warning") == (0 if keyed and encrypted else 1)
    assert "127.0.0.1" not in printed


def test_loopback_addresses_do_not_warn(capsys: pytest.CaptureFixture[str]) -> None:
    _warn_if_public(["http://127.0.0.1:8010", "http://[::1]:8010"], load_settings({}))
    assert capsys.readouterr().err == ""


async def test_requests_with_and_without_a_key_log_no_secret(tmp_path: Path) -> None:
    """As an operator does it: create a key, start the server, connect with and without it."""
    path = tmp_path / "keys"
    made = await trio.run_process(
        [sys.executable, "-m", "trio_stt", "keys", "create", "--scope", "talk", "--keys-file", str(path)],
        capture_stdout=True,
        capture_stderr=True,
    )
    key = made.stdout.decode().strip()
    args = ["-m", "trio_stt", "serve", "--port", "{port}", "--keys-file", str(path), "--log-level", "DEBUG"]
    async with running_server(args) as server:
        ways = [
            ("/ws/transcribe", {"Authorization": f"Bearer {key}"}, None, "hello"),
            ("/ws/transcribe", {"Sec-WebSocket-Protocol": f"trio-stt, trio-stt.key.{key}"}, None, "hello"),
            ("/ws/transcribe", {}, json.dumps({"type": "auth", "key": key}), "hello"),
            ("/ws/transcribe", {}, json.dumps({"type": "auth", "key": key[:-1]}), "error"),
            ("/ws/transcribe", {}, json.dumps({"type": "login", "key": key}), "error"),
            ("/ws/transcribe", {"Authorization": f"Bearer {key}x"}, None, "error"),
            (f"/ws/transcribe?key={key}", {}, None, "error"),
            (f"/ws/{key}", {"Authorization": f"Bearer {key}"}, None, None),
        ]
        for target, headers, message, outcome in ways:
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                client = RawClient(stream)
                await client.open(server.port, target, headers)
                if message:
                    await client.send(frame(TEXT, message.encode()))
                if outcome:
                    await client.until(outcome)
                    await client.send(frame(TEXT, json.dumps({"type": key, "key": key}).encode()))
        await server.wait_for_output("rejected a request")
        assert await server.stop() == 0
        secret = key.rpartition("_")[2]
        for part in (key, secret, secret[:12], secret[-12:]):
            assert part not in server.output
        assert path.read_text().split(":")[4] not in server.output
