"""Log bytes to entries, candidates and quarantine: nothing lost, nothing doubled, nothing invented."""

import gzip
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from app import evidence, ingest, queue, review, sources
from app.db import Database
from app.errors import BadInputError, ConflictError, TooLargeError, UnsupportedError
from app.ingest import Upload
from app.settings import Settings
from tests.conftest import NOON, noon
from tests.logs import entry, line, read


def n_rows(db: Database, table: str) -> int:
    with db.read() as session:
        return int(session.connection().execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def adds_up(report: sources.Report) -> bool:
    return report.entries == report.new + report.repeated + report.quarantined


def test_every_line_is_accounted_for(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    content = line("One") + b"\n\n   \n" + b"not json\n" + line("One") + b"\r\n" + line("Two")

    report = read(db, settings, project_id, tmp_path, content)

    assert (report.new, report.repeated, report.quarantined, report.blank) == (2, 1, 1, 2)
    assert adds_up(report)
    assert n_rows(db, "candidate") == 2


def test_the_entry_keeps_the_exact_bytes(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    raw = json.dumps(entry("a\u2028b\x0bc"), ensure_ascii=False, separators=(" ,", ": ")).encode()

    read(db, settings, project_id, tmp_path, raw + b"\n")

    with db.read() as session:
        assert bytes(evidence.read_units(session, [1])[1].entry.raw) == raw


def test_the_same_file_again_adds_nothing(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    content = line("One") + b"\n" + line("Two") + b"\nbroken\n"
    read(db, settings, project_id, tmp_path, content)
    before = [n_rows(db, table) for table in ("candidate", "entry", "quarantine")]

    report = read(db, settings, project_id, tmp_path, content)

    assert (report.new, report.repeated, report.quarantined) == (0, 2, 1)
    assert [n_rows(db, table) for table in ("candidate", "entry", "quarantine")] == before


def test_a_rating_given_since_updates_and_never_doubles(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, line("One") + b"\n")

    report = read(db, settings, project_id, tmp_path, line("One", user_rating=4) + b"\n")

    assert (report.new, report.repeated, report.updated) == (0, 1, 1)
    with db.read() as session:
        assert review.get_candidate(session, project_id, 1).rating == 4
    assert n_rows(db, "candidate") == 1


def test_key_order_time_and_embeddings_do_not_make_another_candidate(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    one = entry("One")
    turned = dict(reversed(one.items())) | {"timestamp_utc": "2026-01-01T00:00:00+00:00", "diff_embedding": [0.5]}

    report = read(db, settings, project_id, tmp_path, b"\n".join(json.dumps(each).encode() for each in (one, turned)))

    assert (report.new, report.repeated) == (1, 1)


def test_a_quarantined_line_says_where_and_why(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    first = line("One") + b"\n"
    read(db, settings, project_id, tmp_path, first + b'{"a": NaN}\n' + line("Two") + b"\n")

    with db.read() as session:
        [(row, name)] = sources.list_quarantine(session, project_id)

    assert (name, row.line, row.offset_bytes, row.code) == ("log.jsonl", 2, len(first), "number")
    assert bytes(row.raw) == b'{"a": NaN}'
    assert "NaN is not JSON" in row.message


def test_a_corrected_line_becomes_a_candidate(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    report = read(db, settings, project_id, tmp_path, b"broken\n")

    with db.write() as session:
        candidate_id = ingest.retry(session, settings, project_id, 1, corrected=line("Mended"), now=NOON)

    with db.read() as session:
        assert review.get_candidate(session, project_id, candidate_id).title == "Mended"
        assert sources.count_quarantine(session, project_id) == 0
        assert bytes(sources.get_quarantined(session, project_id, 1)[0].raw) == b"broken"
    after = sources.get_report(db, report.source)
    assert (after.new, after.quarantined) == (1, 0)
    assert adds_up(after)


def test_a_line_that_is_still_broken_changes_nothing(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, b"broken\n")

    with pytest.raises(BadInputError, match="not JSON") as caught, db.write() as session:
        ingest.retry(session, settings, project_id, 1, corrected=b"{", now=NOON)

    assert caught.value.where == "log.jsonl:1: byte 0"
    assert n_rows(db, "candidate") == 0


def test_a_resolved_line_is_not_resolved_twice(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read(db, settings, project_id, tmp_path, b"broken\n")
    with db.write() as session:
        ingest.retry(session, settings, project_id, 1, corrected=line(), now=NOON)

    with pytest.raises(ConflictError, match="was resolved"), db.write() as session:
        ingest.retry(session, settings, project_id, 1, corrected=line("Other"), now=NOON)


def test_gzip_is_read_whatever_the_name_says(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    report = read(db, settings, project_id, tmp_path, gzip.compress(line("One") + b"\n" + line("Two") + b"\n"))

    assert report.new == 2


def test_a_cut_gzip_gives_the_lines_before_the_cut(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    packed = gzip.compress(b"".join(line(f"Issue {n}") + b"\n" for n in range(500)))

    report = read(db, settings, project_id, tmp_path, packed[: len(packed) // 2])

    assert report.new > 100
    assert report.quarantined == 1
    with db.read() as session:
        assert sources.list_quarantine(session, project_id)[0][0].code == "truncated"


def test_a_gzip_with_a_wrong_checksum_says_so(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    packed = gzip.compress(line("One") + b"\n")

    report = read(db, settings, project_id, tmp_path, packed[:-8] + bytes(8))

    assert (report.new, report.quarantined) == (1, 1)


def test_a_gzip_bomb_is_refused_before_anything_is_stored(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    with pytest.raises(TooLargeError, match="unpacks to far more"):
        read(db, settings, project_id, tmp_path, gzip.compress(b"x" * (65 << 20)))

    assert n_rows(db, "source") == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(64), "a program"),
        (b"<!doctype html><p>", "HTML"),
        ("{}\n".encode("utf-16"), "not UTF-8"),
        (b"PK\x03\x04....", "zip archive"),
        (b"{}\n" + b"PK\x05\x06" + bytes(18), "ends as a zip"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_a_sentence(
    db: Database, settings: Settings, project_id: int, tmp_path: Path, content: bytes, sentence: str
) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        read(db, settings, project_id, tmp_path, content)

    assert n_rows(db, "source") == 0


def test_a_pretty_printed_file_gets_one_message(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    report = read(db, settings, project_id, tmp_path, json.dumps([entry("One"), entry("Two")], indent=2).encode())

    assert (report.entries, report.quarantined) == (1, 1)
    with db.read() as session:
        assert "one JSON value over many lines" in sources.list_quarantine(session, project_id)[0][0].message


def test_an_overlong_line_is_kept_whole_beside_the_database(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    small = settings.model_copy(update={"max_line_bytes": 1 << 20})
    long = b'{"diff": "' + b"x" * (5 << 20) + b'"}'

    report = read(db, small, project_id, tmp_path, line("One") + b"\n" + long + b"\n" + line("Two") + b"\n")

    assert (report.new, report.quarantined) == (2, 1)
    with db.read() as session:
        row = sources.list_quarantine(session, project_id)[0][0]
    assert row.n_bytes == len(long)
    assert row.overflow is not None
    assert (settings.data_dir / "overlong" / row.overflow).read_bytes() == long


def test_a_crash_between_batches_resumes_at_the_committed_offset(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    content = b"".join(line(f"Issue {n}") + b"\n" for n in range(900)) + b"broken\n"
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)

    def crash(done: int, total: int) -> None:
        if done > total // 3:
            raise KeyboardInterrupt

    upload = Upload(path, "log.jsonl")
    with pytest.raises(KeyboardInterrupt):
        ingest.read_file(db, settings, project_id, upload, now=noon, progress=crash)
    stored = n_rows(db, "entry")
    assert 0 < stored < 900

    report = ingest.read_file(db, settings, project_id, upload, now=noon)

    assert (report.source, report.new, report.repeated, report.quarantined) == (1, 900, 0, 1)
    assert n_rows(db, "entry") == 900


def test_two_programs_that_read_one_file_add_it_once(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(f"Issue {n}") + b"\n" for n in range(900)))
    upload = Upload(path, "log.jsonl")
    started: list[int] = []

    def second(_done: int, _total: int) -> None:
        if not started:
            started.append(1)
            ingest.read_file(db, settings, project_id, upload, now=noon)

    with pytest.raises(ConflictError, match="another program"):
        ingest.read_file(db, settings, project_id, upload, now=noon, progress=second)

    assert n_rows(db, "entry") == 900


def test_the_same_id_with_other_content_is_held_and_both_are_kept(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    report = read(db, settings, project_id, tmp_path, line("One", id="7") + b"\n" + line("Two", id="7") + b"\n")

    assert (report.new, report.quarantined) == (1, 1)
    with db.read() as session:
        assert sources.list_quarantine(session, project_id)[0][0].code == "id_conflict"


def test_a_file_with_an_id_twice_can_be_imported_again(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    content = line("One", id="7") + b"\n" + line("Two", id="7") + b"\n"
    read(db, settings, project_id, tmp_path, content)

    report = read(db, settings, project_id, tmp_path, content)

    assert (report.new, report.repeated, report.quarantined) == (0, 1, 1)
    assert n_rows(db, "quarantine") == 1


def test_text_that_a_database_refuses_is_stored_and_searchable(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    report = read(db, settings, project_id, tmp_path, line("cut \ud83d here", patch_source="a\x00b") + b"\n")

    assert report.new == 1
    with db.read() as session:
        [row] = queue.list_candidates(session, project_id, queue.Filter(q="here")).candidates
    assert (row.title, row.patch_source) == ("cut \ufffd here", "a\u2400b")


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)

    with pytest.raises(BadInputError, match="no regular file"):
        ingest.open_regular(pipe)
