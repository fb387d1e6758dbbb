"""Log lines about errors that ended a connection. Any client can cause them, so they are short and rate-limited."""

import logging

import pytest

from trio_stt.hypercorn_adapter import replacements
from trio_stt.hypercorn_adapter.replacements import HostHooks
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits


def test_errors_of_connections_are_one_short_escaped_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replacements, "logger", logging.getLogger("connection errors"))
    hooks = HostHooks(websocket_limits=lambda: WebSocketLimits(max_message_bytes=1, liveness_timeout_s=0))
    error = ExceptionGroup("group", [ExceptionGroup("group", [ValueError("\x1b[31m\n" + "x" * 1000)])])
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            hooks.on_connection_error(error)
    (record,) = caplog.records
    assert record.getMessage().startswith(r"a connection failed: ValueError: '\x1b[31m\nxxx")
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 300
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trio.serve_listeners", "accept returned EMFILE (Too many open files); retrying in 0.1 seconds"),
        ("asyncio", "socket.accept() out of system resource\nsocket: <asyncio.TransportSocket fd=3>"),
    ],
)
def test_lack_of_descriptors_is_one_short_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, message: str
) -> None:
    monkeypatch.setattr(replacements, "logger", logging.getLogger("lack of descriptors"))
    host_log = logging.getLogger(f"host {name}")  # that of the host has the filter of other tests
    host_log.addFilter(replacements._CapacityErrorLog())
    for _ in range(100):
        host_log.error(message, exc_info=OSError(24, "Too many open files"))
    host_log.error("another error")
    ours, another = caplog.records
    assert "LimitNOFILE" in ours.getMessage()
    assert ours.exc_info is None
    assert another.getMessage() == "another error"
