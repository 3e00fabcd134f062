"""Faults to plant in a release folder, each with the code under which the verifier must find it.

A fault is a function over an `Opened` release; where what it says is wrong, not how it is stored, the release is sealed
anew after it, so that digests, counts and checksums all agree and only a look at the meaning can find it. A release
that holds no place for a fault raises `NoPlaceError`.

    for fault in FAULTS:
        fault.plant(folder)      # then: fault.code in verify(folder).n_by_code
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]


class NoPlaceError(Exception):
    """This release holds nothing in which such a fault could be planted."""


class Opened:
    """A release folder that can be changed and sealed anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Row = json.loads((folder / "manifest.json").read_bytes())

    def path(self, name: str) -> Path:
        return self.folder / name

    def rows(self, name: str) -> list[Row]:
        return [json.loads(line) for line in self.path(name).read_bytes().split(b"\n")[:-1]]

    def put(self, name: str, rows: list[Row]) -> None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self.path(name).write_bytes("".join(lines).encode("utf-8", "surrogatepass"))

    def put_line(self, name: str, number: int, line: bytes) -> None:
        lines = self.path(name).read_bytes().split(b"\n")
        lines[number] = line
        self.path(name).write_bytes(b"\n".join(lines))

    def put_manifest(self) -> None:
        self.path("manifest.json").write_text(json.dumps(self.manifest, indent=1) + "\n", encoding="utf-8")

    def examples(self, *objectives: str, role: str = "") -> list[str]:
        """The files of examples, of these objectives only where any are given; at least one."""
        found = sorted(path.relative_to(self.folder).as_posix() for path in self.path("examples").rglob("*.jsonl"))
        found = [one for one in found if not objectives or one.split("/")[3] in objectives]
        found = [one for one in found if one.split("/")[1].startswith(role)]
        if not found:
            raise NoPlaceError(objectives, role)
        return found

    def each(self, *objectives: str, role: str = "") -> Iterator[tuple[str, int, Row, Row]]:
        """(file, index, example, lineage) of all rows of these objectives; at least one."""
        for name in self.examples(*objectives, role=role):
            lineage = self.rows(lineage_of(name))
            yield from ((name, index, row, lineage[index]) for index, row in enumerate(self.rows(name)))

    def first(
        self, *objectives: str, role: str = "", where: Callable[[Row, Row], bool] = lambda _row, _told: True
    ) -> tuple[str, int, Row, Row]:
        for one in self.each(*objectives, role=role):
            if where(one[2], one[3]):
                return one
        raise NoPlaceError(objectives, role)

    def change(self, name: str, index: int, **values: object) -> None:
        rows = self.rows(name)
        rows[index] |= values
        self.put(name, rows)

    def append(self, name: str, row: Row, told: Row) -> None:
        self.put(name, [*self.rows(name), row])
        self.put(lineage_of(name), [*self.rows(lineage_of(name)), told])

    def seal(self) -> None:
        """Make digests of rows, counts and checksums right again."""
        for name in self.examples():
            self._seal_rows(name)
        self._seal_counts()
        self.seal_sums()

    def _seal_rows(self, name: str) -> None:
        lines = self.path(name).read_bytes().split(b"\n")
        lineage = self.rows(lineage_of(name))
        for told, line in zip(lineage, lines, strict=False):
            told["sha256"] = hashlib.sha256(line).hexdigest()
        self.put(lineage_of(name), lineage)

    def _seal_counts(self) -> None:
        held = self.rows("held_back.jsonl")
        self.manifest["held_by_gate"] = gates_of(held, "gates")
        for dataset in self.manifest["datasets"]:
            of = f"{dataset['role']}/{dataset['task']}/{dataset['objective']}"
            files = {Path(one).stem: one for one in self.examples() if one.startswith(f"examples/{of}/")}
            lineage = [told for one in files.values() for told in self.rows(lineage_of(one))]
            dataset["splits"] = {split: self.path(one).read_bytes().count(b"\n") for split, one in files.items()}
            dataset["rows"] = sum(dataset["splits"].values())
            dataset["passed_by_gate"] = gates_of(lineage, "passed")
            own = [row for row in held if row["dataset"] == of]
            dataset["held"], dataset["held_by_gate"] = len(own), gates_of(own, "gates")

    def seal_sums(self) -> None:
        """Make the manifest's files and SHA256SUMS right again, for the files that it names."""
        for told in self.manifest["files"]:
            path = self.path(told["path"])
            if path.is_file():
                content = path.read_bytes()
                told |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                if "rows" in told:
                    told["rows"] = content.count(b"\n")
        for told in self.manifest["templates"]:
            told["sha256"] = hashlib.sha256(self.path(told["path"]).read_bytes()).hexdigest()
        self.put_manifest()
        self.put_sums()

    def put_sums(self) -> None:
        names = sorted([told["path"] for told in self.manifest["files"]] + ["manifest.json"])
        digests = {name: hashlib.sha256(self.path(name).read_bytes()).hexdigest() for name in names}
        self.path("SHA256SUMS").write_text("".join(f"{digests[name]}  {name}\n" for name in names), encoding="utf-8")


def lineage_of(name: str) -> str:
    return name.replace("examples/", "lineage/", 1)


def gates_of(rows: list[Row], field: str) -> dict[str, int]:
    return dict(Counter(gate for row in rows for gate in {one["gate"] for one in row.get(field, ())}))


class Fault(NamedTuple):
    """One fault: its function's name says what is wrong."""

    name: str
    code: str
    seal: str  # "all", "sums" or "nothing": what is made right again after it
    do: Callable[[Opened], None]

    def plant(self, folder: Path) -> None:
        """Plant it; raises `NoPlaceError` where the release has no place for it."""
        release = Opened(folder)
        self.do(release)
        if self.seal == "all":
            release.seal()
        elif self.seal == "sums":
            release.seal_sums()


FAULTS: list[Fault] = []


def fault(code: str, seal: str = "all") -> Callable[[Callable[[Opened], None]], Callable[[Opened], None]]:
    def keep(do: Callable[[Opened], None]) -> Callable[[Opened], None]:
        FAULTS.append(Fault(do.__name__, code, seal, do))
        return do

    return keep


# ------------------------------------------------------------------------------------------------ files


@fault("missing", "nothing")
def a_file_of_examples_is_missing(release: Opened) -> None:
    release.path(release.examples()[0]).unlink()


@fault("missing", "nothing")
def a_file_of_lineage_is_missing(release: Opened) -> None:
    release.path(lineage_of(release.examples()[0])).unlink()


@fault("missing", "nothing")
def the_checksums_are_missing(release: Opened) -> None:
    release.path("SHA256SUMS").unlink()


@fault("missing", "nothing")
def the_manifest_is_missing(release: Opened) -> None:
    release.path("manifest.json").unlink()


@fault("missing", "sums")
def the_readme_was_never_listed(release: Opened) -> None:
    release.path("README.md").unlink()
    release.manifest["files"] = [one for one in release.manifest["files"] if one["path"] != "README.md"]


@fault("missing", "sums")
def a_counted_split_has_no_file(release: Opened) -> None:
    name = release.examples()[0]
    release.path(name).unlink()
    release.path(lineage_of(name)).unlink()
    gone = {name, lineage_of(name)}
    release.manifest["files"] = [one for one in release.manifest["files"] if one["path"] not in gone]


@fault("extra", "nothing")
def a_file_is_there_that_nobody_names(release: Opened) -> None:
    release.path("examples/more.jsonl").write_text('{"id": "x"}\n')


@fault("dataset", "sums")
def a_split_is_there_that_no_dataset_counts(release: Opened) -> None:
    name = release.examples()[0]
    other = str(Path(name).with_name("spare.jsonl"))
    release.path(other).write_bytes(release.path(name).read_bytes())
    release.manifest["files"].append({"path": other, "sha256": "", "bytes": 0, "rows": 0})


@fault("renamed", "nothing")
def a_file_was_renamed(release: Opened) -> None:
    name = release.examples()[0]
    release.path(name).rename(release.path(name).with_suffix(".json"))


@fault("changed", "nothing")
def one_letter_changed(release: Opened) -> None:
    path = release.path("README.md")
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@fault("size", "nothing")
def a_file_grew(release: Opened) -> None:
    with release.path("verify.py").open("ab") as stream:
        stream.write(b"# more\n")


@fault("changed", "nothing")
def the_verifier_inside_was_replaced_in_the_manifest_too(release: Opened) -> None:
    path = release.path("verify.py")
    path.write_text("print('whole')\n")
    told = next(one for one in release.manifest["files"] if one["path"] == "verify.py")
    content = path.read_bytes()
    told |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    release.put_manifest()


@fault("symlink", "nothing")
def a_file_is_a_link_to_the_same_bytes(release: Opened) -> None:
    path = release.path(release.examples()[0])
    outside = release.folder.parent / f"{release.folder.name}-outside.jsonl"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)


@fault("symlink", "nothing")
def a_folder_is_a_link(release: Opened) -> None:
    outside = release.folder.parent / f"{release.folder.name}-outside"
    release.path("lineage").rename(outside)
    release.path("lineage").symlink_to(outside)


@fault("not_a_file", "nothing")
def a_pipe_lies_in_the_folder(release: Opened) -> None:
    os.mkfifo(release.path("examples/pipe"))


@fault("unsafe_path", "nothing")
def the_manifest_names_a_path_outside(release: Opened) -> None:
    release.manifest["files"].append({"path": "../outside.txt", "sha256": "0" * 64, "bytes": 0})
    release.put_manifest()
    release.manifest["files"].pop()
    release.put_sums()


@fault("unsafe_path", "nothing")
def the_manifest_names_an_absolute_path(release: Opened) -> None:
    release.manifest["files"].append({"path": "/etc/hostname", "sha256": "0" * 64, "bytes": 0})
    release.put_manifest()
    release.manifest["files"].pop()
    release.put_sums()


@fault("listed_twice", "sums")
def a_file_is_listed_twice(release: Opened) -> None:
    release.manifest["files"].append(dict(release.manifest["files"][0]))


@fault("sums", "nothing")
def the_checksums_leave_a_file_out(release: Opened) -> None:
    lines = release.path("SHA256SUMS").read_text().splitlines(keepends=True)
    release.path("SHA256SUMS").write_text("".join(lines[1:]))


@fault("sums", "nothing")
def the_checksums_name_what_is_not_there(release: Opened) -> None:
    with release.path("SHA256SUMS").open("a") as stream:
        stream.write(f"{'0' * 64}  examples/none.jsonl\n")


@fault("sums", "nothing")
def the_checksums_differ_from_the_manifest(release: Opened) -> None:
    text = release.path("SHA256SUMS").read_text()
    release.path("SHA256SUMS").write_text(re.sub(r"[0-9a-f]{64}(?=  README)", "0" * 64, text))


@fault("sums", "nothing")
def the_checksums_are_in_capitals(release: Opened) -> None:
    path = release.path("SHA256SUMS")
    digest, _, rest = path.read_text().partition("  ")
    path.write_text(f"{digest.upper()}  {rest}")


# ------------------------------------------------------------------------------------------------ strict JSON


def _spoil(release: Opened, change: Callable[[bytes], bytes], *objectives: str) -> None:
    name = release.examples(*objectives)[0]
    line = release.path(name).read_bytes().split(b"\n")[0]
    release.put_line(name, 0, change(line))


@fault("duplicate_key")
def a_key_stands_twice(release: Opened) -> None:
    _spoil(release, lambda line: line.replace(b'"id"', b'"id": "first", "id"', 1))


@fault("not_finite")
def a_score_is_not_a_number(release: Opened) -> None:
    _spoil(release, lambda line: re.sub(rb'"score": ?[0-9.]+', b'"score": NaN', line), "regression")


@fault("not_finite")
def a_score_is_beyond_any_number(release: Opened) -> None:
    _spoil(release, lambda line: re.sub(rb'"score": ?[0-9.]+', b'"score": 1e999', line), "regression")


@fault("bad_utf8", "sums")
def a_byte_is_not_utf8(release: Opened) -> None:
    _spoil(release, lambda line: line[:-2] + b"\xff" + line[-2:], "sft")


@fault("surrogate")
def a_text_holds_half_a_character(release: Opened) -> None:
    _spoil(release, lambda line: re.sub(rb'"completion": ?"', rb"\g<0>\\ud83d", line, count=1), "sft")


@fault("nul")
def a_text_holds_a_nul(release: Opened) -> None:
    _spoil(release, lambda line: re.sub(rb'"completion": ?"', rb"\g<0>\\u0000", line, count=1), "sft")


@fault("bad_json")
def a_line_is_cut(release: Opened) -> None:
    _spoil(release, lambda line: line[: len(line) // 2])


@fault("bad_json")
def a_line_is_a_list(release: Opened) -> None:
    _spoil(release, lambda line: b"[" + line + b"]")


@fault("bad_json")
def a_line_nests_too_deep(release: Opened) -> None:
    _spoil(release, lambda line: b"[" * 200_000 + line)


@fault("bad_json", "sums")
def a_byte_order_mark_begins_the_file(release: Opened) -> None:
    _spoil(release, lambda line: b"\xef\xbb\xbf" + line)


@fault("crlf")
def a_line_ends_as_on_windows(release: Opened) -> None:
    _spoil(release, lambda line: line + b"\r")


@fault("no_final_newline", "sums")
def the_last_line_has_no_end(release: Opened) -> None:
    path = release.path(release.examples()[0])
    path.write_bytes(path.read_bytes()[:-1])


@fault("no_final_newline", "sums")
def the_held_back_rows_end_within_a_line(release: Opened) -> None:
    path = release.path("held_back.jsonl")
    if not path.stat().st_size:
        raise NoPlaceError("held_back.jsonl")
    path.write_bytes(path.read_bytes()[:-1])


@fault("blank_line", "sums")
def a_line_is_blank(release: Opened) -> None:
    path = release.path(release.examples()[0])
    path.write_bytes(path.read_bytes() + b"\n")


@fault("duplicate_key", "nothing")
def the_manifest_says_a_key_twice(release: Opened) -> None:
    path = release.path("manifest.json")
    path.write_bytes(path.read_bytes().replace(b'"schema"', b'"schema": 9, "schema"', 1))
    release.put_sums()


@fault("schema", "nothing")
def the_schema_is_of_tomorrow(release: Opened) -> None:
    release.manifest["schema"] = 999
    release.put_manifest()
    release.put_sums()


@fault("manifest", "sums")
def the_manifest_has_no_seed(release: Opened) -> None:
    del release.manifest["order"]["seed"]


# ------------------------------------------------------------------------------------------------ columns and texts


def _change(release: Opened, *objectives: str, **values: object) -> None:
    name, index, _, _ = release.first(*objectives)
    release.change(name, index, **values)


@fault("columns")
def a_stray_column(release: Opened) -> None:
    _change(release, "sft", note="x")


@fault("columns")
def a_column_is_missing(release: Opened) -> None:
    name, index, row, _ = release.first("reward")
    rows = release.rows(name)
    rows[index] = {column: row[column] for column in ("id", "prompt", "chosen", "rejected")}
    release.put(name, rows)


@fault("columns")
def the_columns_stand_in_another_order(release: Opened) -> None:
    name, index, row, _ = release.first("sft")
    rows = release.rows(name)
    rows[index] = {column: row[column] for column in ("id", "completion", "prompt")}
    release.put(name, rows)


@fault("columns", "sums")
def the_manifest_tells_other_columns(release: Opened) -> None:
    release.manifest["datasets"][0]["columns"].append("note")


@fault("type")
def a_label_is_a_number(release: Opened) -> None:
    _change(release, "unpaired", label=1)


@fault("type")
def a_score_is_above_one(release: Opened) -> None:
    _change(release, "regression", score=1.5)


@fault("type")
def a_margin_is_below_zero(release: Opened) -> None:
    _change(release, "reward", margin=-0.25)


@fault("type")
def the_negatives_are_one_text(release: Opened) -> None:
    _change(release, "contrastive", negatives="def f(): pass")


@fault("type")
def a_feature_is_a_text(release: Opened) -> None:
    name, index, row, _ = release.first("classification")
    release.change(name, index, features=row["features"] | {"n_operations": "2"})


@fault("columns")
def a_feature_is_left_out(release: Opened) -> None:
    *_, (name, index, row, _) = release.each("classification")
    release.change(name, index, features=dict(list(row["features"].items())[1:]))


@fault("type")
def a_core_is_unknown(release: Opened) -> None:
    _change(release, "classification", core="Unknown")


@fault("type")
def a_text_is_null(release: Opened) -> None:
    _change(release, "sft", completion=None)


@fault("empty_text")
def a_completion_is_empty(release: Opened) -> None:
    _change(release, "sft", completion=" \n")


@fault("empty_text")
def a_negative_is_empty(release: Opened) -> None:
    _change(release, "contrastive", negatives=["\n"])


@fault("negatives")
def a_negative_is_the_positive(release: Opened) -> None:
    name, index, row, _ = release.first("contrastive")
    release.change(name, index, negatives=[row["positive"]])


@fault("question_end")
def a_prompt_ends_within_a_line(release: Opened) -> None:
    name, index, row, _ = release.first("sft")
    release.change(name, index, prompt=row["prompt"].rstrip("\n"))


@fault("same_pair")
def chosen_and_rejected_differ_in_white_space(release: Opened) -> None:
    name, index, row, _ = release.first("preference")
    release.change(name, index, rejected=row["chosen"].replace("\n", "\n\n") + " ")


@fault("answer_in_prompt")
def the_prompt_holds_the_answer(release: Opened) -> None:
    name, index, row, _ = release.first("sft")
    release.change(name, index, prompt=row["prompt"] + row["completion"].replace("\n", "\n    ") + "\n")


@fault("answer_in_prompt")
def the_anchor_holds_the_positive(release: Opened) -> None:
    name, index, row, _ = release.first("contrastive")
    release.change(name, index, anchor="See:\n" + row["positive"])


@fault("row_twice")
def a_row_stands_twice_under_two_ids(release: Opened) -> None:
    name, _, row, told = release.first("sft", where=lambda _, told: "passed" not in told)
    other = row["id"] + "-again"
    release.append(name, row | {"id": other}, told | {"id": other})


@fault("id_twice")
def two_rows_have_one_id(release: Opened) -> None:
    name, _, row, told = release.first("sft")
    release.append(name, row | {"completion": row["completion"] + "# more\n"}, told)


@fault("id_form")
def an_id_is_of_another_form(release: Opened) -> None:
    name, index, row, _ = release.first("sft")
    other = row["id"].replace("sft", "row", 1)
    release.change(name, index, id=other)
    release.change(lineage_of(name), index, id=other)


# ------------------------------------------------------------------------------------------------ lineage


@fault("lineage_missing")
def a_row_has_no_lineage(release: Opened) -> None:
    name = lineage_of(release.examples()[0])
    release.put(name, release.rows(name)[:-1])


@fault("lineage_extra")
def a_lineage_has_no_row(release: Opened) -> None:
    name = release.examples()[0]
    release.put(lineage_of(name), [*release.rows(lineage_of(name)), release.rows(lineage_of(name))[0]])


@fault("lineage_id")
def the_lineage_stands_in_another_order(release: Opened) -> None:
    for name in release.examples():
        rows = release.rows(lineage_of(name))
        if len(rows) > 1:
            release.put(lineage_of(name), rows[::-1])
            return
    raise NoPlaceError


@fault("lineage_digest", "sums")
def a_text_was_changed_with_all_checksums(release: Opened) -> None:
    name, index, row, _ = release.first("sft")
    release.change(name, index, completion=row["completion"] + "# changed\n")


@fault("lineage_field")
def a_row_has_no_origin(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, origins=[])


@fault("lineage_field")
def a_decision_is_a_text(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, decision="31")


@fault("lineage_field")
def a_pass_gives_no_reason(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, passed=[{"gate": "secret", "reason": "", "by": "ada"}])


@fault("decision_late")
def a_decision_came_after_the_release(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, decision=release.manifest["decisions"]["last"] + 1)


@fault("candidate")
def a_row_has_a_stale_decision(release: Opened) -> None:
    """One row of a candidate that has several rests on another decision than the rest."""
    seen: set[int] = set()
    for name, index, _, told in release.each():
        if told["candidate"] in seen and told["decision"] > 1:
            release.change(lineage_of(name), index, decision=told["decision"] - 1)
            return
        seen.add(told["candidate"])
    raise NoPlaceError


@fault("candidate")
def two_candidates_are_swapped(release: Opened) -> None:
    name, index, _, told = release.first()
    _, _, _, other = release.first(where=lambda _, one: one["candidate"] != told["candidate"])
    release.change(lineage_of(name), index, candidate=other["candidate"])


@fault("lineage_field")
def a_skipped_candidate_is_used(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, verdict="skip")


@fault("rejected_used")
def a_rejected_candidate_is_learnt(release: Opened) -> None:
    name, index, _, _ = release.first("sft")
    release.change(lineage_of(name), index, verdict="reject")


@fault("label_verdict")
def a_rejected_script_is_called_right(release: Opened) -> None:
    name, index, _, _ = release.first("unpaired", where=lambda _, told: told["verdict"] == "reject")
    release.change(name, index, label=True)


@fault("label_verdict")
def an_accepted_script_is_called_wrong(release: Opened) -> None:
    name, index, _, _ = release.first(
        "unpaired", where=lambda row, told: row["label"] and (told["verdict"], told["answer"]) == ("accept", "script")
    )
    release.change(name, index, label=False)


@fault("label_both")
def one_answer_is_called_right_and_wrong(release: Opened) -> None:
    name, _, row, told = release.first("unpaired", where=lambda row, _: bool(row["label"]))
    other = row["id"] + "-9"
    release.append(name, row | {"id": other, "label": False}, told | {"id": other, "answer": "attempt 9"})


@fault("edit_verdict")
def an_edit_without_an_editor(release: Opened) -> None:
    name, index, _, _ = release.first("sft", where=lambda _, told: told["verdict"] == "accept")
    release.change(lineage_of(name), index, answer="edited_script")


@fault("edit_dropped")
def an_edit_was_dropped(release: Opened) -> None:
    name, index, _, _ = release.first("sft", role="llm", where=lambda _, told: told["verdict"] == "edit")
    release.change(lineage_of(name), index, answer="script")


@fault("no_evidence")
def a_pair_does_not_say_why(release: Opened) -> None:
    name, index, _, _ = release.first("preference")
    rows = release.rows(lineage_of(name))
    del rows[index]["evidence"]
    release.put(lineage_of(name), rows)


@fault("recipe")
def a_recipe_is_of_another_version(release: Opened) -> None:
    name, index, _, told = release.first()
    release.change(lineage_of(name), index, recipe=told["recipe"] + "0")


@fault("template")
def a_template_is_not_in_the_manifest(release: Opened) -> None:
    name, index, _, _ = release.first("sft")
    release.change(lineage_of(name), index, templates=["other/9"])


@fault("template", "nothing")
def a_template_is_not_the_one_that_was_used(release: Opened) -> None:
    if not release.manifest["templates"]:
        raise NoPlaceError("templates")
    release.manifest["templates"][0]["sha256"] = "0" * 64
    release.put_manifest()
    release.put_sums()


@fault("ruling")
def a_gate_was_passed_by_nobody(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, passed=[{"gate": "secret", "reason": "a test key", "by": "ada"}])
    release.manifest["rulings"]["last"] = 0


# ------------------------------------------------------------------------------------------------ splits


@fault("split_rule")
def a_row_lies_in_the_wrong_split(release: Opened) -> None:
    """All rows of a group move, so that only the rule can tell."""
    name, _, _, told = release.first(where=lambda _, told: told["dealt"] == "digest")
    _move_group(release, told["group"], "test" if Path(name).stem != "test" else "train")


def _move_group(release: Opened, group: str, split: str) -> None:
    for name in release.examples():
        rows, lineage = release.rows(name), release.rows(lineage_of(name))
        mine = [index for index, told in enumerate(lineage) if told["group"] == group]
        target = str(Path(name).with_name(f"{split}.jsonl"))
        if not mine or target == name:
            continue
        if not release.path(target).exists():
            for new in (target, lineage_of(target)):
                release.path(new).write_bytes(b"")
                release.manifest["files"].append({"path": new, "sha256": "", "bytes": 0, "rows": 0})
        for index in mine:
            release.append(target, rows[index], lineage[index])
        for old, kept in ((name, rows), (lineage_of(name), lineage)):
            left = [row for index, row in enumerate(kept) if index not in mine]
            release.put(old, left)
            if not left:
                release.path(old).unlink()
                release.manifest["files"] = [one for one in release.manifest["files"] if one["path"] != old]


@fault("split_rule")
def the_seed_is_another(release: Opened) -> None:
    release.first(where=lambda _, told: told["dealt"] == "digest")
    release.manifest["order"] |= {"seed": 0, "shares": {"train": 0.0, "validation": 0.0, "test": 1.0}}


@fault("split_rule")
def the_benchmark_is_dealt_into_another_split(release: Opened) -> None:
    found = [(name, index) for name, index, _, _ in release.each() if not name.endswith("/benchmark.jsonl")]
    if not found:
        raise NoPlaceError("train")
    name, index = found[0]
    release.change(lineage_of(name), index, dealt="benchmark")


def _two_splits(release: Opened) -> tuple[tuple[str, int], Row]:
    """A row, and the lineage of another in another split."""
    name, index, _, _ = release.first()
    for other, _, _, told in release.each():
        if Path(other).stem != Path(name).stem:
            return (lineage_of(name), index), told
    raise NoPlaceError


@fault("crossing")
def a_group_lies_in_two_splits(release: Opened) -> None:
    (name, index), other = _two_splits(release)
    release.change(name, index, group=other["group"], dealt="ledger")


@fault("crossing")
def an_issue_lies_in_two_splits(release: Opened) -> None:
    (name, index), other = _two_splits(release)
    release.change(name, index, issue=other["issue"])


@fault("crossing")
def a_cluster_lies_in_two_splits(release: Opened) -> None:
    (name, index), _ = _two_splits(release)
    other = next(one for one in release.each() if Path(one[0]).stem != Path(name).stem)
    release.change(name, index, cluster=900001)
    release.change(lineage_of(other[0]), other[1], cluster=900001)


@fault("crossing")
def the_report_admits_a_crossing(release: Opened) -> None:
    """The manifest counts what crosses, truly: it is a fault all the same."""
    (name, index), other = _two_splits(release)
    release.change(name, index, issue=other["issue"])
    release.manifest["leaks"]["issues"] = 1


@fault("benchmark_used")
def a_question_of_the_benchmark_is_learnt(release: Opened) -> None:
    known = [one for one in release.each("sft", "seq2seq") if one[0].endswith("/benchmark.jsonl")]
    if not known:
        raise NoPlaceError("benchmark")
    name, _, row, _ = known[0]
    dataset = Path(name).parent.as_posix()
    others = [one for one in release.each() if one[0].startswith(dataset) and one[0] != name]
    if not others:
        raise NoPlaceError(dataset)
    release.change(others[0][0], others[0][1], **{column: row[column] for column in row if column != "id"})


@fault("leaks")
def the_leak_report_says_that_a_group_crosses(release: Opened) -> None:
    leaks = json.loads(release.path("leaks.json").read_bytes())
    release.path("leaks.json").write_text(json.dumps(leaks | {"groups": 1}) + "\n")


@fault("leaks")
def the_leak_report_counts_other_files(release: Opened) -> None:
    release.manifest["leaks"]["files"] += 7


# ------------------------------------------------------------------------------------------------ counts


@fault("counts", "sums")
def a_dataset_says_one_row_more(release: Opened) -> None:
    dataset = release.manifest["datasets"][0]
    dataset["rows"] += 1
    split = next(iter(dataset["splits"]))
    dataset["splits"][split] += 1


@fault("counts", "sums")
def a_row_was_left_out_with_its_lineage(release: Opened) -> None:
    for name in release.examples():
        if len(release.rows(name)) > 1:
            for one in (name, lineage_of(name)):
                release.put(one, release.rows(one)[:-1])
            return
    raise NoPlaceError


@fault("counts", "nothing")
def a_file_says_other_rows(release: Opened) -> None:
    told = next(one for one in release.manifest["files"] if "rows" in one)
    told["rows"] += 1
    release.put_manifest()
    release.put_sums()


def _held(release: Opened) -> list[Row]:
    rows = release.rows("held_back.jsonl")
    if not rows:
        raise NoPlaceError("held_back.jsonl")
    return rows


@fault("counts", "sums")
def a_held_row_was_left_out(release: Opened) -> None:
    release.put("held_back.jsonl", _held(release)[1:])


@fault("counts", "sums")
def a_held_row_names_another_gate(release: Opened) -> None:
    rows = _held(release)
    rows[0]["gates"] = [{"gate": "left_out", "message": "Left out."}, *rows[0]["gates"]]
    release.put("held_back.jsonl", rows)


@fault("counts", "sums")
def a_pass_is_not_counted(release: Opened) -> None:
    name, index, _, told = release.first()
    passed = [*told.get("passed", ()), {"gate": "injection", "reason": "it is a quotation", "by": "ada"}]
    release.change(lineage_of(name), index, passed=passed)
    release.manifest["rulings"]["last"] = 9


@fault("held_field")
def a_held_row_says_no_reason(release: Opened) -> None:
    release.put("held_back.jsonl", [*_held(release), _held(release)[0] | {"id": None, "gates": []}])


@fault("held_and_present")
def a_row_is_held_and_present(release: Opened) -> None:
    name, _, row, told = release.first()
    held = {
        "dataset": "/".join(name.split("/")[1:4]),
        "id": row["id"],
        "candidate": told["candidate"],
        "gates": [{"gate": "secret", "message": "It holds a key."}],
    }
    release.put("held_back.jsonl", [*release.rows("held_back.jsonl"), held])


@fault("candidates", "sums")
def more_candidates_are_there_than_were_judged(release: Opened) -> None:
    release.first(where=lambda _, told: told["verdict"] == "accept")
    release.manifest["candidates"]["accepted"] = 0


@fault("candidates", "sums")
def accepted_candidates_have_vanished(release: Opened) -> None:
    release.manifest["candidates"]["accepted"] += len({row["candidate"] for row in _held(release)}) + 1


@fault("licence")
def a_licence_is_missing_that_is_required(release: Opened) -> None:
    release.manifest["order"]["licence_required"] = True
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, licence="", passed=[{"gate": "secret", "reason": "a test", "by": "ada"}])
    release.manifest["rulings"]["last"] = 9


# ------------------------------------------------------------------------------------------------ more of the manifest


@fault("manifest", "sums")
def the_manifest_tells_the_program_by_a_number(release: Opened) -> None:
    release.manifest["program"] = 1


@fault("manifest", "sums")
def the_manifest_deals_by_nothing_known(release: Opened) -> None:
    release.manifest["order"]["by"] = "chance"


@fault("manifest", "sums")
def a_share_is_a_text(release: Opened) -> None:
    release.manifest["order"] |= {"by": "issue", "shares": {"train": "0.8", "validation": 0.1, "test": 0.1}}


@fault("split_rule", "sums")
def the_seed_is_gone_that_dealt_the_rows(release: Opened) -> None:
    release.first(where=lambda _, told: told["dealt"] == "digest")
    release.manifest["order"]["seed"] = None


@fault("split_rule")
def a_row_was_dealt_by_what_was_not_ordered(release: Opened) -> None:
    name, index, _, _ = release.first(where=lambda _, told: told["dealt"] == "digest")
    release.change(lineage_of(name), index, dealt="time")


@fault("manifest", "sums")
def the_last_decision_is_a_text(release: Opened) -> None:
    release.manifest["decisions"]["last"] = "31"


@fault("manifest", "sums")
def the_chain_of_decisions_has_no_digest(release: Opened) -> None:
    if release.manifest["decisions"]["last"] is None:
        raise NoPlaceError("decisions")
    release.manifest["decisions"]["sha256"] = "none"


@fault("manifest", "sums")
def the_last_ruling_is_a_text(release: Opened) -> None:
    release.manifest["rulings"]["last"] = "7"


@fault("manifest", "nothing")
def a_listed_file_has_no_size(release: Opened) -> None:
    del release.manifest["files"][0]["bytes"]
    release.put_manifest()
    release.put_sums()


@fault("manifest", "sums")
def a_listed_file_of_rows_says_no_number(release: Opened) -> None:
    del next(one for one in release.manifest["files"] if "rows" in one)["rows"]


def _template(release: Opened) -> Row:
    if not release.manifest["templates"]:
        raise NoPlaceError("templates")
    template: Row = release.manifest["templates"][0]
    return template


@fault("manifest", "sums")
def a_template_comes_from_nowhere(release: Opened) -> None:
    _template(release)["origin"] = "elsewhere"


@fault("template", "sums")
def a_template_has_the_file_of_another(release: Opened) -> None:
    _template(release)["path"] = "README.md"


@fault("template", "sums")
def a_template_lies_there_that_nobody_names(release: Opened) -> None:
    release.path("templates").mkdir(exist_ok=True)
    release.path("templates/spare.v1.txt").write_text("{issue}\n")
    release.manifest["files"].append({"path": "templates/spare.v1.txt", "sha256": "", "bytes": 0})


def _dataset(release: Opened) -> Row:
    release.examples()
    dataset: Row = next(one for one in release.manifest["datasets"] if one["rows"])
    return dataset


@fault("dataset", "sums")
def a_dataset_stands_twice(release: Opened) -> None:
    release.manifest["datasets"].append(_dataset(release))


@fault("dataset", "sums")
def a_dataset_has_an_unknown_objective(release: Opened) -> None:
    release.manifest["datasets"].append(_dataset(release) | {"objective": "wonder"})


@fault("dataset", "sums")
def a_dataset_has_a_path_for_a_role(release: Opened) -> None:
    release.manifest["datasets"].append(_dataset(release) | {"role": "../llm"})


@fault("manifest", "sums")
def a_dataset_does_not_say_what_is_held(release: Opened) -> None:
    del _dataset(release)["held"]


@fault("counts", "sums")
def a_dataset_has_an_unknown_split(release: Opened) -> None:
    dataset = _dataset(release)
    dataset["splits"]["dev"] = 0


@fault("counts", "sums")
def a_datasets_rows_are_not_the_sum_of_its_splits(release: Opened) -> None:
    _dataset(release)["rows"] += 1


@fault("counts", "sums")
def a_datasets_split_says_another_number(release: Opened) -> None:
    dataset = _dataset(release)
    for split in dataset["splits"]:
        dataset["splits"][split] += 1
        dataset["rows"] += 1


@fault("counts", "sums")
def a_dataset_says_that_one_more_is_held(release: Opened) -> None:
    _dataset(release)["held"] += 1


@fault("counts", "sums")
def a_dataset_says_other_gates(release: Opened) -> None:
    _dataset(release)["held_by_gate"]["left_out"] = 1000


@fault("counts", "sums")
def the_manifest_says_other_gates(release: Opened) -> None:
    release.manifest["held_by_gate"]["left_out"] = 1000


# ------------------------------------------------------------------------------------------------ more of the rows


@fault("negatives")
def a_row_has_too_many_negatives(release: Opened) -> None:
    _change(release, "contrastive", negatives=[f"x = {number}\n" for number in range(5)])


@fault("type")
def a_feature_counts_beyond_its_cap(release: Opened) -> None:
    name, index, row, _ = release.first("classification")
    first = next(feature for feature in row["features"] if feature.startswith("op_"))
    release.change(name, index, features=row["features"] | {first: 6})


@fault("lineage_field")
def an_origin_has_no_offset(release: Opened) -> None:
    name, index, _, told = release.first()
    release.change(lineage_of(name), index, origins=[{**told["origins"][0], "offset": None}])


@fault("lineage_field")
def the_passed_gates_are_an_empty_list(release: Opened) -> None:
    name, index, _, _ = release.first()
    release.change(lineage_of(name), index, passed=[])


@fault("lineage_field")
def the_evidence_is_blank(release: Opened) -> None:
    name, index, _, _ = release.first("sft", "unpaired", "regression", "classification")
    release.change(lineage_of(name), index, evidence=" ")


def _change_held(release: Opened, **values: object) -> None:
    rows = _held(release)
    rows[0] |= values
    release.put("held_back.jsonl", rows)


@fault("held_field", "sums")
def a_held_row_is_of_no_dataset(release: Opened) -> None:
    _change_held(release, dataset="llm/dream/sft")


@fault("held_field", "sums")
def a_held_row_has_a_number_for_an_id(release: Opened) -> None:
    _change_held(release, id=7)


@fault("held_field", "sums")
def a_held_row_has_no_candidate(release: Opened) -> None:
    _change_held(release, candidate=None)


@fault("held_field", "sums")
def a_held_gate_says_nothing(release: Opened) -> None:
    _change_held(release, gates=[{"gate": "secret", "message": ""}])


@fault("id_twice")
def an_id_is_held_back_twice(release: Opened) -> None:
    twice = _held(release)[0] | {"id": "sft-scaffold-held-twice"}
    release.put("held_back.jsonl", [*_held(release), twice, twice])


# ------------------------------------------------------------------------------------------------ more of the files


@fault("sums", "nothing")
def a_line_of_the_checksums_is_no_checksum(release: Opened) -> None:
    with release.path("SHA256SUMS").open("a") as stream:
        stream.write("# all is well\n")


@fault("crlf", "sums")
def the_leak_report_has_line_ends_of_windows(release: Opened) -> None:
    path = release.path("leaks.json")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


@fault("no_final_newline", "sums")
def the_leak_report_has_no_line_end(release: Opened) -> None:
    path = release.path("leaks.json")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))


@fault("leaks", "sums")
def the_leak_report_does_not_speak_of_fingerprints(release: Opened) -> None:
    leaks = json.loads(release.path("leaks.json").read_bytes())
    del leaks["fingerprints"]
    release.path("leaks.json").write_text(json.dumps(leaks) + "\n")


@fault("leaks", "sums")
def both_reports_say_that_a_fingerprint_crosses(release: Opened) -> None:
    leaks = json.loads(release.path("leaks.json").read_bytes())
    release.path("leaks.json").write_text(json.dumps(leaks | {"fingerprints": 1}) + "\n")
    release.manifest["leaks"]["fingerprints"] = 1


@fault("leaks", "sums")
def a_crossing_is_not_told(release: Opened) -> None:
    """Files, not rows: the manifest hides what the lineage shows."""
    (name, index), other = _two_splits(release)
    release.change(name, index, issue=other["issue"])


@fault("manifest", "nothing")
def the_manifest_is_a_list(release: Opened) -> None:
    release.path("manifest.json").write_text("[]\n")
    release.put_sums()
