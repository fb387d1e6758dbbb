"""Several processes with TLS and with Wyoming's port."""

import signal
import sys
from pathlib import Path

import pytest
import trio
import trustme

from tests.processes.test_several_servers import SERVE, until_all_ready
from tests.server.test_tls import TlsServer, connect, issue
from tests.support.server import free_port, running_server

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux"),
]


async def test_tls_and_wyoming_are_served_by_all_before_and_after_a_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.server.RunningServer", TlsServer)
    old, new, wyoming = trustme.CA(), trustme.CA(), free_port()
    issue(tmp_path, old)
    files = ["--certfile", f"{tmp_path}/cert.pem", "--keyfile", f"{tmp_path}/key.pem"]

    async def describe() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", wyoming) as stream:
            await stream.send_all(b'{"type":"describe"}\n')
            with trio.fail_after(30):
                assert b'"info"' in await stream.receive_some()

    async with running_server([*SERVE, *files, "--wyoming-port", str(wyoming)]) as server:
        await until_all_ready(server)
        for _ in range(6):
            await (await connect(server.port, old)).aclose()
            await describe()
        issue(tmp_path, new)
        server.process.send_signal(signal.SIGHUP)
        await server.wait_for_output("certificate reloaded", count=2)
        for _ in range(6):
            await (await connect(server.port, new)).aclose()
        server.process.send_signal(signal.SIGUSR2)
        with trio.fail_after(90):
            while "all processes were replaced" not in server.output:
                await describe()
                await trio.sleep(0.05)
        for _ in range(6):
            await (await connect(server.port, new)).aclose()
            await describe()
