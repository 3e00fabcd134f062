"""Whether a candidate's diff is one, is whole, and names the files that it may name. No path is ever opened."""

import re
from collections.abc import Iterator

from app.candidates import Finding, Kind, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.diffs.parse import DiffDoc, FileDiff, Hunk, parts_of

# No file that a person reviews has this many lines, and no log cuts this many: the header lies.
_ABSURD = 10_000_000
# `..` as a whole part of a path, in any header line, quoted or not; and what no path inside a project starts with.
_CLIMBS = re.compile(r'(?:^|[\s"/\\])\.\.(?:[\s"/\\]|$)')
_ROOTED = re.compile(r"[/\\~]|[A-Za-z]:")


def diff(reading: Reading) -> Iterator[Finding]:
    """What is missing from the diff or wrong with it: `no_diff`, `not_a_diff`, `diff_cut`, `diff_malformed`.

    A cut diff is a warning only: the reviewer sees less, but a script that is trained on is whole.
    """
    text = reading.candidate.diff or ""
    if reading.candidate.kind is not Kind.PATCH:
        return
    if not text.strip():
        yield Finding("no_diff", Severity.WARNING, "diff", "The log holds no diff: the change cannot be shown.")
    elif not reading.diff.files:
        message = f"This field holds text instead of a diff: “{excerpt(text.strip())}”."
        yield Finding("not_a_diff", Severity.WARNING, "diff", message)
    else:
        yield from _malformed(reading.diff)
        yield from _cut(reading)


def files_outside_spec(reading: Reading) -> Iterator[Finding]:
    """Changed files that the spec does not name; by base names only, as the agent's headers hold no folder."""
    wanted = {_base(path) for path in reading.candidate.target_files}
    if not wanted:
        return
    told = set()
    for line, file in _files(reading.diff) if reading.candidate.diff else ():
        if file.path and _base(file.path) not in wanted:
            told.add(_base(file.path))
            message = f"The spec does not name {excerpt(file.path)}, which this diff changes."
            yield Finding("files_outside_spec", Severity.WARNING, f"diff:{line}", message)
    patch_set = reading.candidate.patch_set
    for image in patch_set.files if patch_set is not None and reading.candidate.kind is Kind.PATCH else ():
        if _base(image.path) not in wanted | told:
            message = f"The spec does not name {excerpt(image.path)}, which the patch set holds."
            yield Finding("files_outside_spec", Severity.WARNING, "patch_set", message)


def _malformed(doc: DiffDoc) -> Iterator[Finding]:
    last = doc.hunks[-1] if doc.hunks else None
    for line, part in parts_of(doc):
        faults = _path_faults(part) if isinstance(part, FileDiff) else _hunk_faults(part, is_last=part is last)
        for fault in faults:
            yield Finding("diff_malformed", Severity.HOLD, f"diff:{line}", fault)


def _path_faults(file: FileDiff) -> Iterator[str]:
    climbing = next((line for line in file.header if _CLIMBS.search(line)), None)
    if climbing is not None:
        yield f"This header names a path that leaves the project: {excerpt(climbing)}"
        return
    rooted = next((path for path in (file.old_path, file.new_path) if path and _ROOTED.match(path)), None)
    if rooted is not None:
        yield f"This header names a path outside any project: {excerpt(rooted)}"


def _hunk_faults(hunk: Hunk, *, is_last: bool) -> Iterator[str]:
    claims = (hunk.old_start, hunk.old_len, hunk.new_start, hunk.new_len)
    if any(claim is not None and claim >= _ABSURD for claim in claims):
        yield f"This hunk header claims lines that no file has: {excerpt(hunk.header)}"
    elif hunk.counts_wrong and not (is_last and _is_short(hunk)):
        claimed = f"{hunk.old_len} old and {hunk.new_len} new lines"
        has = f"{len(hunk.old_lines)} and {len(hunk.new_lines)}"
        yield f"This hunk header claims {claimed}, but the hunk has {has}: {excerpt(hunk.header)}"


def _is_short(hunk: Hunk) -> bool:
    return len(hunk.old_lines) <= (hunk.old_len or 0) and len(hunk.new_lines) <= (hunk.new_len or 0)


def _cut(reading: Reading) -> Iterator[Finding]:
    """The log's own cut, and a diff that ends before its last hunk does, which is a cut at a line's end."""
    doc = reading.diff
    last = doc.hunks[-1] if doc.hunks else None
    ends_early = last is not None and last.counts_wrong and _is_short(last) and (last.old_len or 0) < _ABSURD
    if not doc.truncated and not ends_early:
        return
    text = reading.candidate.diff or ""
    lines = text.count("\n") + (not text.endswith("\n"))
    harm = (
        "The script is whole, so training on it is not harmed." if reading.candidate.script else "Its end is missing."
    )
    by_log = "The log cut this diff after 1,000 characters." if doc.cut_mark else "This diff ends before its last hunk."
    yield Finding("diff_cut", Severity.WARNING, f"diff:{lines}", f"{by_log} {harm}")


def _files(doc: DiffDoc) -> Iterator[tuple[int, FileDiff]]:
    return ((line, part) for line, part in parts_of(doc) if isinstance(part, FileDiff))


def _base(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
