"""What a `start` chooses for its session: language, prompt and partials."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio

from tests.contract.fixtures import PAUSE_S
from tests.lanes.fakes import INFO, FakeEngine, virtual_time
from tests.support.conversation import Client, levels, server_fixture
from trio_stt.lanes.engines.base import EngineInfo, Request, Transcript
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.protocol.events import Error, Final, Realtime

CHOOSING = LanguageSupport(known=("de", "en", "fr"), loaded="en", per_request=True, detects=True)
ENGLISH = LanguageSupport(known=("en",), loaded="en")


class HintedEngine(FakeEngine):
    """Its texts name the language and the prompt of their requests."""

    def __init__(self, languages: LanguageSupport = CHOOSING, *, prompt: bool = True) -> None:
        super().__init__(levels, max_batch=8)
        self._languages, self._prompt = languages, prompt

    @property
    def info(self) -> EngineInfo:
        return replace(INFO, max_batch=8, languages=self._languages, prompt=self._prompt)

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        super().transcribe(batch)
        assert len({request.hints for request in batch}) == 1, "jobs with different hints share a batch"
        return [
            Transcript(text=f"{self._languages.of_request(each.hints.language)} {each.hints.prompt}") for each in batch
        ]


def start(client: Client, **fields: object) -> None:
    client.raw(json.dumps({"type": "start", **fields}))


async def say(client: Client) -> str:
    """Speak one utterance; returns the text of its final."""
    finals = len(client.of(Final))
    client.say(1111, 1.0)
    await trio.sleep(1)  # for a partial
    client.pause(PAUSE_S)
    await client.until(Final, finals + 1)
    await client.settled()
    return client.of(Final)[-1].text


@virtual_time
async def test_language_and_prompt_reach_finals_and_partials() -> None:
    async with server_fixture(load=HintedEngine, initial_prompt="Configured") as server:
        client = await server.connect()
        start(client, language="de-AT", prompt="Ada")
        assert await say(client) == "De Ada."
        assert client.of(Realtime)[-1].text == "de Ada"
        start(client)
        assert await say(client) == "De Ada.", "an absent field leaves what was chosen"
        start(client, language="auto", prompt=" ")
        assert await say(client) == "None None."
        start(client, language=None, prompt=None)
        assert await say(client) == "En Configured."
        assert client.of(Realtime)[-1].text == "en None", "null takes the setting for partials, too"
        assert not client.of(Error)


@virtual_time
async def test_sessions_with_different_hints_share_no_batch() -> None:
    async with server_fixture(load=HintedEngine, inference_s=lambda _: 0.5) as server:
        clients = {language: await server.connect() for language in ("de", "fr", "en")}
        for language, client in clients.items():
            start(client, language=language)
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
        for language, client in clients.items():
            assert (await client.until(Final)).text == f"{language.capitalize()} None."


@virtual_time
async def test_choice_holds_for_utterances_that_begin_after_it() -> None:
    async with server_fixture(load=HintedEngine) as server:
        client = await server.connect()
        start(client, language="de")
        client.say(1111, 1.0)
        start(client, language="fr")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        assert (await client.until(Final)).text == "De None."
        assert await say(client) == "Fr None."


@pytest.mark.parametrize(
    ("engine", "fields", "message"),
    [
        (
            HintedEngine(),
            {"language": "tlh"},
            "start language: the model does not have 'tlh'; it has de, en, fr",
        ),
        (HintedEngine(ENGLISH), {"language": "de"}, "start language: the model does not have 'de'"),
        (HintedEngine(prompt=False), {"prompt": "Ada"}, "start prompt: the engine fake takes no prompt"),
    ],
)
@virtual_time
async def test_what_the_engine_cannot_is_an_error_and_the_session_goes_on(
    engine: HintedEngine, fields: dict[str, str], message: str
) -> None:
    async with server_fixture(load=lambda: engine) as server:
        client = await server.connect()
        start(client, **fields)
        text = await say(client)
        (error,) = client.of(Error)
        assert (error.where, error.message[: len(message)]) == ("command", message)
        assert text.startswith("En")


@virtual_time
async def test_choice_before_the_load_is_judged_after_it() -> None:
    async with server_fixture(load=lambda: HintedEngine(ENGLISH), load_s=60.0) as server:
        client = await server.connect()
        start(client, language="de")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        assert (await client.until(Final)).text == "En None."
        await client.settled()
        assert [error.message for error in client.of(Error)] == [
            "start language: the model does not have 'de'; it has en; finals and partials stay as configured"
        ]


@pytest.mark.parametrize("interim", [True, False])
@virtual_time
async def test_only_the_lane_that_cannot_stays_as_configured(interim: bool) -> None:
    async with server_fixture(load=HintedEngine, load_partials=lambda: HintedEngine(ENGLISH)) as server:
        client = await server.connect()
        start(client, language="de", interim=interim)
        assert await say(client) == "De None."
        problems = [error.message.rpartition("; ")[2] for error in client.of(Error)]
        assert problems == (["partials stay as configured"] if interim else [])
        assert {event.text for event in client.of(Realtime)} == ({"en None"} if interim else set())


@virtual_time
async def test_session_without_partials_can_have_them_again() -> None:
    async with server_fixture(load=HintedEngine) as server:
        client = await server.connect()
        start(client, interim=False)
        await say(client)
        assert not client.of(Realtime)
        start(client, interim=None)
        await say(client)
        assert client.of(Realtime)


@virtual_time
async def test_resumed_session_keeps_its_choice() -> None:
    async with server_fixture(load=HintedEngine) as server:
        client = await server.connect()
        start(client, language="fr", interim=False)
        await say(client)
        client.drop()
        again = await server.resume(client)
        assert await say(again) == "Fr None."
        assert not again.of(Realtime)
