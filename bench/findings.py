"""Every finding of the checks on real changes, so that anyone can judge which of them are right.

    python -m bench.findings LOGS...                 # logs of the agent: files and folders
    python -m bench.findings --commits REPOSITORY    # the Python of each commit of a git history
    python -m bench.findings LOGS... --reversed      # each diff the other way round: what was added is removed
    python -m bench.findings LOGS... --seeded        # faults planted into these diffs, and how many are found

Prints each hit with the lines around its place, then a table of hits by code. `--code CODE` lists only one code,
`--all` also what does not come from the lines of a diff or a script (no run, hash only, ...). What was judged by hand,
and how, stands in docs/findings.md.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlmodel import col

from app import checks, evidence
from app.candidates import Candidate, Finding, Kind
from app.checks.places import Places
from app.checks.sides import Change, changes_of
from app.db import Database
from app.diffs.parse import DiffDoc, Hunk, parse
from app.models import CandidateRow, Status
from app.settings import Settings
from bench.measure import tool
from bench.servers import environment

_MOST_LENGTH = 200_000

# What is planted, by the code that should tell it: lines, and which of them is the place. `TEST` wants a test file.
SEEDS: dict[str, tuple[tuple[str, int], ...]] = {
    "bare_except": (("try:\n    load()\nexcept:\n    count += 1\nfinish()", 2),),
    "exception_swallowed": (
        ("try:\n    load()\nexcept Exception:\n    pass\nfinish()", 2),
        ("try:\n    load()\nexcept (ValueError, Exception) as error:\n    return None\nfinish()", 2),
        ("with suppress(Exception):\n    load()", 0),
    ),
    "check_silenced": (
        ("value = load()  # noqa", 0),
        ("value = load()  # type: ignore", 0),
        ("value = load()  # pylint: disable=all", 0),
        ("value = load()  # pragma: no cover", 0),
    ),
    "debug_left": (("breakpoint()", 0), ("import pdb; pdb.set_trace()", 0), ('print("here", value)', 0)),
    "runs_code": (
        ("exec(text)", 0),
        ("value = eval(text)", 0),
        ("subprocess.run(command, shell=True)", 0),
        ("os.system(command)", 0),
        ("value = pickle.loads(raw)", 0),
    ),
    "opens_network": (
        ("reply = requests.get(address)", 0),
        ("reply = urllib.request.urlopen(address)", 0),
        ("link = socket.create_connection((host, 80))", 0),
    ),
    "placeholder": (
        ("# ... rest of the code remains unchanged", 0),
        ("def todo(value):\n    # TODO: implement\n    pass\nfinish()", 0),
        ('def todo(value):\n    raise NotImplementedError("not implemented yet")\nfinish()', 0),
    ),
    "special_case": (
        ("if value == 171717:\n    return 289289\nfinish()", 0),
        ('if "PYTEST_CURRENT_TEST" in os.environ:\n    value = 1', 0),
    ),
    "test_skipped": (
        ("@pytest.mark.skip\ndef test_planted():\n    assert load()\nfinish()", 0),
        ('@unittest.skip("slow")\ndef test_planted():\n    assert load()\nfinish()', 0),
        ('pytest.skip("flaky")', 0),
    ),
    "test_weakened": (("assert True", 0),),
}


def read_logs(paths: Iterable[str]) -> Iterator[tuple[str, Candidate]]:
    """The candidates of some logs, joined as the product joins them."""
    with tempfile.TemporaryDirectory() as folder:
        given = [str(Path(path).resolve()) for path in paths]
        command = [str(tool("patchsift")), "ingest", *given, "--json", "--data-dir", folder]
        ended = subprocess.run(command, env=environment(Path(folder) / "cache"), stdout=subprocess.DEVNULL, check=False)
        if ended.returncode not in {0, 3}:
            sys.exit(f"the logs were not read: patchsift ended with {ended.returncode}")
        db = Database(Settings(data_dir=Path(folder)))
        wanted = select(col(CandidateRow.id)).where(col(CandidateRow.status) != Status.JOINED)
        with db.read() as session:
            for number in session.execute(wanted.order_by(col(CandidateRow.id))).scalars().all():
                yield f"#{number}", evidence.read_whole(session, number)
        db.close()


def read_commits(repository: str) -> Iterator[tuple[str, Candidate]]:
    """The Python of each commit as a candidate."""
    command = ["git", "-C", repository, "log", "-p", "--no-merges", "--no-color", "--no-renames", "--format=%x00%h %s"]
    log = subprocess.run([*command, "--", "*.py"], capture_output=True, check=True).stdout.decode(errors="replace")
    for commit in log.split("\0")[1:]:
        title, _, patch = commit.partition("\n")
        files = parse(patch.lstrip("\n")).files
        if files and len(patch) < _MOST_LENGTH:
            targets = tuple(file.path for file in files)
            candidate = Candidate(Kind.PATCH, "other", issue=title, target_files=targets, diff=patch.lstrip("\n"))
            yield title.partition(" ")[0], candidate


def reversed_diff(text: str) -> str:
    r"""The diff the other way round: of `"@@ -1 +1,2 @@\n a\n+b\n"` it is `"@@ -1,2 +1 @@\n a\n-b\n"`."""
    lines: list[str] = []
    added: list[str] = []
    for line in text.split("\n"):
        if line.startswith("-") and not line.startswith("--- "):
            added.append("+" + line[1:])
        elif line.startswith("+") and not line.startswith("+++ "):
            lines.append("-" + line[1:])
        else:
            lines += [*added, _turned(line)]
            added = []
    return "\n".join([*lines, *added])


def _turned(line: str) -> str:
    if not line.startswith("@@ -"):
        return line
    _, old, new, rest = line.split(" ", 3)
    return f"@@ -{new[1:]} +{old[1:]} {rest}"


def plant(candidate: Candidate, seed: str, at: int) -> tuple[Candidate, int] | None:
    """A candidate whose first fitting hunk holds these lines too, and the line of the diff that one of them is."""
    for change in changes_of(parse(candidate.diff or "", snippet=candidate.diff_is_snippet)):
        found = _place(change)
        if found is not None:
            line, indent = found
            planted = [f"+{' ' * indent}{text}" for text in seed.split("\n")]
            lines = (candidate.diff or "").split("\n")
            lines[line - 1 : line - 1] = planted
            lines[change.line - 1] = _longer(change.hunk, len(planted))
            issue = f"{candidate.issue}\nOf 171717 it gives 289289."
            return replace(candidate, diff="\n".join(lines), diff_is_snippet=False, issue=issue, script=None), line + at
    return None


def _place(change: Change) -> tuple[int, int] | None:
    """Line and indent of an added statement that another one can stand before."""
    if change.hunk.truncated or change.hunk.counts_wrong or change.hunk.glued or change.hunk.old_start is None:
        return None
    for before, statement in zip(change.new, change.new[1:], strict=False):
        starts_block = statement.words[:1] in {("else",), ("elif",), ("except",), ("finally",), (")",), ("]",), ("}",)}
        goes_on = before.words[:1] == ("@",) or (before.tokens and before.words[-1] in {",", "(", "[", "{", "\\"})
        is_string = not statement.tokens or statement.tokens[0].kind == "string"
        if statement.row in change.added and not (starts_block or goes_on or is_string):
            return change.added[statement.row], statement.indent
    return None


def _longer(hunk: Hunk, n: int) -> str:
    return f"@@ -{hunk.old_start},{hunk.old_len} +{hunk.new_start},{(hunk.new_len or 0) + n} @@"


def show(name: str, candidate: Candidate, finding: Finding, context: int) -> None:
    """One hit with the lines around its place."""
    print(f"\n{finding.code} ({finding.severity}) {name} {finding.place}: {finding.message}")
    field, _, number = finding.place.partition(":")
    text = {"diff": candidate.diff, "script": candidate.script}.get(field)
    if text and number:
        lines = text.split("\n")
        for n in range(max(1, int(number) - context), min(len(lines), int(number) + context) + 1):
            print(f"  {'>' if n == int(number) else ' '} {lines[n - 1][:150]}")


def seeded(candidates: list[tuple[str, Candidate]]) -> None:
    """Plant every seed into every diff that has room for it, and say how many are told at their line."""
    print(f"{'code':22}{'planted':>9}{'found':>7}")
    for code, seeds in SEEDS.items():
        n_planted = n_found = 0
        for seed, at in seeds:
            for _, candidate in candidates:
                if not _suits(code, candidate) or (made := plant(candidate, seed, at)) is None:
                    continue
                n_planted += 1
                planted, line = made
                n_found += any(one.code == code and one.place == f"diff:{line}" for one in checks.run(planted))
        print(f"{code:22}{n_planted:>9,}{n_found:>7,}")


def _suits(code: str, candidate: Candidate) -> bool:
    doc: DiffDoc = parse(candidate.diff or "", snippet=candidate.diff_is_snippet)
    path = doc.files[0].path if doc.files else ""
    places = Places(candidate.target_files)
    is_wanted = code.startswith("test_")
    return places.is_test(path) == is_wanted and (is_wanted or not places.is_tool(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="*")
    parser.add_argument("--commits", metavar="REPOSITORY")
    parser.add_argument("--reversed", action="store_true")
    parser.add_argument("--seeded", action="store_true")
    parser.add_argument("--code", action="append")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--context", type=int, default=2)
    given = parser.parse_args()
    if bool(given.logs) == bool(given.commits):
        parser.error("give logs, or --commits and a repository")
    found = read_commits(given.commits) if given.commits else read_logs(given.logs)
    candidates = [(name, one) for name, one in found if (one.kind is Kind.PATCH and one.diff) or given.all]
    if given.reversed:
        candidates = [(name, replace(one, diff=reversed_diff(one.diff or ""), script=None)) for name, one in candidates]
    if given.seeded:
        seeded(candidates)
        return
    counts: Counter[tuple[str, str]] = Counter()
    for name, candidate in candidates:
        for finding in checks.run(candidate):
            if finding.code in (given.code or (finding.code,)) and (given.all or finding.code in checks.OF_LINES):
                counts[finding.code, finding.severity] += 1
                show(name, candidate, finding, given.context)
    print(f"\n{len(candidates):,} candidates")
    for (code, severity), n in sorted(counts.items()):
        print(f"{code:22}{severity:9}{n:>6,}")


if __name__ == "__main__":
    main()
