"""`trio-stt listen` and `transcribe --server` over TLS: certificates are verified, and failures are one line."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from hypercorn.config import Config

from tests.client.test_client import beckett
from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from trio_stt.cli import listen, main
from trio_stt.cli.server_options import ServerOptions

LAST_CENTURY, NEXT_CENTURY = datetime(1999, 1, 1), datetime(2099, 1, 1)  # noqa: DTZ001 - trustme takes naive times


@contextmanager
def microphone(take: Callable[[bytes], object]) -> Iterator[None]:
    for block in [*beckett(), b""]:
        take(block)
    yield


async def test_listen_trusts_the_authority_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority, config = trustme.CA(), Config()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    config.certfile = config.keyfile = str(tmp_path / "server.pem")
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state, config) as port:
        await server_state.lanes.wait_loaded()
        options = ServerOptions(url=f"https://localhost:{port}", ca_file=str(tmp_path / "ca.pem"))
        with trio.fail_after(60):
            await listen._listen(options, None, listen.Output("jsonl"), microphone)
    assert '"type":"final"' in capsys.readouterr().out


@asynccontextmanager
async def tls_port(certificate: trustme.LeafCert | None) -> AsyncIterator[int]:
    """A port of localhost that completes handshakes with this certificate; without one, it speaks no TLS."""

    async def answer(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):  # the client rejects the certificate
            await stream.receive_some()
            await stream.send_all(b"no TLS")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    async with trio.open_nursery() as nursery:
        if certificate is None:
            (plain,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            yield plain.socket.getsockname()[1]
        else:
            certificate.configure_cert(context)
            (secure,) = await nursery.start(partial(trio.serve_ssl_over_tcp, answer, 0, context, host="127.0.0.1"))
            yield secure.transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


AUTHORITY = trustme.CA()
REMEDY = "name the authority that signed it (--ca-file, or ca_file=)"


@pytest.mark.parametrize("command", ["listen", "transcribe"])
@pytest.mark.parametrize(
    ("certificate", "authority", "message"),
    [
        (
            AUTHORITY.issue_cert("localhost"),
            trustme.CA(),
            f"not trusted: unable to get local issuer certificate; {REMEDY}",
        ),
        (AUTHORITY.issue_cert("localhost"), None, f"not trusted: unable to get local issuer certificate; {REMEDY}"),
        (
            AUTHORITY.issue_cert("localhost", not_before=LAST_CENTURY, not_after=datetime(2000, 1, 1)),  # noqa: DTZ001
            AUTHORITY,
            "not trusted: certificate has expired; the server needs a new one (certfile)",
        ),
        (
            AUTHORITY.issue_cert("localhost", not_before=NEXT_CENTURY, not_after=datetime(2100, 1, 1)),  # noqa: DTZ001
            AUTHORITY,
            "not trusted: certificate is not yet valid; the certificate or this machine's clock is wrong",
        ),
        (
            AUTHORITY.issue_cert("stt.example"),
            AUTHORITY,
            "not trusted: Hostname mismatch, certificate is not valid for 'localhost'; use a name that it has",
        ),
        (None, AUTHORITY, "no TLS there: "),
    ],
    ids=["other authority", "system", "expired", "not yet valid", "other name", "no TLS"],
)
async def test_certificate_that_is_not_trusted_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    *,
    command: str,
    certificate: trustme.LeafCert | None,
    authority: trustme.CA | None,
    message: str,
) -> None:
    monkeypatch.setattr("trio_stt.cli.listen._sound_card", lambda _: microphone)
    async with tls_port(certificate) as port:
        url = f"https://localhost:{port}"
        arguments = [command, url]
        if command == "transcribe":
            arguments = [command, str(moonshine_asset("beckett.wav")), "--server", url]
        if authority is not None:
            authority.cert_pem.write_to_path(tmp_path / "ca.pem")
            arguments += ["--ca-file", str(tmp_path / "ca.pem")]
        with trio.fail_after(60):
            assert await trio.to_thread.run_sync(main, arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"trio-stt: cannot connect to {url}: ")
    assert (message in err, err.count("\n")) == (True, 1)
