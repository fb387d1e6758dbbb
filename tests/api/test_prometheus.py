"""`/metrics`: figures of the server in Prometheus's format, and the key that they need."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.fixtures import composed, talk
from tests.lanes.fakes import FakeEngine, lengths, virtual_time
from tests.support.conversation import server_fixture
from tests.support.keyed_server import ask, rig
from trio_stt.api.web_app import build_app
from trio_stt.errors import ServerFull
from trio_stt.server.prometheus import PrometheusExposition

_DASHBOARD = Path(__file__).parents[2] / "docs/grafana/trio-stt.json"


def figures(content: bytes) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of their names."""
    families = text_string_to_metric_families(content.decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


async def test_lanes_sessions_and_process_have_figures() -> None:
    async with server_fixture(max_sessions=7) as server:
        await server.server_state.lanes.wait_loaded()
        seen = figures(PrometheusExposition(server.server_state).write("")[0])
    assert seen["trio_stt_max_sessions",] == 7
    assert seen["trio_stt_lane_up", "main"] == 1
    assert seen["trio_stt_lane_queue_jobs", "final", "main"] == 0
    assert seen["trio_stt_lane_workers", "main", "serving"] == 1
    assert seen["trio_stt_inference_seconds_count", "main"] == 0
    assert seen["process_resident_memory_bytes",] > 1e6


async def test_counts_outlast_their_sessions() -> None:
    async with server_fixture() as server:
        exposition = PrometheusExposition(server.server_state)
        first, second = await server.connect(), await server.connect()
        await server.server_state.lanes.wait_loaded()
        server.server_state.leave(first.session.session_id)
        seen = figures(exposition.write("")[0])
        assert (seen["trio_stt_sessions", "realtimestt"], seen["trio_stt_sessions_started_total", "realtimestt"]) == (
            1,
            2,
        )
        server.server_state.leave(second.session.session_id)
        server.server_state.leave(second.session.session_id)
        seen = figures(exposition.write("")[0])
        assert (seen["trio_stt_sessions", "realtimestt"], seen["trio_stt_sessions_started_total", "realtimestt"]) == (
            0,
            2,
        )


@virtual_time
async def test_delays_of_live_words_are_counted() -> None:
    async with server_fixture(inference_s=lambda _: 0.05, answer=lengths) as server:
        client = await server.streaming_client()
        await talk(client, 1111, 2.0)
        client.pause(1.0)
        await client.settled()
        seen = figures(PrometheusExposition(server.server_state).write("")[0])
    assert seen["trio_stt_final_latency_seconds_count",] == seen["trio_stt_first_partial_latency_seconds_count",] == 1
    assert seen["trio_stt_final_latency_seconds_bucket", "+Inf"] == 1
    assert seen["trio_stt_final_latency_seconds_bucket", "0.1"] <= seen["trio_stt_final_latency_seconds_bucket", "10.0"]


async def test_stalls_of_the_event_loop_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine(), stall_warning_ms=1)
    async with build_app(server_state).test_app():
        while not server_state.latencies.loop_stalls.sum_s:
            time.sleep(0.01)  # noqa: ASYNC251 - the stall
            await trio.lowlevel.checkpoint()
        seen = figures(PrometheusExposition(server_state).write("")[0])
    assert seen["trio_stt_event_loop_stall_seconds_count",] >= 1
    assert seen["trio_stt_event_loop_stall_seconds_sum",] >= 0.01


async def test_refusals_are_counted_by_dialect_and_reason() -> None:
    async with server_fixture(max_sessions=1) as server:
        exposition = PrometheusExposition(server.server_state)
        server.server_state.reserve("deepgram")
        with pytest.raises(ServerFull):
            server.server_state.reserve("deepgram")
        server.server_state.traffic.reject("vosk", "connections")
        seen = figures(exposition.write("")[0])
    assert seen["trio_stt_sessions_rejected_total", "deepgram", "full"] == 1
    assert seen["trio_stt_sessions_rejected_total", "vosk", "connections"] == 1
    assert seen["trio_stt_sessions_rejected_total", "wyoming", "full"] == 0


async def test_dashboard_names_metrics_and_labels_that_exist() -> None:
    expressions = _expressions(json.loads(_DASHBOARD.read_text()))
    async with server_fixture() as server:
        await server.server_state.lanes.wait_loaded()
        server.server_state.http_traffic.add("/health", "GET", 200, 0.1)
        content = PrometheusExposition(server.server_state).write("")[0].decode()
    labels = {
        sample.name: {"instance", *sample.labels}
        for family in text_string_to_metric_families(content)
        for sample in family.samples
    }
    named = [
        (name, set(re.findall(r"\w+", grouped)))
        for expression in expressions
        for grouped, name in re.findall(r"(?:by \(([^)]*)\) )?(?:\(\w*\(?)?((?:trio_stt|process)_\w+)\{", expression)
    ]
    assert len(named) >= len(expressions) > 20
    assert [(name, by) for name, by in named if name not in labels or not by <= labels[name]] == []


def _expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


async def test_openmetrics_is_written_on_request() -> None:
    async with server_fixture() as server:
        content, content_type = PrometheusExposition(server.server_state).write("application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    assert content.endswith(b"# EOF\n")


async def test_key_needs_the_scope_admin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        assert (await ask(server, "GET /metrics"))[0] == 401
        assert (await ask(server, "GET /metrics", Authorization=f"Bearer {server.talk}"))[0] == 403
        status, headers, _ = await ask(server, "GET /metrics", Authorization=f"Bearer {server.admin}")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_usual_names_of_probes_need_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        status, _, body = await ask(server, f"GET {path}")
    assert (status, body["ok"]) == (200, True)
