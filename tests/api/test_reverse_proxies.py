"""The examples of `docs/deploy.md`: the systemd unit, and nginx and Caddy in front of page and WebSocket."""

import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.raw_socket import RawClient
from tests.support.real import missing
from tests.support.server import ROOT, free_port

NAME = "stt.example.org"
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
{site}
}}
"""
CADDY = "{\n admin off\n auto_https off\n skip_install_trust\n}\n"


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert found
    return found[1]


def nginx_site(folder: Path, own: int, behind: int, root: str) -> str:
    site = example("nginx").replace("listen 443", f"listen 127.0.0.1:{own}").replace("/etc/ssl/stt", str(folder))
    site = site.replace("127.0.0.1:8010", f"127.0.0.1:{behind}")
    if root:
        site = site.replace("location / {", f"location = {root} {{ return 308 {root}/; }}\n    location {root}/ {{")
    return NGINX.format(folder=folder, site=site)


def caddy_site(folder: Path, own: int, behind: int, root: str) -> str:
    tls = f"bind 127.0.0.1\n    tls {folder}/fullchain.pem {folder}/privkey.pem\n"
    site = example("caddy").replace(f"{NAME} {{", f"https://{NAME}:{own} {{\n    {tls}")
    proxied = f"reverse_proxy 127.0.0.1:{behind}"
    if root:
        proxied = f"redir {root} {root}/ 308\n    handle {root}/* {{\n        {proxied}\n    }}"
    return CADDY + site.replace("reverse_proxy 127.0.0.1:8010", proxied)


@asynccontextmanager
async def proxy(kind: str, folder: Path, behind: int, root: str) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """The port of a running proxy, and the CA that its clients trust."""
    program = shutil.which(kind) or shutil.which(kind, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        missing(f"{kind} is not installed")
    authority, port = trustme.CA(), free_port()
    certificate = authority.issue_cert(NAME)
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    config = folder / "config"
    write = nginx_site if kind == "nginx" else caddy_site
    config.write_text(write(folder, port, behind, root))
    flags = ["-c", str(config), "-p", str(folder)] if kind == "nginx" else ["run", "--adapter", "caddyfile"]
    flags += [] if kind == "nginx" else ["--config", str(config)]
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with trio.open_nursery() as nursery:
        env = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        process = await trio.lowlevel.open_process(
            [program, *flags], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        nursery.start_soon(process.wait)
        try:
            with trio.fail_after(30):
                while not await _listens(port):
                    assert process.poll() is None, f"{kind} ended with {process.returncode}"
                    await trio.sleep(0.05)
            yield port, trusting
        finally:
            process.terminate()


async def _listens(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@asynccontextmanager
async def tls_client(port: int, trusting: ssl.SSLContext) -> AsyncIterator[RawClient]:
    # The client's address is not a trusted one, because a trusted address would count as another proxy.
    tcp = await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.0.2")
    async with trio.SSLStream(tcp, trusting, server_hostname=NAME, https_compatible=True) as stream:
        yield RawClient(stream)


async def fetch(port: int, trusting: ssl.SSLContext, path: str) -> tuple[str, str]:
    """The first line and the rest of the answer to a GET over TLS."""
    async with tls_client(port, trusting) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: {NAME}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        with trio.fail_after(30):
            while received := await client.stream.receive_some():
                answer += received
    first, _, rest = answer.decode("latin-1").partition("\r\n")
    return first, rest


@pytest.mark.parametrize("root", ["", "/stt"])
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_page_and_websocket_behind_a_proxy(
    kind: str, root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server_state = composed(
        monkeypatch,
        FakeEngine(),
        allowed_hosts=NAME,
        trusted_proxies="127.0.0.1",
        root_path=root,
        max_connections_per_address=1,
    )
    async with (
        serving(monkeypatch, server_state) as behind,
        proxy(kind, tmp_path, behind, root) as (port, trusting),
    ):
        first, page = await fetch(port, trusting, f"{root}/")
        assert " 200" in first
        assert "<!doctype html>" in page.lower()
        for link in re.findall(r'(?:href|src)="(web/[^"]+)"', page):
            assert " 200" in (await fetch(port, trusting, f"{root}/{link}"))[0], link
        if root:
            first, rest = await fetch(port, trusting, root)
            assert " 308" in first
            assert re.search(rf"(?i)location: .*{root}/\r\n", rest)

        own = {"Host": f"{NAME}:{port}", "Origin": f"https://{NAME}:{port}"}
        async with tls_client(port, trusting) as client, tls_client(port, trusting) as second:
            # The page's origin is the proxy's, with scheme and port. A client's own X-Forwarded-For must be ignored.
            await client.open(port, f"{root}/ws/transcribe", own | {"X-Forwarded-For": "198.51.100.1"})
            await client.until("hello")
            await second.open(port, f"{root}/ws/transcribe", own | {"X-Forwarded-For": "198.51.100.2"})
            assert "max_connections_per_address" in (await second.until("error"))["message"]
        async with tls_client(port, trusting) as foreign:
            await foreign.open(port, f"{root}/ws/transcribe", own | {"Origin": "https://evil.example"})
            assert " 403" in foreign.answer.splitlines()[0]


async def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "trio-stt.service"
    unit.write_text(example("ini").replace("/opt/trio-stt/bin/trio-stt", sys.executable))
    verified = await trio.run_process([program, "verify", str(unit)], capture_stderr=True, check=False)
    assert not [line for line in verified.stderr.decode().splitlines() if unit.name in line]  # others: the machine's
