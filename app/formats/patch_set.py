r"""A patch set: the folder below `.autopatches` that the agent saves before it commits.

`patch_meta.json` is the entry; `CHANGELOG_PATCH.md` and the patched files stand beside it. The generations of the
writer, by what they leave:

    CBa  no patch_source; a plain changelog
    CBb  + patch_source
    CBc  the changelog is a list item of Markdown; on the way there two things happened to the diff: each backslash-n
         inside the code got two spaces after it, and the white space at its end was cut off

The first is undone exactly: no other spaces can have come there. The second is undone where the patched file still
has the lines, at the place that the diff says; else the diff is kept for comparing only. (White space at the end of a
removed line that was the last is lost without a trace.)
"""

import hashlib
import posixpath
import re
from collections.abc import Mapping, Sequence

from app.candidates import Candidate, Kind, PatchSet, PostImage, SpecPair
from app.diffs.apply import reverse
from app.diffs.parse import REMOVED, DiffDoc, parse
from app.formats import fields
from app.formats.given import Given
from app.formats.lines import HeldError
from app.spec_yaml import dump

FORMAT = "patch_set"
META, CHANGELOG = "patch_meta.json", "CHANGELOG_PATCH.md"

_NAME, _TITLE, _SPEC, _SUMMARY = "patch_set_name", "commit_title", "original_spec", "validator_results_summary"
_SOURCE, _TIME, _VERSION = "patch_source", "generation_timestamp_utc", "commit_builder_version"
_KNOWN = frozenset({_NAME, _TITLE, _SPEC, _SUMMARY, _SOURCE, _TIME, _VERSION, "issue_id", "spec_issue_id", "id"})
_ISSUE = ("issue_description", "task", "issue", "description")
_HEADING = re.compile(r"^ *Diff Summary:\n", re.MULTILINE)
# A backslash and an n, as code spells a line end.
_SPELT, _DAMAGED = "\\n", "\\n  "


def recognises(value: object) -> bool:
    """Whether a JSON value is a `patch_meta.json`: it names a set, or has a spec and more that its writer says."""
    if not isinstance(value, dict):
        return False
    return _NAME in value or (_SPEC in value and not value.keys().isdisjoint({_TITLE, _SUMMARY, _TIME, _VERSION}))


def read(value: object, given: Given) -> tuple[Candidate, ...]:
    """The patch, and the spec that it was made for where there is one.

    `{"patch_set_name": "feature/auto-patch-fix-x-1234", "original_spec": {"issue_description": "Fix x"}, …}` →
    `(Candidate(kind=Kind.PATCH, patch_set=PatchSet(…), …), Candidate(kind=Kind.SPEC, spec=SpecPair(…), …))`

    Args:
        value: the parsed `patch_meta.json`.
        given: its path, and the other files of its folder.

    Raises:
        HeldError: `wrong_type` when the name, the title, the spec or its issue is of another type; `missing_field` when
            there is neither a spec nor a changelog nor a patched file.

    """
    meta = _mapping(value)
    spec = fields.mapping(meta, (_SPEC,)) or {}
    if not spec and not given.files:
        raise HeldError("missing_field", "A patch set holds a spec, a changelog or a patched file; this one has none.")
    patch = _patch(meta, spec, _patch_set(meta, spec, given))
    return (patch, _spec(patch, spec)) if patch.issue else (patch,)


def content(value: object, given: Given) -> tuple[object, ...]:
    """For the patch all that the folder holds but its time; for the spec the spec alone."""
    meta = _mapping(value)
    spec = fields.mapping(meta, (_SPEC,)) or {}
    files = {path: hashlib.sha256(raw).hexdigest() for path, raw in given.files.items() if path != META}
    patch = {"meta": {key: meta[key] for key in meta if key not in {_TIME, _VERSION}}, "files": files}
    return (patch, {"spec": dict(spec)}) if fields.text(spec, _ISSUE) else (patch,)


def _mapping(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise fields.wrong_type(META, "an object", value)


def _patch(meta: fields.Entry, spec: fields.Entry, patch_set: PatchSet) -> Candidate:
    return Candidate(
        Kind.PATCH,
        patch_set.generation,
        external_id=fields.loose_text(meta.get("id")),
        issue_id=fields.loose_text(fields.first({**meta, **spec}, ("issue_id", "spec_issue_id"))),
        issue=fields.text(spec, _ISSUE) or "",
        # The first specs named symbols, not files.
        target_files=fields.texts(spec.get("target_files")) or tuple(one.path for one in patch_set.files),
        operations=fields.listed(spec.get("operations")),
        diff=patch_set.diff,
        patch_source=fields.loose_text(meta.get(_SOURCE)) or "Unknown",
        logged_at=fields.instant(meta.get(_TIME)),
        extra=fields.others(meta, _KNOWN),
        acceptance=fields.texts(fields.first(spec, ("acceptance_tests", "acceptance"))),
        patch_set=patch_set,
    )


def _spec(patch: Candidate, spec: fields.Entry) -> Candidate:
    return Candidate(
        Kind.SPEC,
        "patch_set",
        issue_id=patch.issue_id,
        issue=patch.issue,
        target_files=fields.texts(spec.get("target_files")),
        logged_at=patch.logged_at,
        spec=SpecPair(dump(spec), origin="patch_set"),
    )


def _patch_set(meta: fields.Entry, spec: fields.Entry, given: Given) -> PatchSet:
    beside = {path: _decoded(raw) for path, raw in sorted(given.files.items()) if path != META}
    changelog = beside.pop(CHANGELOG, None)
    files = tuple(PostImage(path, text) for path, text in beside.items())
    loose = None if changelog is None else _diff_in(changelog)
    return PatchSet(
        name=fields.text(meta, (_NAME,)) or _name_by(given.name),
        generation=_generation(meta, changelog),
        title=fields.text(meta, (_TITLE,)) or "",
        validator_summary=fields.loose_text(meta.get(_SUMMARY)) or "",
        files=files,
        changelog=changelog,
        diff=restored(loose, files) if loose and _is_list_item(changelog) else loose,
        loose_diff=loose,
        spec=spec,
    )


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _name_by(path: str) -> str:
    """The set's name by where it lies, for a fork that does not write it: the folders below `.autopatches`."""
    folders = path.split("/")[:-1]
    below = folders[folders.index(".autopatches") + 1 :] if ".autopatches" in folders else folders[-2:]
    return "/".join(below)


def _generation(meta: fields.Entry, changelog: str | None) -> str:
    if not {_NAME, _TITLE, _SPEC, _TIME} <= meta.keys():
        return "other"
    if _is_list_item(changelog):
        return "CBc"
    if _SOURCE not in meta:
        return "CBa"
    return "CBb" if changelog is not None else "other"  # CBb and CBc write the same meta.


def _is_list_item(changelog: str | None) -> bool:
    return changelog is not None and changelog.startswith("- Issue:")


# ------------------------------------------------------------------------------------------------ the diff


def _diff_in(changelog: str) -> str | None:
    """What stands below the last heading of the changelog, or below the first that a diff follows."""
    found = list(_HEADING.finditer(changelog))
    if not found:
        return None
    below = next((one for one in found if changelog.startswith("--- ", one.end())), found[-1])
    return changelog[below.end() :] or None


def restored(loose: str, files: Sequence[PostImage]) -> str | None:
    r"""The diff as it was before CBc's changelog took it in, or None where that cannot be told.

    `"…\n+    print('a\\n  ')\n"` → `"…\n+    print('a\\n')\n"`. A text that has a spelt line end without two spaces
    after it was written by somebody else, and stays as it is.
    """
    is_damaged = loose.count(_SPELT) == loose.count(_DAMAGED)
    text = loose.replace(_DAMAGED, _SPELT) if is_damaged else loose
    doc = parse(text)
    if not doc.hunks:
        return text
    last = doc.hunks[-1]
    lacking = {(last.old_len or 0) - len(last.old_lines), (last.new_len or 0) - len(last.new_lines)}
    n_cut = lacking.pop()
    if lacking or n_cut < 0 or last.truncated or any(hunk.counts_wrong for hunk in doc.hunks[:-1]):
        return None
    # Where no line is missing, and no file says otherwise, nothing was cut off but perhaps the end of the last line.
    return _completed(text, doc, n_cut, files) or (None if n_cut else text)


def _completed(text: str, doc: DiffDoc, n_cut: int, files: Sequence[PostImage]) -> str | None:
    """The diff with the white space that it lost at its end, as it stands in the patched file."""
    name, last = posixpath.basename(doc.files[-1].path), doc.hunks[-1]
    images = [one.text for one in files if one.text is not None and posixpath.basename(one.path) == name]
    if len(images) != 1 or not last.ops:
        return None
    after = (last.new_start or 1) - 1 + len(last.new_lines)
    lines = images[0].split("\n")
    end, lost = "", lines[after : after + n_cut]
    if last.ops[-1][0] != REMOVED and 0 < after <= len(lines):
        end = lines[after - 1].removeprefix(last.new_lines[-1])
    if "".join([end, *lost]).strip():
        return None
    whole = text.removesuffix("\n") + end + "\n" + "".join(f" {line}\n" for line in lost)
    before = reverse(whole, images[0], name)
    return whole if before.text is not None and not before.why else None
