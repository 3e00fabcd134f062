"""The diff pipeline beside its peers, in one run: parse, pairs, words, colours, drawing, the worker's cache.

    python -m bench.diffs [--sets 300] [--log FILE.jsonl ...] [--no-node]

The corpus is made of real Python sources of installed packages with seeded edits (`bench/diffs_corpus.py`), so that it
is known what each line was and where each string begins, and of the sample patches. `--log` adds the diffs of logs.

Peers: unidiff and whatthepatch read; Pygments colours the whole of both files, and a Jinja template writes the rows (it
marks no words, which flatters it); diff2html draws side by side in Node, without colours, if npm can fetch it.
Ours and a peer take turns on each diff; CPU time; medians.
"""

import argparse
import html
import io
import itertools
import json
import shutil
import statistics
import subprocess
import tempfile
import time
import tokenize
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jinja2
from pygments import highlight as pygments_highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from rapidfuzz.distance import Indel
from unidiff.patch import PatchSet

from app.diffs.highlight import colours_of, plan
from app.diffs.intraline import intraline
from app.diffs.pairing import align
from app.diffs.parse import FileDiff, Hunk, parse
from app.diffs.render import Known, render
from bench import diffs_corpus
from bench.diffs_corpus import ChangeSet

ROUNDS = 3
_SAMPLES = Path(__file__).parent.parent / "app" / "samples" / "success_memory.jsonl"
_DIFF_FIELDS = ("successful_diff_summary", "successful_diff_summary_snippet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=300, help="how many change sets to make")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, nargs="*", default=[], help="logs whose diffs are measured too")
    parser.add_argument("--no-node", action="store_true")
    given = parser.parse_args()
    sets = diffs_corpus.change_sets(given.sets, given.seed)
    logged = [diff for log in [_SAMPLES, *given.log] for diff in _logged(log)]
    sizes = sorted(one.n_lines for one in sets)
    print(
        f"{len(sets)} change sets of {sum(len(one.changes) for one in sets):,} files, {sum(sizes):,} diff lines "
        f"(median {_at(sizes, 50)}, p95 {_at(sizes, 95):,}, most {sizes[-1]:,}); {len(logged)} logged diffs\n"
    )
    texts = [one.diff for one in sets] + logged
    measure_parse(texts)
    measure_pairs(texts)
    measure_words(texts)
    measure_states(sets)
    measure_drawing(sets, node=not given.no_node)
    measure_cache(texts)


def _logged(path: Path) -> Iterator[str]:
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield from (entry[field] for field in _DIFF_FIELDS if isinstance(entry.get(field), str))


# ------------------------------------------------------------------------------------------------ parse


def measure_parse(texts: Sequence[str]) -> None:
    n_lines = sum(text.count("\n") for text in texts)
    import whatthepatch

    readers: dict[str, Callable[[str], object]] = {
        "ours": parse,
        "unidiff": lambda text: PatchSet(io.StringIO(text)),
        "whatthepatch": lambda text: list(whatthepatch.parse_patch(text)),
    }
    rates, refused = {}, {}
    for name, read in readers.items():
        best, n_refused = float("inf"), 0
        for _ in range(ROUNDS):
            spent, n_refused = 0.0, 0
            for text in texts:
                begun = time.process_time()
                try:
                    read(text)
                except Exception:  # noqa: BLE001  that it refuses is what is counted
                    n_refused += 1
                spent += time.process_time() - begun
            best = min(best, spent)
        rates[name], refused[name] = n_lines / best, n_refused
    for name, rate in rates.items():
        print(f"parse, {name}: {rate / 1e6:.2f} M lines/s, {refused[name]} refused")
    best_peer = max(rate for name, rate in rates.items() if name != "ours")
    print(f"  {rates['ours'] / best_peer:.1f} times the best peer (wanted: 1 M lines/s, 2 times)\n")


# ------------------------------------------------------------------------------------------------ pairs


def measure_pairs(texts: Sequence[str]) -> None:
    """Of replaced blocks larger than one to one: how many of the lines put together have less than half in common."""
    blocks = [block for text in texts for block in diffs_corpus.blocks(text) if max(map(len, block)) > 1]
    begun = time.process_time()
    ours = [align(old, new) for old, new in blocks]
    spent = time.process_time() - begun
    n_lines = sum(len(old) + len(new) for old, new in blocks)
    by_place = [[(i, i) for i in range(min(len(old), len(new)))] for old, new in blocks]
    for name, found in (("ours", ours), ("by position", by_place)):
        alike = [
            Indel.normalized_similarity(old[i].strip(), new[j].strip())
            for (old, new), pairs in zip(blocks, found, strict=True)
            for i, j in pairs
        ]
        n_bad = sum(score < 0.5 for score in alike)
        print(
            f"pairs, {name}: {len(alike):,} in {len(blocks):,} blocks, {n_bad:,} unrelated ({n_bad / len(alike):.1%})"
        )
    print(f"  {spent / n_lines * 1e6:.2f} us a line (wanted: 0 unrelated; 2 us)\n")


# ------------------------------------------------------------------------------------------------ words


def measure_words(texts: Sequence[str]) -> None:
    """Marks inside pairs: how long they take, and how often they leave one or two letters of a word between them."""
    import difflib

    pairs = [
        (old[i], new[j])
        for text in texts
        for old, new in diffs_corpus.blocks(text)
        for i, j in align(old, new)
        if max(len(old), len(new)) <= 20
    ][:3000]

    def characters(old: str, new: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        codes = [code for code in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if code[0] != "equal"]
        return [(c[1], c[2]) for c in codes if c[1] < c[2]], [(c[3], c[4]) for c in codes if c[3] < c[4]]

    for name, marks in (("ours", intraline), ("difflib by characters", characters)):
        best = float("inf")
        for _ in range(ROUNDS):
            begun = time.process_time()
            found = [marks(old, new) for old, new in pairs]
            best = min(best, time.process_time() - begun)
        n_shredded = sum(
            _is_shredded(old, spans[0]) or _is_shredded(new, spans[1])
            for (old, new), spans in zip(pairs, found, strict=True)
        )
        print(
            f"words, {name}: {best / len(pairs) * 1e6:.1f} us a pair, {n_shredded / len(pairs):.2%} shredded "
            f"({len(pairs):,} pairs)"
        )
    print("  (wanted: at most 0.5 % shredded; 4.6 us)\n")


def _is_shredded(line: str, spans: Sequence[tuple[int, int]]) -> bool:
    gaps = [(end, start) for (_, end), (start, _) in itertools.pairwise(spans)]
    return any(0 < stop - start <= 2 and line[start:stop].isalnum() for start, stop in gaps)


# ------------------------------------------------------------------------------------------------ states


def measure_states(sets: Sequence[ChangeSet]) -> None:
    """Of hunk sides, drawn from the diff alone: how many are coloured as if they began elsewhere than they do."""
    ours: list[str | None] = []
    truth: list[str] = []
    for one in sets:
        known = {change.path: change for change in one.changes}
        doc = parse(one.diff)
        for file in doc.files:
            change = known[file.path]
            sides = [_strings(change.before), _strings(change.after)]
            if sides[0] is None or sides[1] is None:
                continue  # an edit broke the file for the tokenizer: there is no truth
            for hunk in file.hunks:
                guessed = plan_openings(file, hunk)
                for side, (strings, start) in enumerate(zip(sides, (hunk.old_start, hunk.new_start), strict=True)):
                    if strings is not None and start is not None and _has_side(hunk, side):
                        ours.append(guessed[side])
                        truth.append(_opening_at(strings, start))
    n = len(truth)
    wrong = sum(mine is not None and mine != true for mine, true in zip(ours, truth, strict=True))
    plain = sum(mine is None for mine in ours)
    inside = sum(true != "" for true in truth)
    print(f"colour states, {n:,} hunk sides, {inside / n:.1%} of them begin inside a string")
    print(
        f"  ours: {wrong / n:.2%} wrong, {plain / n:.2%} left plain; all others begin in code: {inside / n:.2%} wrong"
    )
    print("  (wanted: at most 1 % wrong)\n")


def plan_openings(file: FileDiff, hunk: Hunk) -> tuple[str | None, str | None]:
    """Where the sides of a hunk begin, as the page takes it."""
    from app.diffs.highlight import openings_of

    return openings_of(file, hunk)


def _has_side(hunk: Hunk, side: int) -> bool:
    return bool(hunk.new_lines if side else hunk.old_lines)


def _strings(text: str) -> list[tuple[int, int, str]] | None:
    """First and last line of each triple-quoted string, and its quotes; None where the file cannot be read."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING and token.start[0] != token.end[0]:
                body = token.string.lstrip("rRbBuUfF")
                found.append((token.start[0], token.end[0], body[:3]))
    except (tokenize.TokenError, SyntaxError):
        return None
    return found


def _opening_at(strings: Sequence[tuple[int, int, str]], line: int) -> str:
    return next((quotes for first, last, quotes in strings if first < line <= last), "")


# ------------------------------------------------------------------------------------------------ drawing

_PAGE = jinja2.Environment(autoescape=True).from_string(
    """{% for file in files %}<table class="diff"><caption>{{ file.path }}</caption>
{% for row in file.rows %}<tr class="{{ row.css }}"><td class="n">{{ row.old }}</td><td class="n">{{ row.new }}</td>\
<td class="code"><span class="sign">{{ row.sign }}</span>{{ row.html|safe }}</td></tr>
{% endfor %}</table>{% endfor %}"""
)
_FORMATTER = HtmlFormatter(nowrap=True)


def draw_whole(one: ChangeSet) -> str:
    """What a viewer does that has the files: Pygments over the whole of both, a template for the rows."""
    known = {change.path: change for change in one.changes}
    files = []
    for patched in PatchSet(io.StringIO(one.diff)):
        change = known[patched.path]
        old, new = (
            pygments_highlight(side, PythonLexer(stripnl=False), _FORMATTER).split("\n")
            for side in (change.before, change.after)
        )
        files.append({"path": patched.path, "rows": [row for hunk in patched for row in _peer_rows(hunk, old, new)]})
    return _PAGE.render(files=files)


def _peer_rows(hunk: object, old: Sequence[str], new: Sequence[str]) -> Iterator[dict[str, object]]:
    for line in hunk:  # type: ignore[attr-defined]
        if line.line_type not in " +-":
            continue
        is_old = line.line_type == "-"
        at = (line.source_line_no if is_old else line.target_line_no) - 1
        side = old if is_old else new
        yield {
            "css": {" ": "same", "+": "added", "-": "removed"}[line.line_type],
            "old": line.source_line_no or "",
            "new": line.target_line_no or "",
            "sign": line.line_type,
            "html": side[at] if at < len(side) else html.escape(line.value),
        }


def draw_ours(one: ChangeSet) -> str:
    """As the worker does, from the diff alone: read, colour, pair, mark, draw."""
    doc = parse(one.diff)
    return str(
        render(doc, "split", Known([(None, None) if piece is None else colours_of(piece) for piece in plan(doc)]))
    )


def measure_drawing(sets: Sequence[ChangeSet], *, node: bool) -> None:
    ours: list[float] = []
    whole: list[float] = []
    n_ours: list[int] = []
    n_whole: list[int] = []
    ratios: list[float] = []
    sets = sorted(sets, key=lambda one: one.n_lines)
    draw_ours(sets[0]), draw_whole(sets[0])
    for one in sets:
        mine, page = _least(lambda one=one: draw_ours(one))  # type: ignore[misc]
        theirs, other = _least(lambda one=one: draw_whole(one), rounds=1)  # type: ignore[misc]
        ours.append(mine * 1000)
        whole.append(theirs * 1000)
        ratios.append(theirs / mine)
        n_ours.append(len(page.encode(errors="replace")))
        n_whole.append(len(other.encode(errors="replace")))
    middle = slice(len(sets) * 45 // 100, len(sets) * 55 // 100 + 1)
    print(f"drawing, ours: CPU ms median {_at(sorted(ours), 50):.2f}, p95 {_at(sorted(ours), 95):.1f}; "
          f"HTML median {_at(sorted(n_ours), 50) / 1000:.1f} kB")  # fmt: skip
    print(f"drawing, Pygments whole files + Jinja rows: median {_at(sorted(whole), 50):.1f}, p95 "
          f"{_at(sorted(whole), 95):.1f}; HTML median {_at(sorted(n_whole), 50) / 1000:.1f} kB")  # fmt: skip
    print(
        f"  median diff ({sets[len(sets) // 2].n_lines} lines): ours is 1/{statistics.median(ratios[middle]):.1f} "
        f"(all diffs: median 1/{statistics.median(ratios):.1f}); wanted 1/10"
    )
    if node:
        _measure_node(sets, ours)
    print()


def _measure_node(sets: Sequence[ChangeSet], ours: Sequence[float]) -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        print("  diff2html: node or npm is not here, so it was not measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--prefix", folder, "diff2html@3.4.56"], check=False,
            capture_output=True, timeout=120,
        )  # fmt: skip
        if fetched.returncode:
            print("  diff2html: npm could not fetch it, so it was not measured")
            return
        script = Path(__file__).with_name("diffs_peers.mjs")
        sent = json.dumps({"diffs": [one.diff for one in sets]})
        said = subprocess.run(
            ["node", script, folder], input=sent.encode(), capture_output=True, check=True, timeout=600
        )
    drawn = json.loads(said.stdout)
    times, sizes = sorted(one["ms"] for one in drawn), sorted(one["bytes"] for one in drawn)
    print(f"drawing, diff2html (no colours): CPU ms median {_at(times, 50):.2f}, p95 {_at(times, 95):.1f}; HTML median "
          f"{_at(sizes, 50) / 1000:.1f} kB; ours by theirs {_at(sorted(ours), 95) / _at(times, 95):.2f}")  # fmt: skip


# ------------------------------------------------------------------------------------------------ cache


def measure_cache(texts: Sequence[str]) -> None:
    """What a page pays for a diff that the worker drew when it came in: one row by its key, unpacked."""
    from app import prepare, review
    from app.db import Database
    from app.settings import Settings
    from bench import logs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log.jsonl"
        sample = json.loads(_SAMPLES.read_bytes().splitlines()[2])
        entries = [
            json.dumps(sample | {"spec_issue_description": f"Change {n}", "successful_diff_summary": text})
            for n, text in enumerate(texts)
        ]
        log.write_text("\n".join(entries) + "\n", encoding="utf-8")
        n = logs.install(log, folder / "data", folder / "cache", prepare=None)
        db = Database(Settings(data_dir=folder / "data"))
        version = prepare.renderer_version()
        spent: list[float] = []
        with db.read() as session:
            found = [review.find_rendering(session, number, "unified", version) for number in range(1, n + 1)]
            for number in range(1, n + 1):
                begun = time.process_time()
                for _ in range(10):
                    review.find_rendering(session, number, "unified", version)
                spent.append((time.process_time() - begun) / 10 * 1000)
        db.close()
    drawn = [page for page in found if page is not None]
    packed = sorted(len(zlib.compress(page.encode(errors="replace"))) for page in drawn)
    spent.sort()
    print(f"from the cache: CPU ms median {_at(spent, 50):.3f}, p95 {_at(spent, 95):.3f}, most {spent[-1]:.2f} "
          f"({len(drawn):,} of {n:,}; packed {_at(packed, 50) / 1000:.1f} kB); wanted: 0.3, median\n")  # fmt: skip


# ------------------------------------------------------------------------------------------------ figures


def _least(draw: Callable[[], str], rounds: int = ROUNDS) -> tuple[float, str]:
    best, page = float("inf"), ""
    for _ in range(rounds):
        begun = time.process_time()
        page = draw()
        best = min(best, time.process_time() - begun)
    return best, page


def _at(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


if __name__ == "__main__":
    main()
