"""A Deepgram client that sends nothing, and one that keeps its connection alive."""

import trio

from tests.api.deepgram.test_translator import METADATA, RAW
from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from tests.support.realtime import RealtimeClient
from trio_stt.api.deepgram.audio import decoder_for
from trio_stt.api.deepgram.options import parse_options
from trio_stt.api.deepgram.route import listen_spec, live_settings
from trio_stt.api.deepgram.translator import ListenTranslator
from trio_stt.api.dialect import serve_dialect


@virtual_time
async def test_connection_without_audio_or_keep_alive_closes_with_net_0001() -> None:
    options, client = parse_options(RAW), RealtimeClient()
    async with server_fixture() as server, trio.open_nursery() as nursery:
        spec = listen_spec(server.server_state)

        async def serve() -> None:
            client.close = await serve_dialect(
                server.server_state,
                client,
                ListenTranslator(
                    options,
                    settings=live_settings(server.server_state.settings, options),
                    decoder=decoder_for(options),
                    metadata=METADATA,
                    created="2026-08-21T12:00:00.000Z",
                ),
                session_id=server.server_state.reserve(),
                shows_causes=False,
                idle_close=spec.idle_close,
            )
            client.over = True

        nursery.start_soon(serve)
        client.raw(bytes(3200))
        for _ in range(10):
            await trio.sleep(5)
            client.raw('{"type":"KeepAlive"}')
        await trio.sleep(11)
        assert not client.over
        await trio.sleep(2)
        assert client.over
    assert client.close is not None
    assert client.close.code == 1011
    assert client.close.reason.startswith("NET-0001")
    assert client.events[-1]["type"] == "Metadata"
