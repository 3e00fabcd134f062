"""Diffs and scripts as HTML with everything that is known of them: the one way to colours (`app.lexing`)."""

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from app.candidates import Candidate
from app.diffs.apply import reverse
from app.diffs.highlight import Colours, Openings, Piece, draw_script, openings_in, plan, plan_script
from app.diffs.meaning import Pieces, Texts, pieces_of
from app.diffs.parse import DiffDoc, FileDiff, Status, parse
from app.diffs.render import Known, View, draw
from app.lexing import LEXER

_LATE = "Shown without all of its colours: to find them took too long."
_LONGEST_KNOWN = 400_000
_COUNTS_TWICE = frozenset("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


@dataclass(frozen=True, slots=True)
class Whole:
    """A file of a diff that is known before and after the change."""

    before: str
    after: str


def diff(text: str, view: View = "unified", *, prefix: str = "") -> Markup:
    """Draw a diff in one piece; `prefix` stands before every anchor, where a page shows more than one."""
    doc = parse(text)
    return Markup(draw(doc, view, _known(doc, {}), prefix=prefix)[0])  # noqa: S704  it was made by app.diffs.render


def script(
    text: str,
    *,
    language: str = "python",
    anchor: str = "L",
    notes: Mapping[int, str] | None = None,
    soft: Container[int] = (),
) -> Markup:
    """Draw a whole script as numbered, coloured lines; the arguments as in `app.diffs.highlight.draw_script`.

    Args:
        text: the script.
        language: as in `FileDiff.language`; `yaml` for a spec.
        anchor: stands before the number in each line's id.
        notes: by number of a line, what is said of it.
        soft: lines whose note is a warning and no error.
    """
    found = LEXER.ask([plan_script(text, language)])
    remark = _LATE if found.is_late else ""
    return draw_script(text, found.sides[0][1], anchor=anchor, notes=notes, soft=soft, remark=remark)


def colour_lines(whole: "Whole", first: int, last: int, language: str) -> Colours | None:
    """Colours of some lines of a file after the change, from `first` to `last`, counted from 1."""
    part = tuple(whole.after.split("\n")[first - 1 : last])
    opening = openings_in(whole.after)(first) if language == "python" else ""
    return LEXER.ask([Piece(language, (), part, (False, True), ("", opening), shared=False)]).sides[0][1]


def candidate_views(
    candidate: Candidate, views: Sequence[View], address: str | None, told: Collection[int] = ()
) -> dict[View, list[str]]:
    """Draw a candidate's diff in some views, in pieces as `app.diffs.render.draw` gives them; colours are found once.

    Args:
        candidate: with its diff.
        views: which.
        address: where pieces and context are asked for; None to draw in one piece.
        told: lines of the diff that findings name: each gets an anchor.
    """
    if not candidate.diff:
        return {}
    doc = parse(candidate.diff, snippet=candidate.diff_is_snippet)
    known = replace(_known(doc, wholes_of(candidate, doc)), told=told)
    return {view: draw(doc, view, known, address=address) for view in views}


def wholes_of(candidate: Candidate, doc: DiffDoc) -> dict[int, Whole]:
    """By number, from 1, the files of a candidate's diff whose text after the change its patch set holds, and fits."""
    found: dict[int, Whole] = {}
    images = () if candidate.patch_set is None else candidate.patch_set.files
    for image in images:
        if image.text is None or len(image.text) > _LONGEST_KNOWN:
            continue
        number = _number_of(doc, image.path)
        if number is None or number in found or any(one.new_start is None for one in doc.files[number - 1].hunks):
            continue
        before = reverse(doc, image.text, image.path)
        # One that was changed elsewhere too has other line numbers than the diff says; so may one with form feeds.
        if before.text is not None and not before.why and _COUNTS_TWICE.isdisjoint(image.text):
            found[number] = Whole(before.text, image.text)
    return found


def _number_of(doc: DiffDoc, path: str) -> int | None:
    base = path.rpartition("/")[2]
    named = [n for n, file in enumerate(doc.files, 1) if (file.new_path or "").rpartition("/")[2] == base]
    return named[0] if len(named) == 1 else None


def _known(doc: DiffDoc, wholes: Mapping[int, Whole]) -> Known:
    begins = {n: _openings(doc.files[n - 1], whole) for n, whole in wholes.items() if _is_python(doc.files[n - 1])}
    compared = {n: _comparison(file, wholes.get(n)) for n, file in enumerate(doc.files, 1) if _is_python(file)}
    found = LEXER.ask(plan(doc, begins), list(compared.values()))
    return Known(
        colours=found.sides,
        badges={n: (only,) for n, only in zip(compared, found.onlys, strict=True) if only},
        n_lines={n: _n_lines(whole.after) for n, whole in wholes.items()},
        remark=_LATE if found.is_late else "",
    )


def _is_python(file: FileDiff) -> bool:
    return file.language == "python" and bool(file.hunks)


def _openings(file: FileDiff, whole: Whole) -> list[Openings]:
    before, after = openings_in(whole.before), openings_in(whole.after)
    return [(before(hunk.old_start or 1), after(hunk.new_start or 1)) for hunk in file.hunks]


def _comparison(file: FileDiff, whole: Whole | None) -> Texts | Pieces | None:
    if whole is not None:
        return Texts(whole.before, whole.after)
    is_odd = any(hunk.truncated or hunk.counts_wrong or hunk.glued for hunk in file.hunks)
    return None if is_odd or file.status in {Status.ADDED, Status.DELETED} else pieces_of(file)


def _n_lines(text: str) -> int:
    return text.removesuffix("\n").count("\n") + 1 if text else 0
