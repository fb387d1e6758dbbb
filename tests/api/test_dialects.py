"""What every dialect shares: its handshake, limits and ends, by a dialect of one letter for each frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import trio

from tests.support.keyed_server import Rig, ask, rig
from tests.support.keys import add_key
from tests.support.raw_socket import BINARY, TEXT, RawClient, frame, raw_client
from trio_stt.access.keys import KeyRecord, KeyScope, create_key, key_id_of, remove_from_file
from trio_stt.api import web_app
from trio_stt.api.dialect import ClientAudio, Close, Frame, Step, session_settings
from trio_stt.api.dialect_route import DialectSpec, Handshake, HandshakeRefused
from trio_stt.errors import SettingError
from trio_stt.protocol.commands import Command, Flush
from trio_stt.protocol.events import Event, Flushed
from trio_stt.settings import Settings

PATH = "/letters"
GOING_AWAY, POLICY, RESTART, TRY_AGAIN_LATER = 1001, 1008, 1012, 1013


@dataclass
class Letters:
    """Answers each event with its name. `f` flushes, `q` closes after everything, `x` at once."""

    settings: Settings

    def begin(self) -> Sequence[Frame]:
        return ['{"type": "begin"}']

    def receive(self, frame: Frame) -> Step:
        if isinstance(frame, bytes):
            return Step(to_session=[ClientAudio(frame, 8000)], is_audio=True)
        return {
            "f": Step(frames=['{"type": "f"}'], to_session=[Flush(1)]),
            "q": Step(to_session=[Command.STOP], close=Close(1000, "bye", drains=True)),
            "x": Step(frames=['{"type": "x"}'], close=Close(1003, "x" * 200)),
        }.get(frame, Step())

    def publish(self, event: Event) -> Sequence[Frame]:
        return ['{"type": "flushed"}'] if isinstance(event, Flushed) else []

    def end(self) -> Sequence[Frame]:
        return ['{"type": "end"}']


def new_letters(handshake: Handshake) -> list[Letters]:
    if ("bad", "1") in handshake.query:
        raise HandshakeRefused(400, "bad is not possible")
    return [Letters(session_settings(handshake.settings))]


class Letterbox:
    """Replaces the dialects of a server."""

    def __init__(self, *, full_status: int | None = None, temporary: Mapping[str, KeyRecord] | None = None) -> None:
        self.spec = DialectSpec(
            path=PATH,
            new_dialect=new_letters,
            subprotocols=("letters", "token"),
            full_status=full_status,
            max_message_bytes=3_000_000,
            temporary_key=(temporary or {}).get,
        )

    def __call__(self, _server_state: object) -> dict[str, DialectSpec]:
        return {"openai-realtime": self.spec}


@pytest.fixture(autouse=True)
def letterbox(monkeypatch: pytest.MonkeyPatch) -> Letterbox:
    replaced = Letterbox()
    monkeypatch.setattr(web_app, "dialect_specs", replaced)
    return replaced


async def status(server: Rig, path: str = PATH, **headers: str) -> tuple[str, str]:
    """The status of a handshake, and the head of the answer."""
    async with raw_client(server.port) as client:
        await client.open(server.port, path, {name.replace("_", "-"): value for name, value in headers.items()})
        return client.answer.split()[1], client.answer.lower()


async def until_status(server: Rig, expected: str, **headers: str) -> None:
    """Wait until the server has read its file of keys again."""
    with trio.fail_after(30):
        while (await status(server, **headers))[0] != expected:  # noqa: ASYNC110 - no event reports it
            await trio.sleep(0.2)


def types(client: RawClient) -> list[str]:
    return [event["type"] for event in client.events]


class TestKeys:
    async def test_right_key_is_accepted_and_not_sent_back(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        sent = [
            {"authorization": "Bearer KEY"},
            {"authorization": "bearer KEY"},
            {"authorization": "Token KEY"},
            {"authorization": "TOKEN  KEY"},
            {"sec_websocket_protocol": "letters, openai-insecure-api-key.KEY"},
            {"sec_websocket_protocol": "token, KEY"},
            {"sec_websocket_protocol": "Bearer, KEY, letters"},
            {"sec_websocket_protocol": "letters, trio-stt.key.KEY"},
        ]
        async with rig(monkeypatch, tmp_path) as server:
            for headers in sent:
                with_key = {name: value.replace("KEY", server.talk) for name, value in headers.items()}
                code, head = await status(server, **with_key)
                assert code == "101", headers
                assert server.talk.lower() not in head
                assert ("sec-websocket-protocol" in head) == ("sec_websocket_protocol" in headers)

    async def test_other_keys_and_origins_are_refused_in_the_handshake(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        expected = [
            ({}, "401"),
            ({"authorization": "Bearer WRONG"}, "401"),
            ({"authorization": "Basic KEY"}, "401"),
            ({"sec_websocket_protocol": "token, WRONG"}, "401"),
            ({"sec_websocket_protocol": "letters"}, "401"),
            ({"authorization": "Bearer KEY", "origin": "http://evil.example"}, "403"),
        ]
        wrong = create_key(KeyScope.TALK)[0]
        async with rig(monkeypatch, tmp_path, max_failed_logins_per_address=100) as server:
            for headers, code in expected:
                sent = {
                    name: value.replace("KEY", server.talk).replace("WRONG", wrong) for name, value in headers.items()
                }
                assert (await status(server, **sent))[0] == code, headers
            assert server.server_state.health().rejected_sessions == len(expected)
            assert server.server_state.registry.active_sessions == 0

    async def test_key_in_the_url_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path) as server:
            code, _ = await status(server, f"{PATH}?key={server.talk}", authorization=f"Bearer {server.talk}")
            assert code == "400"

    async def test_revoked_key_closes_with_1008(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as client:
            key = add_key(server.file, KeyScope.TALK)
            await client.open(server.port, PATH, {"authorization": f"Token {key}"})
            await client.until("begin")
            remove_from_file(server.file, key_id_of(key) or "")
            with trio.fail_after(30):
                while client.close_code is None:
                    await client.send(frame(BINARY, bytes(320)))
                    with trio.move_on_after(0.2):
                        await client.read_on()
            assert client.close_code == POLICY

    async def test_temporary_key_works_until_the_key_behind_it_is_revoked(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        key, record = create_key(KeyScope.TALK)
        monkeypatch.setattr(web_app, "dialect_specs", Letterbox(temporary={"ek_1": record}))
        async with rig(monkeypatch, tmp_path) as server:
            assert (await status(server, authorization="Bearer ek_1"))[0] == "401"
            with server.file.open("a") as file:
                file.write(f"{record.entry}\n")
            await until_status(server, "101", authorization="Bearer ek_1")
            remove_from_file(server.file, key_id_of(key) or "")
            await until_status(server, "401", authorization="Bearer ek_1")


class TestHandshake:
    async def test_dialect_refuses_what_it_does_not_have(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server:
            assert (await status(server, f"{PATH}?bad=1"))[0] == "400"
            assert server.server_state.registry.active_sessions == 0

    async def test_request_without_upgrade_is_answered_with_426(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server:
            assert (await ask(server, f"GET {PATH}"))[0] == 426

    async def test_dialect_that_is_switched_off_is_not_found(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False, dialects="") as server:
            assert (await status(server))[0] == "404"

    async def test_setting_names_known_dialects_only(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="dialects: 'morse' is not a dialect; known are openai-realtime"):
            async with rig(monkeypatch, tmp_path, dialects="openai-realtime, morse"):
                pass

    async def test_full_server_closes_with_1013_after_the_handshake(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async with (
            rig(monkeypatch, tmp_path, keyed=False, max_sessions=1) as server,
            raw_client(server.port) as first,
            raw_client(server.port) as second,
        ):
            await first.open(server.port, PATH)
            await first.until("begin")
            await second.open(server.port, PATH)
            await second.read_to_the_end()
            assert (second.events, second.close_code) == ([], TRY_AGAIN_LATER)
            assert "max_sessions is 1" in second.close_reason

    @pytest.mark.parametrize("settings", [{"max_sessions": 1}, {"max_connections_per_address": 1}])
    async def test_full_server_refuses_the_handshake_where_the_dialect_wants_that(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, object]
    ) -> None:
        monkeypatch.setattr(web_app, "dialect_specs", Letterbox(full_status=503))
        async with rig(monkeypatch, tmp_path, keyed=False, **settings) as server, raw_client(server.port) as first:
            await first.open(server.port, PATH)
            await first.until("begin")
            code, head = await status(server)
            assert (code, "retry-after: 1" in head) == ("503", True)


class TestSession:
    async def test_audio_and_commands_reach_the_session_in_order(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server, raw_client(server.port) as client:
            await client.open(server.port, PATH)
            await client.until("begin")
            await client.send(frame(BINARY, np.zeros(8000, "<i2").tobytes()) + frame(TEXT, b"f"))
            await client.until("flushed")
            (session,) = server.server_state.registry.sessions.values()
            assert types(client) == ["begin", "f", "flushed"]
            assert session.counters.received_s == 1.0

    async def test_close_after_everything_sends_the_last_frames(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server, raw_client(server.port) as client:
            await client.open(server.port, PATH)
            await client.send(frame(BINARY, bytes(16_000)) + frame(TEXT, b"f") + frame(TEXT, b"q"))
            await client.read_to_the_end()
            assert types(client) == ["begin", "f", "flushed", "end"]
            assert (client.close_code, client.close_reason) == (1000, "bye")

    async def test_close_at_once_with_a_long_reason(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server, raw_client(server.port) as client:
            await client.open(server.port, PATH)
            await client.send(frame(TEXT, b"x"))
            await client.read_to_the_end()
            assert (types(client), client.close_code) == (["begin", "x", "end"], 1003)

    async def test_flood_of_commands_closes_with_1008(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with (
            rig(monkeypatch, tmp_path, keyed=False, max_commands_per_second=10) as server,
            raw_client(server.port) as client,
            trio.open_nursery() as nursery,
        ):
            await client.open(server.port, PATH)
            nursery.start_soon(client.flood, frame(TEXT, b"?") * 5000)
            await client.read_to_the_end()
            assert client.close_code == POLICY
            assert "max_commands_per_second is 10" in client.close_reason

    async def test_message_up_to_the_limit_of_the_dialect_is_taken(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False, max_audio_speed=0) as server:
            async with raw_client(server.port) as client:
                await client.open(server.port, PATH)
                await client.send(frame(TEXT, b" " * 2_999_999) + frame(TEXT, b"f"))
                await client.until("flushed")
            async with raw_client(server.port) as client:
                await client.open(server.port, PATH)
                await client.flood(frame(TEXT, b" " * 3_000_001))
                await client.read_to_the_end()
                assert client.close_code == 1009

    async def test_shutdown_closes_with_1001(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server, raw_client(server.port) as client:
            await client.open(server.port, PATH)
            await client.until("begin")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.server_state.registry.drain, 5.0)
                await client.read_to_the_end()
            assert (types(client), client.close_code) == (["begin", "end"], GOING_AWAY)
            async with raw_client(server.port) as late:
                await late.open(server.port, PATH)
                await late.read_to_the_end()
                assert late.close_code == RESTART

    async def test_disconnect_leaves_nothing_behind(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False) as server:
            for sent in (b"", frame(BINARY, bytes(16_000)), frame(TEXT, b"f"), frame(TEXT, b"q")):
                async with raw_client(server.port) as client:
                    await client.open(server.port, PATH)
                    await client.until("begin")
                    await client.send(sent)
            with trio.fail_after(30):
                while server.server_state.registry.active_sessions or server.server_state.registry.reserved:  # noqa: ASYNC110 - no event reports it
                    await trio.sleep(0.01)
