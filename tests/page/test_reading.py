"""Transcript, timeline, event log and statistics, in a real Chromium against the real server and model."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysubs2
import pytest
from playwright.sync_api import Page, expect

from tests.support.espeak import room, say
from tests.support.page import (
    SPEECH_TIMEOUT_MS,
    ScriptedServer,
    ServerProcess,
    expect_connection,
    final_texts,
    microphone_recording,
    open_page,
    wait_until,
    write_microphone_file,
)
from trio_stt.dsp import SAMPLE_RATE_HZ

SPOKEN_S = 13.0
WAKE_WORD = "hey jarvis"
WAKE_FLAGS = ["--wakeword-backend", "openwakeword", "--wake-words", WAKE_WORD]

# Records each block that a change below it or in it moved.
WATCH_JUMPS = """
  window.jumps = [];
  const transcript = document.querySelector('[data-testid=transcript]');
  let tops = new Map();
  new MutationObserver((changes) => {
    const blocks = [...transcript.querySelectorAll('[data-testid=segment]')];
    const changed = changes.map(({ target }) => {
      const element = target instanceof Element ? target : target.parentElement;
      return blocks.indexOf(element?.closest('[data-testid=segment]'));
    }).filter((index) => index >= 0);
    const upTo = changed.length > 0 ? Math.min(...changed) : blocks.length - 1;
    const now = new Map(blocks.map((block) => [block, block.getBoundingClientRect().top + scrollY]));
    for (const block of blocks.slice(0, upTo + 1)) {
      const moved = Math.abs((tops.get(block) ?? now.get(block)) - now.get(block));
      if (moved > 0.5) window.jumps.push(block.dataset.segmentId);
    }
    tops = now;
  }).observe(transcript, { childList: true, subtree: true, characterData: true, attributes: true });
"""

# Number of pixel columns of a track (from the top) that differ from its background.
FILLED = """(track) => {
  const canvas = document.querySelector('#timeline-canvas');
  const tracks = document.querySelectorAll('#timeline-tracks li').length;
  const row = Math.round((canvas.height * (track + 0.8)) / tracks);
  const pixels = canvas.getContext('2d').getImageData(0, row, canvas.width, 1).data;
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = getComputedStyle(canvas).getPropertyValue('--track-bed');
  probe.fillRect(0, 0, 1, 1);
  const background = probe.getImageData(0, 0, 1, 1).data;
  let filled = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    filled += [0, 1, 2].some((i) => Math.abs(pixels[at + i] - background[i]) > 8);
  }
  return filled;
}"""
FROM_END = "document.documentElement.scrollHeight - scrollY - innerHeight"


def start_talking(page: Page) -> None:
    expect_connection(page, "Ready")
    page.get_by_test_id("talk").click()


def timeline_texts(page: Page) -> list[str]:
    """The timeline's text at each position of the arrow keys, newest first."""
    plot = page.get_by_test_id("timeline-plot")
    plot.focus()
    page.keyboard.press("End")
    texts = []
    for _ in range(60):
        texts.append(plot.get_attribute("aria-valuetext") or "")
        page.keyboard.press("ArrowLeft")
    return texts


@pytest.fixture(scope="class")
def page(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page after one recording of several sentences."""
    speech = microphone_recording(tmp_path_factory.mktemp("speech") / "speech.wav", "two_cities.wav", seconds=SPOKEN_S)
    with open_page(server.url, speech, size=(1280, 1000)) as page:
        page.evaluate(WATCH_JUMPS)
        start_talking(page)
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.filter(has_text="incredulity")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("talk").click()
        expect(page.get_by_test_id("state")).to_have_text("Ready")
        expect(page.locator("[data-testid=segment][data-final=false]")).to_have_count(0, timeout=SPEECH_TIMEOUT_MS)
        yield page


@pytest.mark.contract("9.5")
class TestFinishedRecording:
    """What the page does with a finished recording."""

    def test_page_names_the_model_and_its_language(self, page: Page) -> None:
        expect(page.get_by_test_id("running")).to_have_text("Englishmoonshine tiny en")

    def test_new_words_move_no_block_at_or_above_them(self, page: Page) -> None:
        assert page.evaluate("window.jumps") == []

    def test_details_show_the_times_of_each_block(self, page: Page) -> None:
        expect(page.get_by_test_id("segment-meta").first).to_be_hidden()
        expect(page.locator(".segment-time:visible")).to_have_count(page.locator(".paragraph").count())
        page.get_by_test_id("details").click()
        for block in page.get_by_test_id("segment").all():
            expect(block.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
            expect(block.get_by_test_id("segment-meta")).to_be_visible()
            expect(block.get_by_test_id("segment-meta")).to_have_text(
                re.compile(r"^\d+(\.\d)? s · until \d\d:\d\d:\d\d( · pre-roll \d\.\d s)?$")
            )
        page.get_by_test_id("details").click()

    def test_timeline_shows_recording_and_recognition(self, page: Page) -> None:
        page.get_by_role("radio", name="1 minute").check()
        wait_until(page, "!document.querySelector('#timeline-oldest').textContent.startsWith('30')")
        texts = " ".join(timeline_texts(page))
        assert re.search(r"utterance 1 \(\d", texts)
        assert re.search(r"final text of \d+: .*incredulity", texts)
        assert "voice" in texts
        expect(page.get_by_test_id("timeline-moment")).to_contain_text(re.compile(r"^\d\d:\d\d:\d\d: "))
        expect(page.get_by_test_id("timeline-summary")).to_have_text(
            re.compile(r"\d utterances?, \d+(\.\d)? s in total, \d final texts?\.")
        )
        expect(page.locator("#timeline-tracks li")).to_have_text(["Microphone", "Voice", "Utterances", "Recognition"])
        assert min(page.evaluate(FILLED, track) for track in range(4)) > 0
        expect(page.get_by_role("button", name="Wake words")).to_be_hidden()

    def test_longer_range_draws_the_same_span_shorter(self, page: Page) -> None:
        page.locator("body").click(position={"x": 2, "y": 2})
        widths = []
        for name in ("1 minute", "10 minutes"):
            page.get_by_role("radio", name=name, exact=True).check()
            page.evaluate("() => new Promise((done) => setTimeout(done, 100))")
            widths.append(page.evaluate(FILLED, 2))
        assert 0 < widths[1] < widths[0] / 4

    def test_log_is_newest_first_and_shows_details_on_demand(self, page: Page) -> None:
        entries = page.get_by_test_id("log-list").locator("li")
        expect(entries.last).to_contain_text("Connected")
        titles = entries.locator(".log-title").all_inner_texts()
        of_first = ["Utterance 1: final text", "Utterance 1 ended", "Utterance 1 began"]
        assert sorted(of_first, key=titles.index) == of_first
        assert not any(": words" in title for title in titles)
        page.get_by_test_id("log").get_by_role("button", name="Details").click()
        expect(entries.filter(has_text="Utterance 1: words").first).to_be_attached()
        page.get_by_role("button", name="Speech", exact=True).click()
        expect(entries.filter(has_text="final text")).to_have_count(0)

    def test_statistics_show_delays_of_words(self, page: Page) -> None:
        page.get_by_test_id("stats").locator("summary").click()
        listed = page.locator("#stats-list")
        expect(listed).to_contain_text(re.compile(r"Round trip to the server\s*\d"))  # wait until the card is open
        # Read at once, because events update the list.
        names, shown = listed.evaluate(
            "list => ['dt', 'dd'].map((tag) => [...list.querySelectorAll(tag)].map((each) => each.innerText))"
        )
        values = dict(zip(names, shown, strict=True))
        for name in ("Round trip to the server", "Live words, queue and engine", "First words after speech begins"):
            assert re.fullmatch(r"\d+ ms", values[name]), name
        expect(page.get_by_test_id("words")).to_have_text(re.compile(r"^Delay \d\.\d s$"))
        expect(page.get_by_test_id("latency")).to_have_text(re.compile(r"^Server \d+ ms$"))

    def test_search_counts_marks_and_steps(self, page: Page) -> None:
        field, count = page.get_by_test_id("search"), page.get_by_test_id("search-count")
        wanted = len(re.findall("it was", " ".join(final_texts(page)), re.IGNORECASE))
        assert wanted > 2
        field.fill("IT  wás")
        expect(count).to_have_text(f"1 of {wanted}")
        assert page.evaluate("CSS.highlights.get('found').size") == wanted
        field.press("Enter")
        expect(count).to_have_text(f"2 of {wanted}")
        field.press("Shift+Enter")
        field.press("Shift+Enter")
        expect(count).to_have_text(f"{wanted} of {wanted}")
        marked = page.evaluate("[...CSS.highlights.get('found-now')][0].toString()")
        assert marked.lower() == "it was"
        field.fill("not in the text")
        expect(count).to_have_text("None")
        expect(page.get_by_role("button", name="Next match")).to_be_disabled()
        field.press("Escape")
        expect(count).to_have_text("")

    def test_copy_has_every_line(self, page: Page) -> None:
        page.get_by_test_id("copy").click()
        expect(page.locator("#announcement")).to_have_text("Transcript copied.")
        assert page.evaluate("navigator.clipboard.readText()").split("\n") == final_texts(page)

    def test_saved_text_equals_page(self, page: Page) -> None:
        assert saved(page, "Text .txt", "txt").splitlines() == final_texts(page)

    @pytest.mark.parametrize(("label", "kind"), [("Subtitles .srt", "srt"), ("Web subtitles .vtt", "vtt")])
    def test_saved_subtitles_have_times_of_speech(self, page: Page, label: str, kind: str) -> None:
        cues = list(pysubs2.SSAFile.from_string(saved(page, label, kind), format_=kind))
        spoken = " ".join(final_texts(page)).split()
        assert [word for cue in cues for word in cue.plaintext.split()] == spoken
        assert all(len(line) <= 42 for cue in cues for line in cue.plaintext.splitlines())
        ends = [0, *(cue.end for cue in cues)]
        for cue, end_before in zip(cues, ends, strict=False):
            assert end_before <= cue.start < cue.end <= (SPOKEN_S + 5) * 1000
        assert sum(cue.duration for cue in cues) > SPOKEN_S * 1000 / 2

    def test_subtitles_that_the_server_does_not_write_are_explained(self, page: Page) -> None:
        entry = page.get_by_role("button", name="Subtitles .srt", exact=True)
        page.route("**/api/subtitles", lambda route: route.abort())
        page.get_by_test_id("save").click()
        entry.click()
        expect(page.get_by_test_id("notice")).to_contain_text("The server does not respond. You can still save")
        page.unroute("**/api/subtitles")
        page.route("**/api/subtitles", lambda route: route.fulfill(status=413, json={"detail": "large"}))
        page.get_by_test_id("save").click()
        entry.click()
        expect(page.get_by_test_id("notice")).to_contain_text("This transcript is too long for it.")
        page.unroute("**/api/subtitles")
        saved(page, "Subtitles .srt", "srt")
        expect(page.get_by_test_id("notice")).to_be_hidden()

    def test_saved_json_has_every_block_with_its_times(self, page: Page) -> None:
        rows = json.loads(saved(page, "All data .json", "json"))
        assert [row["text"] for row in rows] == final_texts(page)
        for row in rows:
            assert row["final"] is True
            assert row["connection"] == 1
            assert 0 <= row["audioStartSeconds"] < row["audioEndSeconds"]
            assert row["startedAt"] < row["endedAt"]


def saved(page: Page, label: str, kind: str) -> str:
    """The file that a menu entry saves."""
    page.get_by_test_id("save").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=label, exact=True).click()
    expect(page.locator("#save-menu")).to_be_hidden()
    assert re.fullmatch(rf"transcript-\d{{4}}-\d\d-\d\d-\d{{4}}\.{kind}", download.value.suggested_filename)
    return Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.contract("9.5")
def test_page_follows_words_until_reader_scrolls_up(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech, size=(900, 420)) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        blocks = page.locator("[data-testid=segment][data-final=true]")

        def say_next(times: int) -> None:
            for number in range(blocks.count() + 1, blocks.count() + 1 + times):
                scripted.partial(number, 1, "half a sentence", " that goes on")
                scripted.final(number, f"Sentence {number} of a talk. " * 8)
            expect(blocks.nth(number - 1)).to_be_attached()

        expect_connection(page, "Ready")
        say_next(4)
        wait_until(page, f"scrollY > 100 && {FROM_END} < 2")
        expect(page.get_by_test_id("newest")).to_be_hidden()

        page.mouse.move(600, 200)
        page.mouse.wheel(0, -150)
        expect(page.get_by_test_id("newest")).to_be_visible()
        wait_until(page, f"{FROM_END} > 100")
        place = page.evaluate("scrollY")
        say_next(2)
        assert page.evaluate("scrollY") == place
        expect(page.get_by_test_id("newest")).to_have_text(re.compile(r"^\s*2 new\s*$"))

        page.get_by_test_id("newest").click()
        expect(page.get_by_test_id("newest")).to_be_hidden()
        wait_until(page, f"{FROM_END} < 2")
        say_next(1)
        wait_until(page, f"{FROM_END} < 2")


def test_activity_on_phone_is_below_and_opens(server: ServerProcess, tmp_path: Path) -> None:
    speech = microphone_recording(tmp_path / "speech.wav", "beckett.wav")
    with open_page(server.url, speech, size=(360, 740)) as page:
        start_talking(page)
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        timeline = page.get_by_test_id("timeline")
        expect(page.get_by_test_id("timeline-plot")).to_be_hidden()
        timeline.locator("summary").click()
        expect(page.get_by_test_id("timeline-plot")).to_be_visible()
        tops = [
            e.evaluate("(e) => e.getBoundingClientRect().top") for e in (page.get_by_test_id("segment").last, timeline)
        ]
        assert tops[0] < tops[1]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.contract("9.5", "9.6")
def test_wake_word_wait_detection_and_recording_are_shown(tmp_path: Path) -> None:
    talk = np.concatenate([room(1.0), say(f"{WAKE_WORD}."), room(1.0), say("turn on the kitchen light."), room(2.0)])
    speech = write_microphone_file(tmp_path / "talk.wav", (talk / 32_768).astype(np.float32), SAMPLE_RATE_HZ)
    flags = [*WAKE_FLAGS, "--wake-word-followup-window", "2"]
    with ServerProcess(tmp_path / "output.txt", flags) as waiting, open_page(waiting.url, speech) as page:
        page.evaluate(
            """() => {
              window.states = [];
              const chip = document.querySelector('[data-testid=state]');
              new MutationObserver(() => window.states.push(chip.textContent)).observe(chip, { childList: true });
            }"""
        )
        start_talking(page)
        expect(page.get_by_test_id("state")).to_have_text(f"Waiting for “{WAKE_WORD}”")
        expect(page.locator("#welcome-title")).to_have_text(f"Say “{WAKE_WORD}”, then speak.")
        block = page.locator("[data-testid=segment][data-final=true]")
        expect(block).to_contain_text(re.compile("turn on", re.IGNORECASE), timeout=SPEECH_TIMEOUT_MS)
        expect(block.get_by_test_id("segment-meta")).to_have_text(re.compile(rf"· “{WAKE_WORD}” at \d\d:\d\d:\d\d$"))
        states = page.evaluate("window.states")
        detected = states.index("Wake word detected")
        waiting_at = states.index(f"Waiting for “{WAKE_WORD}”")
        assert detected == waiting_at + 1, states
        assert "Hearing you" in states[detected:]
        expect(page.locator("#timeline-tracks")).to_contain_text("Wake word")
        expect(page.get_by_test_id("log-list")).to_contain_text("No more speech: a wake word is needed again")
        log = page.locator("#log-list [data-kind=wake] .log-title").all_inner_texts()
        assert log[-3:] == ["Stopped waiting for the wake word", "Wake word detected", "Waiting for the wake word"]
        texts = " ".join(timeline_texts(page))
        assert f"detected “{WAKE_WORD}”" in texts
        assert "waiting for the wake word" in texts
        assert page.evaluate(FILLED, 1) > 10
