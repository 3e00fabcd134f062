r"""What of a patch's change a person can edit, and the diff that an edit makes of it. Pure.

A diff is never edited by hand (docs/decisions/0033): a person edits the new side of each hunk, or drops the hunk; or
the whole file after the change, where the log holds it and the diff leads back from it to the file before.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.candidates import Candidate
from app.diffs.apply import forward, reverse
from app.diffs.edit import find_sides, new_sides, normalise_edit, rebuild, replace_files, side_text
from app.diffs.parse import DiffDoc, FileDiff, parse
from app.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Piece:
    """One text to edit: a hunk's new side, or a whole file.

    Attributes:
        path: of the file.
        start: number of a hunk's first line, where the diff says it; None of a file.
        before: the text before the patch.
        original: the text as the log has it.
        now: the text as it stands, with the edit that counts; of a dropped hunk the log's.
        dropped: the edit that counts took the hunk out of the diff.
    """

    path: str
    start: int | None
    before: str
    original: str
    now: str
    dropped: bool = False


def hunks_of(said: Candidate, stands: Candidate) -> list[Piece]:
    """The hunks of a patch, one piece each.

    Args:
        said: what the log says.
        stands: the same with the edit that counts, or `said` itself.
    """
    if not said.diff:
        return []
    doc, sides = _standing(said, stands)
    return [
        Piece(
            path=one.path,
            start=one.start,
            before=side_text(hunk, new=False),
            original=one.text,
            now=one.text if side is None else side,
            dropped=side is None,
        )
        for hunk, one, side in zip(doc.hunks, new_sides(doc), sides, strict=True)
    ]


def files_of(said: Candidate, stands: Candidate) -> list[Piece]:
    """The whole files of a patch, one piece each: those that a patch set holds and the diff leads back from exactly."""
    return [piece for piece, _ in _files(said, stands)]


def from_hunks(said: Candidate, stands: Candidate, sides: Sequence[str | None]) -> str:
    """The diff with other new sides, one a hunk as `hunks_of` gave them; None drops the hunk.

    Raises:
        BadInputError: there is no diff, not one text a hunk, or one that no file can hold.

    """
    if said.diff is None:
        raise BadInputError("The log holds no diff of this patch, so there is nothing to edit.", where="field edited")
    pieces = hunks_of(said, stands)
    if len(sides) != len(pieces):
        raise BadInputError(f"The diff has {len(pieces)} hunks, but {len(sides)} texts came. Reload the page.")
    meant = [
        None if side is None else normalise_edit(piece.now, side) for piece, side in zip(pieces, sides, strict=True)
    ]
    return _whole(rebuild(_standing(said, stands)[0], meant))


def from_files(said: Candidate, stands: Candidate, texts: Mapping[str, str]) -> str:
    """The diff with other texts after the change, by the paths that `files_of` gave; files not named stay as they are.

    Raises:
        BadInputError: a path that is none of them, or a text that no file can hold.

    """
    found = _files(said, stands)
    if unknown := texts.keys() - {piece.path for piece, _ in found}:
        raise BadInputError(f"No whole file is known of {min(unknown)[:200]!r}.", where="field edited.files")
    doc = parse(said.diff or "")
    standing = doc if stands.diff in {None, said.diff} else parse(stands.diff)
    changed: dict[str, tuple[str, str]] = {}
    for piece, file in found:
        after = normalise_edit(piece.now, texts.get(piece.path, piece.now))
        if after != piece.now:
            changed[file.path] = (piece.before, after)
    if not changed:
        return stands.diff or ""
    known = {file.path for file in standing.files}
    # A file that an edit before took out of the diff comes back as the log has it, and is then written anew.
    back = [file for file in doc.files if file.path in changed and file.path not in known]
    whole = DiffDoc((*standing.files, *back), (), standing.truncated, "", standing.tail, final_newline=True)
    numbered = {n: changed[file.path] for n, file in enumerate(whole.files) if file.path in changed}
    return _whole(replace_files(whole, numbered))


def after_files(said: Candidate, diff: str) -> list[tuple[str, str]]:
    """Path and text after the change of every file that is known whole, were this the diff."""
    doc = parse(diff)
    found = []
    for piece, file in _files(said, said):
        is_there = any(one.path == file.path for one in doc.files)
        after = forward(doc, piece.before, file.path).text if is_there else piece.before
        if after is not None:
            found.append((piece.path, after))
    return found


def _standing(said: Candidate, stands: Candidate) -> tuple[DiffDoc, Sequence[str | None]]:
    """The diff that is edited hunk by hunk, and the side of each that stands.

    It is the log's, so that what an edit dropped can come back; or the edit's own, where it has other hunks.
    """
    doc = parse(said.diff or "", snippet=said.diff_is_snippet)
    if stands.diff in {None, said.diff}:
        return doc, [one.text for one in new_sides(doc)]
    edited = parse(stands.diff)
    sides = find_sides(doc, edited)
    return (doc, sides) if sides is not None else (edited, [one.text for one in new_sides(edited)])


def _files(said: Candidate, stands: Candidate) -> list[tuple[Piece, FileDiff]]:
    if said.patch_set is None or not said.diff:
        return []
    doc = parse(said.diff, snippet=said.diff_is_snippet)
    edited = doc if stands.diff in {None, said.diff} else parse(stands.diff)
    found = []
    for image in said.patch_set.files:
        file = _file_of(doc, image.path)
        before = None if image.text is None or file is None else reverse(doc, image.text, image.path).text
        if image.text is None or file is None or before is None:
            continue
        now = image.text
        if edited is not doc:
            is_there = any(one.path == file.path for one in edited.files)
            after = forward(edited, before, file.path).text if is_there else before
            if after is None:
                continue
            now = after
        found.append((Piece(image.path, None, before, image.text, now), file))
    return found


def _file_of(doc: DiffDoc, path: str) -> FileDiff | None:
    """The one file of a diff that a patched file's path names; the agent's diffs know base names only."""
    exact = [file for file in doc.files if file.path == path]
    named = exact or [file for file in doc.files if posixpath.basename(file.path) == posixpath.basename(path)]
    return named[0] if len(named) == 1 and named[0].hunks else None


def _whole(diff: str) -> str:
    """The diff, once it still changes something."""
    if not parse(diff).files:
        raise BadInputError(
            "Nothing of the diff is left. Reject the patch if nothing of it is right.", where="field edited"
        )
    return diff
