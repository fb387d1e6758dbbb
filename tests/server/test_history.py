"""The last hour of the server: samples of its load in order, and the report of `/api/history`."""

import json

import trio

from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from trio_stt.protocol.reports import encode_report
from trio_stt.server.history import SAMPLE_S, ServerHistory


@virtual_time
async def test_last_hour_is_sampled_and_reported() -> None:
    async with server_fixture(max_sessions=1) as server, trio.open_nursery() as nursery:
        await server.server_state.lanes.wait_loaded()
        history = ServerHistory(server.server_state)
        assert json.loads(encode_report(history.report()))["sessions"] == []
        nursery.start_soon(history.run)
        await trio.sleep(SAMPLE_S / 2)
        client = await server.connect()
        server.server_state.traffic.reject("deepgram", "access")
        await trio.sleep(SAMPLE_S)
        report = json.loads(encode_report(history.report()))
        assert report["sessions"] == [0, 1]
        assert report["rejected"] == [0, 1]
        assert report["rejections"] == {"access": 1}
        assert report["dialects"]["deepgram"]["rejections"] == {"access": 1}
        assert report["dialects"]["deepgram"]["sessionsStarted"] == 0
        assert report["dialects"]["realtimestt"]["sessions"] == 1
        assert report["busy"] == [0.0, 0.0]
        assert min(report["memoryBytes"]) > 1e6
        assert all(0 <= share <= 1 for share in report["cpu"])
        assert report["uptimeSeconds"] >= 0
        server.server_state.leave(client.session.session_id)
        await trio.sleep(2 * 3600)
        assert history.report().sessions == (0,) * 360
        nursery.cancel_scope.cancel()
