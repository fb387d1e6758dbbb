"""A route can end the connection of a client that does not read: over HTTP/1.1 and HTTP/2, with and without TLS."""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import cast

import h2.config
import h2.connection
import pytest
import trio
import trustme
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.support.in_process import hosting
from tests.support.raw_socket import handshake
from trio_stt.api.websocket_transport import websocket_transport

MEGABYTE = b"x" * 2**20


class EndlessSender:
    """An app that sends until the connection breaks, and then sets `ended`."""

    def __init__(self) -> None:
        self.sending = trio.Event()
        self.abort = trio.Event()
        self.ended = trio.Event()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        transport = websocket_transport(cast("dict[str, object]", scope))
        assert transport is not None
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_forever, send)
            await self.abort.wait()
            transport.abort()
            while (await receive())["type"] != "websocket.disconnect":
                pass
            nursery.cancel_scope.cancel()
        self.ended.set()

    async def _send_forever(self, send: ASGISendCallable) -> None:
        while True:
            self.sending.set()
            await send({"type": "websocket.send", "bytes": MEGABYTE, "text": None})
            await trio.lowlevel.checkpoint()


def over_http2() -> bytes:
    client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    client.initiate_connection()
    client.increment_flow_control_window(2**30)
    fields = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/", ":authority": "x"}
    client.send_headers(1, list({**fields, "sec-websocket-version": "13"}.items()))
    client.increment_flow_control_window(2**30, 1)
    return client.data_to_send()


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
async def test_stalled_client_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: str, is_encrypted: bool
) -> None:
    app, config, authority = EndlessSender(), Config(), trustme.CA()
    if is_encrypted:
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "all.pem")
        config.certfile = config.keyfile = str(tmp_path / "all.pem")
    async with hosting(monkeypatch, app, config) as port:
        stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
        if is_encrypted:
            context = ssl.create_default_context()
            authority.configure_trust(context)
            context.set_alpn_protocols([protocol])
            stream = trio.SSLStream(cast(trio.SocketStream, stream), context, server_hostname="127.0.0.1")
        async with stream:
            await stream.send_all(over_http2() if protocol == "h2" else handshake(port))
            with trio.fail_after(10):
                await app.sending.wait()
                await trio.sleep(0.2)  # until buffers are full
                app.abort.set()
                await app.ended.wait()
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
