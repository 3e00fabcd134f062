"""What travels: the first visit of a review page in a cold browser, and each next candidate after it.

    python -m bench.page_weight [--log FILE.jsonl ...] [--entries 391]

Bytes on the wire are summed over the browser's own count (encodedDataLength: headers and compressed bodies). The
candidates are decided one after the other, so what is weighed next is what a reviewer gets: one response, gzip.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from bench import logs
from bench.decide_next import Reviewer
from bench.measure import tool
from bench.servers import free_port, start
from tests.servers import chromium_args, find_chromium


@dataclass(frozen=True)
class Visit:
    """One page load as the browser counted it."""

    n_bytes: int
    n_requests: int
    hosts: set[str]
    largest: list[tuple[int, str]]

    def __str__(self) -> str:
        """`41.3 kB in 6 requests, 0 foreign hosts (htmx.min.js 13.4, …)`."""
        foreign = self.hosts - {"127.0.0.1", "localhost"}
        parts = ", ".join(f"{name} {size / 1000:.1f}" for size, name in self.largest)
        return f"{self.n_bytes / 1000:.1f} kB in {self.n_requests} requests, {len(foreign)} foreign hosts ({parts})"


def _visit(context: BrowserContext, address: str) -> Visit:
    page = context.new_page()
    session = context.new_cdp_session(page)
    asked: dict[str, str] = {}
    sizes: dict[str, int] = {}
    session.on("Network.requestWillBeSent", lambda event: asked.update({event["requestId"]: event["request"]["url"]}))
    session.on(
        "Network.loadingFinished", lambda event: sizes.update({event["requestId"]: int(event["encodedDataLength"])})
    )
    session.send("Network.enable")
    page.goto(address, wait_until="networkidle")
    page.close()
    urls = {number: url for number, url in asked.items() if not url.startswith("data:")}
    parts = [(sizes.get(number, 0), urlsplit(url).path.rpartition("/")[2]) for number, url in urls.items()]
    return Visit(
        sum(sizes.values()), len(urls), {urlsplit(url).hostname or "" for url in urls.values()}, sorted(parts)[::-1]
    )


def _visits(browser: Browser, address: str) -> tuple[Visit, Visit]:
    """With an empty cache, and again with what that visit left there."""
    context = browser.new_context()
    cold, warm = _visit(context, address), _visit(context, address)
    context.close()
    return cold, warm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, nargs="*", default=[], help="logs; without them one is made of the samples")
    parser.add_argument("--entries", type=int, default=391, help="how many lines to make")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, cache, port = folder / "ours", folder / "cache", free_port()
        for log in given.log or [logs.write(given.entries, folder / "made.jsonl")]:
            n = logs.install(log, data, cache, prepare=None)
        command: list[str | Path] = [tool("patchsift"), "serve", "--no-open", "--no-worker"]
        command += ["--port", str(port), "--data-dir", data]
        with start(command, port, "/queue", cache) as server:
            reviewer = Reviewer.open(server, "/candidates/1")
            for _ in range(n - 1):
                reviewer.decide()
            sizes = sorted(reviewer.sizes)
            # What is weighed in the browser: the candidates whose fragments are the median and the 95th percentile.
            order = sorted(range(len(reviewer.sizes)), key=lambda at: reviewer.sizes[at])
            shown = {"median": order[len(order) // 2] + 2, "p95": order[len(order) * 95 // 100] + 2}
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=find_chromium(), args=chromium_args())
                for label, number in shown.items():
                    cold, warm = _visits(browser, f"http://127.0.0.1:{port}/candidates/{number}")
                    print(f"first visit, {label} candidate: {cold} (wanted: 60 kB or less)")
                    print(f"again, from the cache: {warm}")
                browser.close()
    cuts = statistics.quantiles(sizes, n=20)
    print(
        f"next candidate, gzip, {len(sizes):,} of them: median {cuts[9] / 1000:.1f} kB, p95 {cuts[18] / 1000:.1f} kB, "
        f"most {sizes[-1] / 1000:.1f} kB (wanted: p95 6 kB or less)"
    )


if __name__ == "__main__":
    main()
