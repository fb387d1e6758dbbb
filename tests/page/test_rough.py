"""The page under unusual events: a scripted server sends what a real one sends only rarely."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import (
    HELLO,
    READY,
    SPEECH_TIMEOUT_MS,
    ScriptedServer,
    ServerProcess,
    expect_connection,
    expect_talk,
    final_texts,
    open_page,
    request_json,
    wait_until,
)

HOSTILE = "<img src=x onerror=\"window.hacked = 1\"><script>window.hacked = 1</script>&amp;<b dir='rtl'>"
DRAWN = """[...document.querySelectorAll('.segment')]
  .filter((e) => e.checkVisibility({ contentVisibilityAuto: true })).length"""
FROM_NEWEST = """(() => {
  const newest = [...document.querySelectorAll('.segment')].at(-1).getBoundingClientRect();
  return document.querySelector('.controls').getBoundingClientRect().top - newest.bottom;
})()"""


def open_scripted(page: Page, server: ServerProcess, greeting: list[dict[str, Any]] | None = None) -> ScriptedServer:
    scripted = ScriptedServer(page, greeting or [])
    page.goto(server.url)
    return scripted


@pytest.mark.contract("9.5")
def test_long_transcript_is_complete_and_only_near_blocks_are_drawn(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        for number in range(1, 2001):
            scripted.final(number, f"This is sentence {number} of a long talk.")
        blocks = page.get_by_test_id("segment")
        expect(blocks).to_have_count(2000, timeout=SPEECH_TIMEOUT_MS)
        wait_until(page, f"{FROM_NEWEST} > 0 && {FROM_NEWEST} < 200")  # the newest words are visible
        assert page.evaluate(DRAWN) < 200

        page.get_by_test_id("search").fill("sentence 7 of")
        expect(page.get_by_test_id("search-count")).to_have_text("1 of 1")
        expect(blocks.nth(6)).to_be_in_viewport()
        expect(blocks.nth(1999)).not_to_be_in_viewport()
        marked = "[...(CSS.highlights.get('found-now') ?? [])].map(String).join()"
        wait_until(page, f"{marked} === 'sentence 7 of'")
        # New words do not move what is being read, and the button leads to them.
        scripted.partial(2001, 1, "", "and then")
        expect(page.get_by_test_id("newest")).to_have_text("1 new")
        expect(blocks.nth(6)).to_be_in_viewport()
        page.get_by_test_id("newest").click()
        expect(blocks.nth(2000)).to_be_in_viewport()
        with page.expect_download() as download:
            page.get_by_test_id("save").click()
            page.get_by_role("button", name="All data .json", exact=True).click()
        rows = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert [row["final"] for row in rows] == [True] * 2000 + [False]  # saved while talking
        page.get_by_test_id("clear").click()
        expect(blocks).to_have_count(0)
        expect(page.locator(".chunk")).to_have_count(0)


@pytest.mark.contract("9.5")
def test_server_texts_are_never_markup(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        images = page.locator("img").count()
        wake = {"wakeWord": {"word": HOSTILE, "wakeWords": HOSTILE}, "wakeWordEnabled": True}
        scripted.send("status", state="wakeword_wait", **wake)
        scripted.send("status", state=HOSTILE)
        scripted.partial(1, 1, HOSTILE, HOSTILE, segment={"wakeWord": {"word": HOSTILE, "detectedAt": 1.0}})
        scripted.final(1, HOSTILE)
        scripted.send("timeline", event="wakeword_detected", **wake)
        scripted.send("timeline", event="segment_closed", segmentId=2, reason=HOSTILE)
        for kind in ("warning", "error"):
            scripted.send(kind, message=HOSTILE, where=HOSTILE)
        expect(page.locator(".segment-text")).to_have_text(HOSTILE)
        expect(page.get_by_test_id("notice").first).to_contain_text(HOSTILE)
        expect(page.get_by_test_id("state")).to_contain_text(HOSTILE.replace("_", " "))
        expect(page.get_by_test_id("log-list")).to_contain_text(HOSTILE)
        assert page.locator("img").count() == images
        assert page.locator("body script, body b").count() == 0
        assert page.evaluate("window.hacked") is None


def test_every_script_and_length_fits_the_page(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech, size=(360, 740)) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        texts = ["שלום לכולם, מה שלומכם היום?", "مرحبا بالعالم", "W" * 400, "👩‍👩‍👧‍👦🏳️‍🌈" * 40, "plain words"]
        for number, text in enumerate(texts, 1):
            scripted.final(number, text)
        scripted.send("warning", message="W" * 300)
        expect(page.get_by_test_id("notice")).to_be_visible()
        assert final_texts(page) == texts
        directions = page.locator(".segment-text").evaluate_all("all => all.map((e) => getComputedStyle(e).direction)")
        assert directions == ["rtl", "rtl", "ltr", "ltr", "ltr"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_uncertain_words_are_marked_until_final(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        meta = page.get_by_test_id("segment-meta")
        tail = page.locator(".segment .unstable")
        scripted.partial(1, 1, "please book", " the blue")
        expect(meta).to_have_text("speaking")
        expect(tail).not_to_have_css("text-decoration-line", "underline")
        scripted.partial(1, 2, "please book", " the blue", isOutlier=True)
        expect(meta).to_have_text("speaking, uncertain")
        expect(tail).to_have_css("text-decoration-line", "underline")
        scripted.final(1, "Please book the blue room.")
        expect(meta).not_to_contain_text("uncertain")


@pytest.mark.contract("9.6")
def test_loading_model_is_reported_and_talking_works(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server, [HELLO])
        expect_connection(page, "Loading model")
        expect(page.get_by_test_id("notice")).to_contain_text("The speech model is still loading.")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        scripted.send("ready", ok=True)
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("notice")).to_have_count(0)
        assert scripted.commands == [["start"]]


def test_busy_server_is_reported_while_it_lasts(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        scripted.send("warning", message="Partials come less often: the engine is behind")
        scripted.send("warning", message="Something else")
        scripted.send("status", state="recording", degraded=True)
        expect(page.get_by_test_id("degraded")).to_be_visible()
        expect(page.get_by_test_id("notice")).to_have_count(2)
        scripted.send("status", state="recording", degraded=False)
        expect(page.get_by_test_id("degraded")).to_be_hidden()
        expect(page.get_by_test_id("notice")).to_contain_text(["Something else."])


def test_talking_before_hello_starts_with_it(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server, [{"type": "heartbeat"}])  # connected, without a hello yet
        expect_connection(page, "Connecting")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        expect(page.get_by_test_id("unsent")).to_contain_text("not sent")
        assert scripted.commands == [[]]
        scripted.send("hello", sessionId="1")
        scripted.send("ready", ok=True)
        expect_connection(page, "Ready")
        wait_until(page, "true")  # one frame later, so that its commands have arrived
        assert scripted.commands == [["start"]]


@pytest.mark.contract("9.4", "11/28")
def test_sleeping_laptop_reconnects_and_goes_on_talking(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.clock.install()
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        scripted.partial(1, 1, "half a")
        expect(page.get_by_test_id("segment")).to_have_attribute("data-phase", "live")
        scripted.is_silent = True
        page.clock.fast_forward("08:00:00")
        page.clock.run_for(20_000)
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("segment")).to_have_attribute("data-phase", "lost")
        expect(page.locator(".break")).to_have_count(1)
        scripted.final(1, "The same number, another connection.")
        expect(page.locator("[data-final=true]")).to_contain_text("The same number")
        assert scripted.commands == [["start"], ["start"]]
        expect_talk(page, "live")


def test_language_of_the_session_is_chosen_where_the_model_has_several(server: ServerProcess, speech: Path) -> None:
    report = request_json(server, "health")
    report["scheduler"]["workers"]["main"]["capabilities"] |= {
        "languages": ["en", "fr", "de"],
        "languagePerSession": True,
    }
    hello = HELLO | {"settings": {"language": "en", "record": "/srv/sound"}}
    with open_page("about:blank", speech) as page:
        page.route("**/health", lambda route: route.fulfill(json=report))
        page.add_init_script("Object.defineProperty(navigator, 'languages', { get: () => ['de-AT'] })")
        scripted = open_scripted(page, server, [hello, READY])
        expect(page.get_by_test_id("notice")).to_contain_text("This server transcribes English.")
        choice = page.get_by_label("Language that is spoken")
        expect(choice.get_by_role("option")).to_have_text(["English", "French", "German"])
        expect(page.get_by_test_id("privacy")).to_contain_text("keeps a recording")
        expect(page.get_by_test_id("running")).to_contain_text("Recorded by the server")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        choice.select_option("German")
        expect(page.get_by_test_id("notice")).to_have_count(0)
        choice.select_option("English")
        page.get_by_test_id("talk").click()
        expect_talk(page, "off")
        languages = [fields.get("language", "none") for fields in scripted.starts]
        assert languages == ["none", "de", None]
        page.reload()
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("notice")).to_have_count(0)  # told once


def test_double_click_counts_as_one_click(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").dblclick()
        expect_talk(page, "live")
        page.get_by_test_id("talk").dblclick()
        expect_talk(page, "off")
        assert scripted.commands == [["start", "stop"]]


def test_visible_words_are_never_counted_as_new(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech, size=(1000, 900)) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        for number in range(1, 9):
            scripted.final(number, f"Sentence {number}.")
        for height in (300, 900):
            page.set_viewport_size({"width": 1000, "height": height})
            wait_until(page, f"innerHeight === {height} && {FROM_NEWEST} > 0")
        scripted.final(9, "One more.")
        expect(page.get_by_test_id("segment").last).to_be_in_viewport()
        wait_until(page, "document.querySelector('#newest').hidden")


@pytest.mark.parametrize(
    "size", [pytest.param((360, 740), marks=pytest.mark.long), (740, 360)], ids=["portrait", "landscape"]
)
def test_notices_on_phone_leave_room_for_button_and_words(
    server: ServerProcess, speech: Path, size: tuple[int, int]
) -> None:
    with open_page("about:blank", speech, size=size) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        scripted.final(1, "The words.")
        for where in ("recorder", "main_engine", "realtime_engine"):
            scripted.send("error", where=where, message="the engine failed while it was transcribing")
        notices = page.get_by_test_id("notice")
        expect(notices).to_have_count(3)
        expect(page.locator("[data-testid=notice]:visible")).to_have_count(1)
        expect(notices.last).to_be_visible()  # the newest one
        expect(page.get_by_test_id("segment")).to_be_in_viewport(ratio=1)
        assert page.evaluate(FROM_NEWEST) > 0
        page.get_by_role("button", name="2 more messages").click()
        expect(page.locator("[data-testid=notice]:visible")).to_have_count(3)
        expect(page.get_by_test_id("talk")).to_be_in_viewport(ratio=1)
        for _ in range(3):
            notices.first.get_by_role("button", name="Dismiss this message").click()
        expect(notices).to_have_count(0)
        expect(page.get_by_test_id("talk")).to_be_focused()


def test_newest_words_on_phone_stay_visible_with_open_timeline(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech, size=(360, 740)) as page:
        scripted = open_scripted(page, server)
        expect_connection(page, "Ready")
        page.get_by_test_id("timeline").locator("summary").click()
        for number in range(1, 13):
            scripted.final(number, f"Sentence {number} of a talk that is longer than a phone is high.")
        blocks = page.get_by_test_id("segment")
        expect(blocks.last).to_contain_text("Sentence 12")
        wait_until(page, f"scrollY > 100 && {FROM_NEWEST} > 0")
        expect(page.get_by_test_id("newest")).to_be_hidden()
        # Scrolling to the timeline stops auto-scroll, and the button leads back.
        page.mouse.move(180, 300)
        page.mouse.wheel(0, 5000)
        expect(page.get_by_test_id("newest")).to_be_visible()
        expect(page.get_by_test_id("timeline-plot")).to_be_in_viewport()
        scripted.final(13, "One more.")
        expect(page.get_by_test_id("newest")).to_have_text("1 new")
        expect(page.get_by_test_id("timeline-plot")).to_be_in_viewport()
        page.get_by_test_id("newest").click()
        expect(page.get_by_test_id("newest")).to_be_hidden()
        wait_until(page, f"{FROM_NEWEST} > 0 && {FROM_NEWEST} < 200")
