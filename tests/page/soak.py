"""Soak test of the page: `python -m tests.page.soak 10` talks for 10 minutes and prints memory and frame times.

It uses the real server and model, and measures the JavaScript heap after a garbage collection, the number of DOM nodes,
and the time between frames.
"""

import sys
import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import CDPSession

from tests.support.page import ServerProcess, chromium, expect_connection, microphone_recording, open_page

MEASURE_FRAMES = """() => {
  window.frames = [];
  let before = performance.now();
  const next = (now) => {
    window.frames.push(now - before);
    before = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
FRAMES = """() => {
  const sorted = window.frames.splice(0).sort((a, b) => a - b);
  return [0.5, 0.95, 0.99].map((part) => sorted[Math.floor(part * (sorted.length - 1))]);
}"""


def browser_metrics(session: CDPSession) -> dict[str, float]:
    """The browser's metrics after a garbage collection."""
    session.send("HeapProfiler.collectGarbage")
    return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}


def main(minutes: int) -> None:
    with closing(chromium), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = microphone_recording(folder / "speech.wav", "two_cities.wav")
        with (
            ServerProcess(folder / "output.txt") as server,
            open_page(server.url, speech, repeat=True, size=(1600, 1000)) as page,
        ):
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            expect_connection(page, "Ready")
            page.get_by_test_id("talk").click()
            page.evaluate(MEASURE_FRAMES)
            print("minute  blocks  heap MB  nodes  frame ms: p50   p95   p99")  # noqa: T201 - a command that prints
            for minute in range(1, minutes + 1):
                page.wait_for_timeout(60_000)
                frames = page.evaluate(FRAMES)
                now = browser_metrics(session)
                page.evaluate(FRAMES)  # leaves out the frames during the garbage collection
                blocks = page.get_by_test_id("segment").count()
                heap_mb = now["JSHeapUsedSize"] / 1e6
                row = f"{minute:6}  {blocks:6}  {heap_mb:7.2f}  {now['Nodes']:5.0f}          "
                print(row + "  ".join(f"{each:4.1f}" for each in frames), flush=True)  # noqa: T201 - the same


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
