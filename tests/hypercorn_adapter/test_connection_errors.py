"""Log lines about errors that ended a connection. Any client can cause them, so they are short and rate-limited."""

import logging

import pytest

from trio_stt.hypercorn_adapter import replacements
from trio_stt.hypercorn_adapter.limited_websocket import WebSocketLimits
from trio_stt.hypercorn_adapter.replacements import HostHooks


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
