"""A page with a diff of ten thousand rows in Chromium, beside the same rows in one table.

    python -m bench.diffs_browser [--rows 10000] [--rounds 5]

Loaded from a server of this program into a fresh page, with the diff drawn ahead by the worker. Counted is the
processor time of the page's main thread (Performance.getMetrics: TaskDuration in thread ticks) until two frames after
`load`, each time in a new browser context. What the page costs around a diff is seen at the small one. To compare like
with like, the diff is also loaded bare, from a file: what the page gets of it at first, and the same diff in one
`<table>` without `content-visibility`, as most viewers write it.
"""

import argparse
import json
import re
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from app.diffs.highlight import colours_of, plan
from app.diffs.parse import parse
from app.diffs.render import Known, draw
from bench import diffs_corpus, logs
from bench.measure import tool
from bench.servers import free_port, start
from tests.servers import chromium_args, find_chromium

_SAMPLES = Path(__file__).parent.parent / "app" / "samples" / "success_memory.jsonl"
_STATIC = Path(__file__).parent.parent / "static"
_TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    diff = diffs_corpus.large(given.rows).diff
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log.jsonl"
        sample = json.loads(_SAMPLES.read_bytes().splitlines()[2])
        small = json.dumps(sample)
        log.write_text(small + "\n" + json.dumps(sample | {"successful_diff_summary": diff}) + "\n", encoding="utf-8")
        logs.install(log, folder / "data", folder / "cache", prepare=None)
        for file, html in _bare(diff).items():
            (folder / file).write_text(html, encoding="utf-8", errors="replace")
        port = free_port()
        command: list[str | Path] = [tool("patchsift"), "serve", "--no-open", "--no-worker"]
        command += ["--port", str(port), "--data-dir", folder / "data"]
        with start(command, port, "/queue", folder / "cache"), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=chromium_args())
            _compare(browser, f"http://127.0.0.1:{port}", folder, given.rounds)
            browser.close()


def _compare(browser: Browser, server: str, folder: Path, rounds: int) -> None:
    addresses = {
        "page of a small diff": f"{server}/candidates/1",
        "page, unified": f"{server}/candidates/2?view=unified",
        "page, side by side": f"{server}/candidates/2?view=split",
        "bare, ours": (folder / "ours.html").as_uri(),
        "bare, one table": (folder / "table.html").as_uri(),
    }
    spent: dict[str, list[float]] = {name: [] for name in addresses}
    n_rows: dict[str, int] = {}
    for _ in range(rounds):
        for name, address in addresses.items():
            cost, n_rows[name] = _load(browser, address)
            spent[name].append(cost)
    for name, costs in spent.items():
        print(
            f"{name}: main thread {statistics.median(costs):.0f} ms ({min(costs):.0f} to {max(costs):.0f}), "
            f"{n_rows[name]:,} rows in the page"
        )
    ratios = [table / ours for table, ours in zip(spent["bare, one table"], spent["bare, ours"], strict=True)]
    print(f"one table costs {statistics.median(ratios):.1f} times as much as ours (wanted: ours at most 150 ms)")


def _load(browser: Browser, address: str) -> tuple[float, int]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    session.send("Performance.enable")
    page.goto(address, wait_until="load")
    page.evaluate(_TWO_FRAMES)
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    n_rows = page.evaluate("document.querySelectorAll('.diff tr').length")
    page.close()
    return metrics["TaskDuration"] * 1000, n_rows


def _bare(diff: str) -> dict[str, str]:
    doc = parse(diff)
    known = Known([(None, None) if piece is None else colours_of(piece) for piece in plan(doc)])
    first = draw(doc, "unified", known, address="/candidates/2")[0]
    rows = re.findall(r"<tr>.*?(?=<tr>|</table>)", draw(doc, "unified", known)[0], re.DOTALL)
    css = (_STATIC / "diff.css").read_text(encoding="utf-8")
    head = f'<!DOCTYPE html><meta charset="utf-8"><style>{css}</style>'
    table = f'<div class="diff unified"><table class="un">{"".join(rows)}</table></div>'
    return {"ours.html": head + first, "table.html": head + table}


if __name__ == "__main__":
    main()
