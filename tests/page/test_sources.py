"""Audio sources and their problems, in a real Chromium against the real server."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.support.page import (
    SPEECH_TIMEOUT_MS,
    ServerProcess,
    expect_connection,
    expect_talk,
    final_texts,
    open_page,
    record_packets,
    request_json,
    wait_until,
)
from tests.support.real import moonshine_asset
from tests.support.sound_files import encode
from tests.support.wer import BECKETT, word_error_rate

FINAL = "[data-testid=segment][data-final=true]"

# Drops a file on the page by dispatching the events of a drag.
DROP = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ['dragenter', 'dragover', 'drop']) {
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""
KEEP_TRACKS = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await ask(constraints);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
"""
# Behaves as Firefox does: a stream connects only to a context of the device's own rate.
REFUSE_OTHER_RATES = """
  const connect = AudioContext.prototype.createMediaStreamSource;
  AudioContext.prototype.createMediaStreamSource = function (stream) {
    if (this.sampleRate !== new AudioContext().sampleRate) throw new DOMException('', 'NotSupportedError');
    return connect.call(this, stream);
  };
"""
# Records the texts of the queue of files, which may change faster than a test looks.
WATCH_FILES = """() => {
  window.seenFiles = [];
  const files = document.querySelector('#files');
  const note = () => window.seenFiles.push(files.textContent);
  new MutationObserver(note).observe(files, { childList: true, subtree: true });
}"""
REFUSE = """(name) => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); };
}"""


def drop(page: Page, name: str, content: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(content).decode()])


def test_microphone_packets_are_16_khz(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        packets = record_packets(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("talk").click()
        expect(page.get_by_test_id("state")).to_have_text("Ready")
        # On a busy machine, Chromium's test microphone begins within the first two words.
        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.25
        assert {packet["sampleRate"] for packet in packets} == {16_000}
        assert {packet["frames"] for packet in packets[:-1]} == {640}  # 40 ms


def test_browser_that_does_not_resample_sends_device_rate(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(REFUSE_OTHER_RATES)
        packets = record_packets(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(FINAL).first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        device_hz = page.evaluate("new AudioContext().sampleRate")
        assert device_hz > 16_000
        assert {packet["sampleRate"] for packet in packets} == {device_hz}
        assert {packet["frames"] for packet in packets} == {round(0.04 * device_hz)}


def test_dropped_files_are_uploaded_and_transcribed_one_after_the_other(
    server: ServerProcess, speech: Path, tmp_path: Path
) -> None:
    samples, rate_hz = soundfile.read(moonshine_asset("beckett.wav"), dtype="float32")
    m4a = encode(tmp_path / "talk.m4a", samples, codec="aac", rate_hz=rate_hz)
    with open_page("about:blank", speech) as page:
        packets = record_packets(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.evaluate(WATCH_FILES)
        page.locator("[name=file]").set_input_files(
            [
                {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"not audio at all"},
                {"name": "talk.m4a", "mimeType": "audio/mp4", "buffer": m4a.read_bytes()},
            ]
        )
        failed = page.get_by_test_id("file")
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect(failed).to_have_count(1, timeout=SPEECH_TIMEOUT_MS)  # the other one is done
        expect(failed).to_contain_text("Not a readable sound file")
        failed.get_by_role("button", name="Remove notes.txt").click()
        expect(page.get_by_test_id("files")).to_be_hidden()
        expect(page.locator(".break")).to_have_text("talk.m4a")
        expect(page.locator(".segment-time").first).to_have_text(re.compile(r"^0:0\d$"))
        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.2
        assert re.search(r"Transcribing \d+ %", " ".join(page.evaluate("window.seenFiles")))
        assert packets == []
        expect_talk(page, "off")

        # A dropped file is transcribed, too. Opening and closing the Operations view keeps the scroll position.
        drop(page, "beckett.wav", moonshine_asset("beckett.wav").read_bytes())
        expect(page.locator(".break")).to_have_count(2, timeout=SPEECH_TIMEOUT_MS)
        expect(page.get_by_test_id("files")).to_be_hidden(timeout=SPEECH_TIMEOUT_MS)
        page.set_viewport_size({"width": 400, "height": 400})
        wait_until(page, "scrollY > 100")
        page.evaluate("scrollTo(0, 40)")
        expect(page.get_by_test_id("newest")).to_be_visible()
        # Clicked by script, because Playwright scrolls before it clicks.
        page.get_by_test_id("operations-open").evaluate("link => link.click()")
        expect(page.get_by_test_id("lane")).to_be_visible()
        page.get_by_role("link", name="Talk").evaluate("link => link.click()")
        wait_until(page, "scrollY === 40")

        page.evaluate("DataTransferItem.prototype.webkitGetAsEntry = () => ({ isDirectory: true, name: 'talks' })")
        drop(page, "talks", b"")
        expect(page.get_by_test_id("notice")).to_have_text(re.compile("“talks” is a folder. Open it"))
        expect(page.get_by_test_id("files")).to_be_hidden()


@pytest.mark.long
def test_each_channel_of_a_file_is_a_speaker_where_the_user_says_so(
    server: ServerProcess, speech: Path, tmp_path: Path
) -> None:
    left, rate_hz = soundfile.read(moonshine_asset("beckett.wav"), dtype="float32")
    silence = np.zeros(len(left), dtype=np.float32)
    soundfile.write(tmp_path / "call.wav", np.stack([np.r_[left, silence], np.r_[silence, left]], axis=1), rate_hz)
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("audio-open").click()
        page.get_by_role("switch", name="Each channel of a file is a speaker").check()
        page.locator("[name=file]").set_input_files(tmp_path / "call.wav")
        expect(page.get_by_test_id("files")).to_be_hidden(timeout=2 * SPEECH_TIMEOUT_MS)
        shown = page.locator(".paragraph > .segment:first-child .segment-speaker")
        names = list(dict.fromkeys(shown.all_inner_texts()))
        assert names == ["Speaker 1", "Speaker 2"]
        page.get_by_test_id("copy").click()
        expect(page.locator("#announcement")).to_have_text("Transcript copied.")
        lines = page.evaluate("navigator.clipboard.readText()").split("\n")
        assert {line[:11] for line in lines} == {"Speaker 1: ", "Speaker 2: "}


def test_recording_to_try_out_is_transcribed_and_page_is_installable(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("try-out").click()
        expect(page.locator(FINAL).filter(has_text="worst of times")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        manifest = request_json(server, "web/manifest.webmanifest")
        icons = [server.url + "web/" + icon["src"] for icon in manifest["icons"]]
        for url in (*icons, f"{server.url}web/{manifest['start_url']}"):
            assert page.request.get(url).ok, url
        assert page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0


def test_file_that_neither_server_nor_browser_reads_is_reported(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.route("**/v1/audio/transcriptions", lambda route: route.fulfill(status=404, json={}))
        page.goto(server.url)
        page.locator("input[type=file]").set_input_files(
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"not audio at all"}
        )
        expect(page.get_by_test_id("notice").last).to_contain_text("could not be read as audio")
        expect_talk(page, "off")


@pytest.mark.contract("9.6")
@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ("Object.defineProperty(window, 'isSecureContext', { value: false })", "secure pages only"),
        ("delete window.AudioWorkletNode", "lacks AudioWorklet"),
    ],
    ids=["no HTTPS", "no AudioWorklet"],
)
def test_missing_browser_feature_is_reported_and_files_still_work(
    server: ServerProcess, speech: Path, lacking: str, sentence: str
) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(lacking)
        page.goto(server.url)
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("notice")).to_contain_text(sentence)
        page.get_by_test_id("talk").click()
        expect_talk(page, "off")
        drop(page, "beckett.wav", moonshine_asset("beckett.wav").read_bytes())
        expect(page.locator(FINAL).first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ("NotFoundError", "No microphone was found."),
        ("NotAllowedError", "The microphone is blocked for this page."),
        ("NotReadableError", "Another program may be using it."),
        ("UnknownError", "The audio source could not be opened."),
    ],
)
def test_refused_microphone_is_reported_with_advice(
    server: ServerProcess, speech: Path, refusal: str, sentence: str
) -> None:
    with open_page(server.url, speech) as page:
        page.evaluate(REFUSE, refusal)
        page.get_by_test_id("talk").click()
        expect(page.get_by_test_id("notice")).to_contain_text(sentence)
        expect_talk(page, "off")
        page.reload()
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")


def test_shared_tab_is_streamed_until_sharing_ends(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        packets = record_packets(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.evaluate(KEEP_TRACKS.replace("getUserMedia", "getDisplayMedia"))
        page.get_by_test_id("audio-open").click()
        page.get_by_role("button", name="Share a tab or the screen").click()
        expect_talk(page, "live")
        expect(page.get_by_test_id("audio")).to_be_hidden()
        expect(page.get_by_test_id("source")).to_have_text("Shared audio")
        expect(page.get_by_test_id("state")).not_to_have_text("Ready")
        page.evaluate("for (const track of tracks) { track.stop(); track.dispatchEvent(new Event('ended')); }")
        expect_talk(page, "off")
        expect(page.get_by_test_id("notice")).to_contain_text("Sharing has ended.")
        assert {packet["sampleRate"] for packet in packets} == {16_000}
        expect(page.get_by_test_id("state")).to_have_text("Ready")


def test_unplugged_microphone_is_replaced(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(KEEP_TRACKS)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        page.evaluate("window.tracks[0].stop(); window.tracks[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_test_id("notice")).to_contain_text("The page now uses Fake Default Audio Input.")
        expect_talk(page, "live")
        assert page.evaluate("window.tracks.map((track) => track.readyState)") == ["ended", "live"]


@pytest.mark.contract("9.3")
def test_audio_processing_changes_while_talking(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(KEEP_TRACKS)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        page.get_by_test_id("audio-open").click()
        expect(page.get_by_label("Microphone", exact=True).get_by_role("option")).not_to_have_count(1)
        page.get_by_role("switch", name="Noise suppression").uncheck()
        wait_until(page, "tracks.at(-1).getSettings().noiseSuppression === false")
        wait_until(page, "tracks.filter((track) => track.readyState === 'live').length === 1")
        expect_talk(page, "live")
