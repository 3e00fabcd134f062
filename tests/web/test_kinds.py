"""Pages of specs and style candidates: what they show, what an edit may be, and what is said of it as one types."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select
from starlette.testclient import TestClient

from app import queue
from app.candidates import Candidate, Finding, Kind, Severity, SpecPair, StyleRefine, StyleUnify
from app.db import Database
from app.models import DecisionRow, RevisionRow
from app.settings import Settings
from app.web.kinds import Cell, Row, SpecGiven, pair_of, read_stats, read_symbols, table_of
from tests.logs import line, read
from tests.web.pages import HTMX, decide, live_parts, save, text

CONTEXT = """\
Relevant Project Symbols:
  Symbol 1:
    FQN: click._compat._FixupStream.__init__
    Type: method_code
    File: click/_compat.py:77-78
    Signature: __init__(typing.Any,typing.Any)->Any
    Similarity: 0.49
    Snippet:
      ---
          \"\"\"

    def __init__(self, stream):
        self._stream = stream
      ---
  Symbol 2:
    FQN: click.testing.EchoingStdin
    Type: class_code
    File: click/testing.py:20-40
    Signature: None
    Similarity: 0.43
    Snippet:
      ---
      class EchoingStdin(object):
      ---
        pass
      ---
Previously successful related examples:
  Issue: Fix the stream"""
YAML = """\
issue_description: Use readline() on 2.x for fixup stream.
target_files:
- click/_compat.py
operations:
- name: generic_code_edit
  target_file: click/_compat.py
  edit_description: Use readline() on 2.x for fixup stream.
acceptance_tests: []
"""
NOTHING = "No specific context symbols or examples retrieved."
REFINED = (
    '"indent": 4, "quotes": "double", "linelen": 72, "snake_pct": 1.0, "camel_pct": 0.0, "screaming_pct": 0.0, '
    '"docstyle": "plain"'
)
DRAFT = {
    "indent": 4, "quotes": "double", "linelen": 53, "snake_pct": 0.92, "camel_pct": 0.0, "screaming_pct": 0.04,
    "docstyle": "unknown?",
}  # fmt: skip
FINGERPRINT = {**DRAFT, "docstyle": "plain"}
UNIFIED = {
    "indent_width": 4, "preferred_quotes": "double", "docstring_style": "plain", "max_line_length": 53,
    "identifier_snake_case_pct": 0.92, "identifier_camelCase_pct": 0.0, "identifier_UPPER_SNAKE_CASE_pct": 0.04,
    "directory_overrides": {}, "confidence_score": 1.0, "raw_analysis_summary": None, "error": None,
}  # fmt: skip
FIELDS = {"spec": "edited_spec", "refined": "edited_refined", "unified": "edited_unified"}
EDITED = {
    "spec": YAML.replace("acceptance_tests: []", "acceptance_tests:\n- test_readline passes"),
    "refined": REFINED.replace("72", "79"),
    "unified": json.dumps({**UNIFIED, "confidence_score": 0.5}, indent=2),
}
UNREADABLE = {"spec": YAML + "- [", "refined": REFINED[:-4], "unified": json.dumps(UNIFIED, indent=2)[:-3]}


def spec_line(**more: object) -> bytes:
    pair: dict[str, object] = {
        "timestamp_utc": "2025-06-12T09:57:01+00:00",
        "raw_issue_text": "Use readline() on 2.x for fixup stream.\n\nIt hangs.",
        "context_symbols_string": CONTEXT,
        "yaml_spec_string": YAML,
        "accepted_by_parser": True,
        "error": None,
    }
    return json.dumps(pair | more).encode()


def refine_line(**more: object) -> bytes:
    sample: dict[str, object] = {
        "timestamp_utc": "2025-07-13T23:18:39+00:00", "file_path": "tests/test_x.py", "item_name": "test_x",
        "item_type": "function", "start_line": 18, "end_line": 25, "code_snippet": "def test_x():\n    assert 1\n",
        "stats_block": "STATS_START\nindent_modal: 4\ndoc_tokens: none\nSTATS_END", "raw_fingerprint_dict": DRAFT,
        "refined_output_string": REFINED, "polished_json": None, "validation_status": "passed", "error": None,
    }  # fmt: skip
    return json.dumps(sample | more).encode()


def unify_line(**more: object) -> bytes:
    samples = [{"fingerprint": FINGERPRINT, "file_path": "src/a.py", "weight": 0.5}] * 2
    samples.append({"fingerprint": {**FINGERPRINT, "linelen": 100}, "file_path": "tests/b.py", "weight": 0.2})
    pair: dict[str, object] = {
        "timestamp_utc": "2025-07-08T04:16:11+00:00", "per_sample_fingerprints": samples, "unified_profile": UNIFIED,
    }  # fmt: skip
    return json.dumps(pair | more).encode()


LINES = {"spec": spec_line, "refined": refine_line, "unified": unify_line}


@pytest.fixture(params=LINES)
def field(request: pytest.FixtureRequest) -> str:
    """The text that is edited: of a spec, of a refined fingerprint, of a profile."""
    return str(request.param)


@pytest.fixture
def number(db: Database, settings: Settings, project_id: int, tmp_path: Path, field: str) -> int:
    """The one candidate of that kind."""
    return ingest(db, settings, project_id, tmp_path, LINES[field]())


def ingest(db: Database, settings: Settings, project_id: int, folder: Path, *lines: bytes) -> int:
    read(db, settings, project_id, folder, b"\n".join(lines) + b"\n")
    with db.read() as session:
        return queue.list_candidates(session, project_id, queue.Filter()).candidates[0].id or 0


def revisions(db: Database) -> list[tuple[str, str]]:
    with db.read() as session:
        return [(one.field, one.text) for one in session.exec(select(RevisionRow).order_by("id"))]


def n_decisions(db: Database) -> int:
    with db.read() as session:
        return len(session.exec(select(DecisionRow)).all())


# ------------------------------------------------------------------------------------------------ what is shown


def test_symbols_of_a_prompt_are_read_each_with_its_code() -> None:
    given = read_symbols(CONTEXT, "context")

    assert [symbol.name for symbol in given.symbols] == [
        "click._compat._FixupStream.__init__", "click.testing.EchoingStdin",
    ]  # fmt: skip
    first, second = given.symbols
    assert first.about == "click/_compat.py:77-78, method code, similarity 0.49"
    assert (first.signature, second.signature) == ("__init__(typing.Any,typing.Any)->Any", "")
    assert "__init__(self, stream)" in text(str(first.snippet))
    assert text(str(second.snippet)) == "1 class EchoingStdin(object): 2 --- 3 pass"
    assert given.rest == "Previously successful related examples:\n  Issue: Fix the stream"
    assert given.names == []


@pytest.mark.parametrize(
    ("symbols", "form", "names", "rest"),
    [
        ("a.b|a.c||d", "bag", ["a.b", "a.c", "d"], ""),
        ("Relevant Project Symbols FQNs: a.b, a.c\n\nExamples:\nx", "context", ["a.b", "a.c"], "Examples:\nx"),
        ("a.b, a.c", "context", ["a.b", "a.c"], ""),
        (NOTHING, "context", [], NOTHING),
        ("", "", [], ""),
    ],
)  # fmt: skip
def test_symbols_that_are_only_named_or_not_there(symbols: str, form: str, names: list[str], rest: str) -> None:
    assert read_symbols(symbols, form) == SpecGiven(names=names, rest=rest)


@pytest.mark.parametrize("stop", range(0, len(CONTEXT), 7))
def test_symbols_that_were_cut_lose_nothing_that_is_there(stop: int) -> None:
    given = read_symbols(CONTEXT[:stop], "context")

    if stop > CONTEXT.index("    File"):
        assert given.symbols[0].name == "click._compat._FixupStream.__init__"
    if stop > CONTEXT.index("    def __init__"):
        assert '"""' in text(str(given.symbols[0].snippet))


@given(
    st.one_of(st.text(), st.lists(st.sampled_from(CONTEXT.split("\n"))).map("\n".join)),
    st.sampled_from(["bag", "context", ""]),
)
def test_any_symbols_text_can_be_shown(symbols: str, form: str) -> None:
    assert isinstance(read_symbols(symbols, form), SpecGiven)


def test_the_stats_block_is_read_as_pairs() -> None:
    assert read_stats("STATS_START\nindent_modal: 4\nodd\nSTATS_END") == [("indent_modal", "4"), ("odd", "")]


def test_findings_stand_below_their_lines_and_the_others_above() -> None:
    said = Candidate(Kind.SPEC, "t5", spec=SpecPair("a: 1\nb: 2\n"))
    findings = [
        Finding("spec_field", Severity.WARNING, "spec:2", "No <field> b."),
        Finding("secret", Severity.HOLD, "spec:2", "A secret."),
        Finding("spec_field", Severity.WARNING, "spec:9", "Beyond the end."),
        Finding("hidden", Severity.HOLD, "symbols:1", "Hidden."),
    ]

    pair = pair_of(said, said, findings)

    assert pair is not None
    assert "No &lt;field&gt; b.\nA secret. Exports hold it back." in pair.text
    assert '<tr id="S2" class=hit>' in pair.text
    assert pair.elsewhere == findings[2:]


def test_a_fingerprint_is_shown_field_by_field() -> None:
    said = Candidate(Kind.STYLE_REFINE, "divot5", refine=StyleRefine("x", DRAFT, REFINED.replace('"indent": 4, ', "")))
    table = table_of(said, said.with_text("refined", REFINED + ', "more": "x"'))

    assert table is not None
    assert table.heads == ["Draft", "Refined", "Edited"]
    assert table.rows[0] == Row("indent", [Cell("4"), Cell("", "missing"), Cell("4", "edited")])
    assert table.rows[1] == Row("quotes", [Cell("double"), Cell("double"), Cell("double")])
    assert table.rows[2] == Row("linelen", [Cell("53"), Cell("72", "changed"), Cell("72")])
    assert table.rows[-1] == Row("more", [Cell(""), Cell(""), Cell("x", "edited")])


def test_a_profile_is_shown_beside_what_its_samples_say() -> None:
    samples = ({"fingerprint": FINGERPRINT, "weight": 0.8}, {"fingerprint": {"quotes": "single"}, "weight": 0.2})
    said = Candidate(
        Kind.STYLE_UNIFY, "divot5", unify=StyleUnify(samples, json.dumps({**UNIFIED, "preferred_quotes": "single"}))
    )
    table = table_of(said, said)

    assert table is not None
    assert table.heads == ["Samples", "Profile"]
    assert table.rows[1] == Row("preferred_quotes", [Cell('"double" (80%)'), Cell("single", "against the samples")])
    assert Row("confidence_score", [Cell(""), Cell("1.0")]) in table.rows


def test_a_patch_is_no_pair() -> None:
    said = Candidate(Kind.PATCH, "G6", script="x")

    assert pair_of(said, said, []) is None
    assert table_of(said, said) is None


# ------------------------------------------------------------------------------------------------ pages


PARTS = {
    "spec": (
        "It hangs.", "Symbols in the prompt 2", "click/testing.py:20-40, class code, similarity 0.43",
        "1 issue_description: Use readline()", "The agent's parser took it", "a spec log", "generation t5",
    ),
    "refined": (
        "Code test_x (function)", "tests/test_x.py:18-25", "1 def test_x():", "indent_modal 4",
        "Field Draft Refined", "linelen 53 72 changed", 'docstyle unknown? plain changed', "Status passed",
    ),
    "unified": (
        "Samples 3", "src/a.py 2 times 0.5 4 double 53", "tests/b.py 0.2 4 double 100 unlike most",
        "Field Samples Profile", "max_line_length 53 (83%) 53", "identifier_snake_case_pct 0.92 on average 0.92",
        '11 "raw_analysis_summary": null',
    ),
}  # fmt: skip


def test_the_page_shows_what_was_given_beside_what_was_made(client: TestClient, number: int, field: str) -> None:
    page = client.get(f"/candidates/{number}").text
    seen = text(page)

    for part in PARTS[field]:
        assert part in seen, part
    for part in ("Patch source", "Target files", "Operations", "The log holds no diff", "no target file", "LibCST"):
        assert part not in seen
    assert live_parts(page) == []


def test_a_fragment_is_the_same_as_the_page(client: TestClient, number: int, field: str) -> None:
    fragment = client.get(f"/candidates/{number}", headers=HTMX).text

    assert fragment.lstrip().startswith('<article id="candidate"')
    assert all(part in text(fragment) for part in PARTS[field])


@pytest.mark.parametrize("verdict", ["accept", "reject", "skip", "flag"])
def test_a_verdict_is_taken_and_taken_back(client: TestClient, db: Database, number: int, verdict: str) -> None:
    assert decide(client, number, verdict).status_code == 303
    answer = client.post("/undo", data={"key": "u1"}, headers=HTMX)

    assert f"Undone: #{number}" in text(answer.text)
    assert "(taken back)" in text(answer.text)
    assert n_decisions(db) == 2


def test_the_edit_page_starts_from_the_text_with_what_is_said_of_it(
    client: TestClient, number: int, field: str
) -> None:
    page = client.get(f"/candidates/{number}/edit").text

    assert f'name="{FIELDS[field]}"' in page
    assert f'data-language="{"yaml" if field == "spec" else "json"}"' in page
    assert "What the checks say 0 Nothing." in text(page)
    assert live_parts(page) == []


def test_an_edit_stands_on_the_page_with_its_difference(
    client: TestClient, db: Database, number: int, field: str
) -> None:
    edited = EDITED[field]
    answer = save(client, number, **{FIELDS[field]: edited.replace("\n", "\r\n")})

    assert answer.status_code == 303
    assert revisions(db) == [(field, edited)]
    page = client.get(f"/candidates/{number}?status=all").text
    assert "What was edited" in text(page)
    assert text(page).count("- test_readline passes" if field == "spec" else "79" if field == "refined" else "0.5") > 1
    assert "Edit by local" in text(page)
    client.post("/undo", data={"key": "u"})
    assert "Below stands the text as it was edited" not in client.get(f"/candidates/{number}?status=all").text


def test_an_edit_starts_from_the_one_that_stands(client: TestClient, number: int, field: str) -> None:
    save(client, number, **{FIELDS[field]: EDITED[field]})
    page = client.get(f"/candidates/{number}/edit?status=all").text

    current = page.partition("data-current=")[2].partition(">")[0]
    assert {"spec": "test_readline", "refined": "79", "unified": "0.5"}[field] in current


def test_a_text_that_cannot_be_read_is_refused_and_kept(
    client: TestClient, db: Database, number: int, field: str
) -> None:
    answer = save(client, number, comment="half a thought", **{FIELDS[field]: UNREADABLE[field]})

    assert answer.status_code == 422
    assert "Mend it and save again." in text(answer.text)
    assert "What the checks say 1" in text(answer.text)
    assert "half a thought</textarea>" in answer.text
    assert " ".join(UNREADABLE[field][-20:].split()) in text(answer.text)
    assert (revisions(db), n_decisions(db)) == ([], 0)


def test_what_departs_from_the_schema_is_saved_with_a_warning(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    number = ingest(db, settings, project_id, tmp_path, spec_line())
    answer = save(client, number, edited_spec=YAML + "priority: high\n")

    assert answer.status_code == 303
    assert "no field “priority”" in text(client.get(f"/candidates/{number}?status=all").text)


@pytest.mark.parametrize("edited", ["", "   "])
def test_an_empty_text_is_no_edit(client: TestClient, db: Database, number: int, field: str, edited: str) -> None:
    answer = save(client, number, **{FIELDS[field]: edited})

    named = {"spec": "spec", "refined": "fingerprint", "unified": "profile"}[field]
    assert answer.status_code == 422
    assert f"Reject the {named} if nothing of it is right." in text(answer.text)
    assert revisions(db) == []


def test_a_text_of_another_kind_is_refused_in_its_words(
    client: TestClient, db: Database, number: int, field: str
) -> None:
    for other in {*FIELDS.values(), "edited_script"} - {FIELDS[field]}:
        form = {"version": "1", "key": "k", other: "x"}
        answer = client.post(f"/candidates/{number}/edit", data=form)

        assert answer.status_code == 422
    answer = client.post(
        f"/api/v1/candidates/{number}/decisions",
        json={"verdict": "edit", "version": 1, "key": "k", "edited": {"diff": "x"}},
    )
    assert answer.status_code == 422
    assert f"edit its {field}." in answer.json()["error"]["message"]
    assert revisions(db) == []


def test_programs_edit_as_people_do(client: TestClient, db: Database, number: int, field: str) -> None:
    def send(key: str, edited: str) -> Any:
        body = {"verdict": "edit", "version": 1, "key": key, "edited": {field: edited}}
        return client.post(f"/api/v1/candidates/{number}/decisions", json=body)

    refused = send("k1", UNREADABLE[field])
    assert refused.status_code == 422
    assert refused.json()["error"]["where"].startswith(f"{field}:")
    assert send("k2", EDITED[field]).json()["candidate"]["status"] == "edited"
    assert revisions(db) == [(field, EDITED[field])]


# ------------------------------------------------------------------------------------------------ check


def test_a_text_is_checked_while_it_is_typed_and_nothing_is_stored(
    client: TestClient, db: Database, number: int, field: str
) -> None:
    answer = client.post(f"/candidates/{number}/check", data={FIELDS[field]: UNREADABLE[field]}, headers=HTMX)

    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<section id="checks"')
    assert f'data-place="{field}:' in answer.text
    assert 'data-severity="hold"' in answer.text
    assert ("Edited" in text(answer.text)) is (field != "spec")
    assert (revisions(db), n_decisions(db)) == ([], 0)


def test_without_scripts_the_check_is_the_page_with_all_that_was_typed(
    client: TestClient, number: int, field: str
) -> None:
    form = {"version": "1", "key": "k", "comment": "so far", FIELDS[field]: UNREADABLE[field]}
    answer = client.post(f"/candidates/{number}/check", data=form)

    assert answer.status_code == 200
    assert "What the checks say 1" in text(answer.text)
    assert "so far</textarea>" in answer.text
    assert " ".join(UNREADABLE[field][-20:].split()) in text(answer.text)


def test_a_script_is_checked_too(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    number = ingest(db, settings, project_id, tmp_path, line())
    found = client.post(f"/candidates/{number}/check", data={"edited_script": "def f(:\n"}, headers=HTMX)
    assert 'data-place="script:1"' in found.text


@pytest.mark.parametrize("form", [{}, {"edited_spec": "a", "edited_script": "b"}, {"edited_spec": "a", "who": "7"}])
def test_a_check_takes_one_text(client: TestClient, number: int, form: dict[str, str]) -> None:
    assert client.post(f"/candidates/{number}/check", data=form, headers=HTMX).status_code == 422


def test_a_check_of_what_cannot_be_stored_says_so(client: TestClient, number: int, field: str) -> None:
    answer = client.post(f"/candidates/{number}/check", data={FIELDS[field]: "a\x00b"}, headers=HTMX)

    assert answer.status_code == 422
    assert client.post("/candidates/999/check", data={FIELDS[field]: "a"}, headers=HTMX).status_code == 404


# ------------------------------------------------------------------------------------------------ hostile, lists


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>window.__xss=1</script>",
        '"><img src=x onerror=alert(1)>',
        "' hx-get='/undo' hx-trigger='load' x='",
        "{{ 7 * 7 }}",
        "</textarea><svg onload=alert(1)>",
    ],
)
def test_what_is_logged_stays_text(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path, hostile: str
) -> None:
    fingerprint = {**FINGERPRINT, "docstyle": hostile, hostile: hostile}
    samples = [{"fingerprint": fingerprint, "file_path": hostile, "weight": hostile}]
    lines = (
        spec_line(raw_issue_text=hostile, context_symbols_string=CONTEXT.replace("click", hostile), error=hostile,
                  yaml_spec_string=f"{hostile}: {hostile}"),
        spec_line(symbol_bag_string=f"{hostile}|b", context_symbols_string=None, yaml_spec_string=f"'{hostile}': x\n"),
        refine_line(code_snippet=hostile, raw_fingerprint_dict=fingerprint, item_name=hostile, file_path=hostile,
                    stats_block=f"{hostile}: {hostile}", validation_status=hostile, error=hostile,
                    refined_output_string=json.dumps(fingerprint)),
        unify_line(per_sample_fingerprints=samples, unified_profile={hostile: hostile, "error": hostile}),
    )  # fmt: skip
    first = ingest(db, settings, project_id, tmp_path, *lines)
    for number in range(first, first + len(lines)):
        for address in (f"/candidates/{number}", f"/candidates/{number}/edit"):
            page = client.get(address)

            assert page.status_code == 200
            assert live_parts(page.text) == []


def test_the_queue_says_which_kind_a_row_is_and_filters_by_it(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    ingest(db, settings, project_id, tmp_path, line(), spec_line(), refine_line(), unify_line())

    for kind, named in (("spec", "spec"), ("style_refine", "fingerprint"), ("style_unify", "profile")):
        page = client.get("/queue", params={"kind": kind}).text
        assert page.count("data-row") == 1
        assert f'<span class="chip kind">{named}</span>' in page
        assert f'<option value="{kind}" selected>' in page
        assert 'class="changes"' not in page
    page = client.get("/queue?kind=patch").text
    assert page.count("data-row") == 1
    assert "chip kind" not in page
