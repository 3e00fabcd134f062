"""A key, and the next candidate painted: ours, fetched beforehand, beside the plain htmx swap of the same page.

    python -m bench.key_to_paint [--log FILE.jsonl] [--blocks 6]

A real key is pressed in Chromium. Wall time runs from the key's own time stamp to the first task after the frame that
shows the next candidate; CPU is what the page's main thread did meanwhile (`TaskDuration`), with what it fetches ahead
for later. The two take turns in blocks over one queue, in one server: the peer is the same page without
`static/review.js`, where htmx posts the form and swaps what comes. Without a log every tenth candidate is made to have
1,300 lines, as the 95th of 100 commits has.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, CDPSession, Page, sync_playwright

from bench import logs
from bench.measure import tool
from bench.servers import free_port, start
from tests.servers import chromium_args, find_chromium

_BLOCK = 20
_LONG_LINES = 1300
_READY = "document.readyState === 'complete' && performance.now() - paintedAt > 400 && inFlight === 0"
_WATCH = """() => new Promise((done) => {
  let pressed = 0;
  addEventListener("keydown", (event) => { pressed = event.timeStamp; }, { capture: true, once: true });
  const watch = new MutationObserver(() => {
    const now = document.querySelector("#candidate");
    if (now === before || !now) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now() - pressed; }));
  });
  const before = document.querySelector("#candidate");
  window.painted = null;
  watch.observe(document.querySelector("#main"), { childList: true });
  done();
})"""


@dataclass(frozen=True)
class Turn:
    """One decision: rows of the candidate that came, wall and CPU milliseconds until it was painted."""

    n_rows: int
    wall_ms: float
    cpu_ms: float


def _entries(n: int) -> Iterator[bytes]:
    for number, line in enumerate(logs.entries(n)):
        if number % 10 != 9:
            yield line
            continue
        entry = json.loads(line)
        changed = "".join(
            f"-    value_{k} = read(name_{k})\n+    value_{k} = self.read(name_{k}, {number})\n"
            for k in range(_LONG_LINES // 2)
        )
        half = _LONG_LINES // 2
        entry["successful_diff_summary"] = f"--- a/long.py\n+++ b/long.py\n@@ -1,{half} +1,{half} @@\n{changed}"
        yield json.dumps(entry).encode()


def _cpu_ms(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def _until(page: Page, holds: str) -> None:
    while not page.evaluate(holds):
        page.wait_for_timeout(20)


def _block(context: BrowserContext, address: str, *, is_ours: bool) -> Iterator[Turn]:
    page = context.new_page()
    page.goto(address + "/queue/start")
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    for _ in range(_BLOCK):
        _until(page, _READY)
        if is_ours:
            _until(page, "fetched.size > 1 && listWaiting().length === 0")
        page.evaluate(_WATCH)
        before = _cpu_ms(session)
        page.keyboard.press("s")
        _until(page, "window.painted !== null")
        wall, cpu = page.evaluate("window.painted"), _cpu_ms(session) - before
        yield Turn(page.evaluate("document.querySelectorAll('#diff tr').length"), wall, cpu)
    page.close()


def _said(turns: list[Turn]) -> str:
    walls, cpus = sorted(one.wall_ms for one in turns), sorted(one.cpu_ms for one in turns)
    return (
        f"{statistics.median(walls):6.1f} ms wall ({walls[0]:.1f} to {walls[-1]:.1f}), "
        f"{statistics.median(cpus):6.1f} ms CPU of {len(turns)}"
    )


def _compare(label: str, ours: list[Turn], theirs: list[Turn], wanted: str) -> None:
    rows = statistics.median(one.n_rows for one in ours)
    wall = statistics.median(one.wall_ms for one in theirs) / statistics.median(one.wall_ms for one in ours)
    cpu = statistics.median(one.cpu_ms for one in theirs) / statistics.median(one.cpu_ms for one in ours)
    print(f"{label}, {rows:,.0f} rows: ours {_said(ours)}{wanted}")
    print(f"{' ' * len(label)}  htmx swap {_said(theirs)}; {wall:.1f} times the wall, {cpu:.1f} times the CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, help="a log; without it one is made of the samples")
    parser.add_argument("--blocks", type=int, default=6, help=f"blocks of {_BLOCK} decisions, of each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, cache, port = folder / "ours", folder / "cache", free_port()
        made = folder / "made.jsonl"
        if given.log is None:
            made.write_bytes(b"".join(line + b"\n" for line in _entries(given.blocks * 2 * _BLOCK + 20)))
        logs.install(given.log or made, data, cache, prepare=None)
        command: list[str | Path] = [tool("patchsift"), "serve", "--no-open", "--no-worker"]
        command += ["--port", str(port), "--data-dir", data]
        with start(command, port, "/queue", cache), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=chromium_args())
            ours, peer = browser.new_context(), browser.new_context()
            peer.route("**/review.js*", lambda route: route.abort())
            turns: dict[bool, list[Turn]] = {True: [], False: []}
            for _ in range(given.blocks):
                for is_ours, context in ((True, ours), (False, peer)):
                    turns[is_ours] += _block(context, f"http://127.0.0.1:{port}", is_ours=is_ours)
            browser.close()
    cut = statistics.quantiles([one.n_rows for one in turns[True]], n=20)
    short = {who: [one for one in found if one.n_rows <= cut[13]] for who, found in turns.items()}
    long = {who: [one for one in found if one.n_rows >= cut[18]] for who, found in turns.items()}
    _compare("median patch", short[True], short[False], " (wanted: 50 ms wall or less)")
    _compare("p95 patch", long[True], long[False], "")


if __name__ == "__main__":
    main()
