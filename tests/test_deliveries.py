"""Files that come in together are one report: sums, each file's counts, and a reason for whatever was not read."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app import deliveries, ingest, jobs, queue, worker
from app.db import Database
from app.deliveries import DeliveryReport
from app.errors import AppError, BadInputError, NotFoundError, UnsupportedError
from app.formats import READERS
from app.ingest import Upload
from app.models import JobRow, SourceRow
from app.settings import Settings
from app.sources import Report
from tests.commands import call
from tests.conftest import noon
from tests.logs import line
from tests.test_archives import tarred, zipped
from tests.test_intake import DATASET, LOGS, META, PROJECT, RUN, SPEC_PAIR, lay
from tests.web.pages import text

BROKEN = b'{"spec_issue_description": "cut'


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int) -> "Desk":
    """An installation that is sent things."""
    return Desk(db, settings, project_id)


class Desk:
    """What is sent to it is read at once, unless the settings say that it is large."""

    def __init__(self, db: Database, settings: Settings, project_id: int) -> None:
        self.db, self.settings, self.project_id = db, settings, project_id
        self.uploads = settings.data_dir / "uploads"

    def send(
        self, files: Sequence[tuple[str, bytes]], *, n_left: int = 0, **changes: object
    ) -> Report | DeliveryReport:
        settings = self.settings.model_copy(update=changes)
        self.uploads.mkdir(exist_ok=True)
        uploads = []
        for number, (name, content) in enumerate(files):
            path = self.uploads / f"spooled-{number}"
            path.write_bytes(content)
            uploads.append(Upload(path, name, origin="upload"))
        return deliveries.receive(self.db, settings, self.project_id, uploads, n_left=n_left, now=noon)

    def deliver(self, files: Sequence[tuple[str, bytes]], *, n_left: int = 0) -> DeliveryReport:
        report = self.send(files, n_left=n_left)
        assert isinstance(report, DeliveryReport)
        return report

    def report(self, delivery_id: int) -> DeliveryReport:
        with self.db.read() as session:
            return deliveries.get_report(session, self.project_id, delivery_id)

    def job(self, number: int) -> JobRow:
        with self.db.read() as session:
            return jobs.get_job(session, self.project_id, number)

    def work(self) -> None:
        worker.run(self.db, self.settings, stop=lambda: False, until_idle=True)

    def left_over(self) -> list[Path]:
        return list(self.uploads.iterdir())


def of_a_folder(name: str = "shop") -> list[tuple[str, bytes]]:
    return [(f"{name}/{path}", content) for path, content in PROJECT.items()]


# ------------------------------------------------------------------------------------------------ what came together


@pytest.mark.parametrize("pack", [None, zipped, tarred, lambda files: gzip.compress(tarred(files))])
def test_a_project_makes_one_report(desk: Desk, pack: object) -> None:
    sent = of_a_folder() if pack is None else [("shop.zip", pack(PROJECT))]  # type: ignore[operator]
    name = sent[0][0].partition("/")[0]

    report = desk.deliver(sent)

    assert (report.name, report.state, report.n_files) == (name, "done", 5)
    assert [one.name for one in report.files] == [f"{name}/{log}" for log in LOGS]
    counts = report.counts
    assert (counts["entries"], counts["new"], counts["quarantined"]) == (6, 6, 0)
    assert sum(report.formats.values()) == counts["entries"]
    assert {"success log", "run history", "patch set"} <= report.formats.keys()
    assert [one["name"] for one in report.broken] == [f"{name}/.autopatches/feature/auto-patch-y-2"]
    assert {str(one["why"])[:15] for one in report.passed} == {
        "A built dataset", "JSON, but no lo", "No kind of file", "Kept by a tool ",
    }  # fmt: skip
    assert desk.left_over() == []
    assert desk.report(report.delivery) == report


def test_the_same_project_again_adds_nothing(desk: Desk) -> None:
    desk.deliver(of_a_folder())

    counts = desk.deliver([("again.zip", zipped(PROJECT))]).counts

    assert (counts["new"], counts["repeated"], counts["entries"]) == (0, 6, 6)


def test_a_single_log_is_a_single_report(desk: Desk) -> None:
    report = desk.send([("p/.agent_data/success_memory.jsonl", line())])

    assert isinstance(report, Report)
    assert (report.name, report.new) == ("p/.agent_data/success_memory.jsonl", 1)


def test_what_is_refused_costs_its_neighbours_nothing(desk: Desk) -> None:
    program, bomb = b"\x7fELF", zipped({"a.json": bytes(65 << 20)})

    report = desk.deliver([("a.jsonl", program), ("b.zip", bomb), ("c.jsonl", line() + b"\n" + BROKEN)])

    assert (report.name, report.counts["new"], report.counts["quarantined"]) == ("3 files", 1, 1)
    assert {one["name"]: one["code"] for one in report.refused} == {"a.jsonl": "unsupported", "b.zip": "bomb"}


def test_what_the_browser_left_behind_is_counted(desk: Desk) -> None:
    report = desk.deliver([("p/a.json", RUN), ("p/b.json", RUN)], n_left=312)

    assert [(one["name"], one["n_files"]) for one in report.passed] == [("312 further files", 312)]


@pytest.mark.parametrize(
    "sent",
    [
        [("a.zip", zipped({"README.md": b"x", "finetune.jsonl": DATASET}))],
        [("a.zip", zipped({}))],
        [("p/package.json", b'{"name": 1}'), ("p/finetune.jsonl", DATASET)],
    ],
)
def test_what_holds_no_log_is_refused_with_what_was_expected(desk: Desk, sent: list[tuple[str, bytes]]) -> None:
    with pytest.raises(UnsupportedError, match=r"holds no log\. Expected is a success log"):
        desk.send(sent)

    assert desk.left_over() == []
    with desk.db.read() as session:
        assert deliveries.list_arrived(session, desk.project_id) == []


@pytest.mark.parametrize(
    "sent",
    [
        [("a.zip", zipped({"../x": b""}))],
        [("a.zip", zipped(PROJECT)[:-1])],
        [("a.jsonl", RUN), ("../b.jsonl", RUN)],
        [("a.zip", zipped(PROJECT)), ("/etc/x", RUN)],
    ],
)
@pytest.mark.parametrize("inline_bytes", [0, 1 << 20])
def test_what_means_harm_is_refused_whole_and_leaves_nothing(
    desk: Desk, sent: list[tuple[str, bytes]], inline_bytes: int
) -> None:
    with pytest.raises(BadInputError):
        desk.send(sent, inline_bytes=inline_bytes)

    assert desk.left_over() == []


def test_a_set_takes_in_so_much_and_names_the_rest(desk: Desk) -> None:
    files = {"p/patch_meta.json": META, "p/a.py": b"x" * 900, "p/b.py": b"y" * 900}

    report = deliveries.receive(
        desk.db,
        desk.settings.model_copy(update={"max_line_bytes": 1024}),
        desk.project_id,
        [
            Upload(path, path.name, origin="push")
            for path in [lay(desk.settings.data_dir, {"p.zip": zipped(files)}) / "p.zip"]
        ],
        now=noon,
    )

    assert isinstance(report, DeliveryReport)
    assert report.counts["new"] >= 1
    assert [one["name"] for one in report.broken] == ["p.zip/p/b.py"]


def test_what_came_in_is_listed_with_its_sums(desk: Desk) -> None:
    desk.send([("alone.jsonl", line("Alone"))])
    desk.deliver(of_a_folder())

    with desk.db.read() as session:
        listed = deliveries.list_arrived(session, desk.project_id)

    assert {(one.name, one.n_files, one.new, one.state) for one in listed} == {
        ("shop", 5, 6, "done"), ("alone.jsonl", 1, 1, "done"),
    }  # fmt: skip


def test_candidates_can_be_found_by_what_they_came_with(desk: Desk) -> None:
    desk.send([("alone.jsonl", line("Alone"))])
    report = desk.deliver([("a.jsonl", line("One")), ("b.jsonl", line("Two"))])

    with desk.db.read() as session:
        wanted = queue.Filter(delivery=str(report.delivery))
        found = queue.list_candidates(session, desk.project_id, wanted).candidates
    assert [row.title for row in found] == ["One", "Two"]
    with pytest.raises(BadInputError):
        queue.Filter.parse({"delivery": "x"})


def test_a_delivery_of_another_project_is_not_shown(desk: Desk) -> None:
    report = desk.deliver(of_a_folder())

    with desk.db.read() as session, pytest.raises(NotFoundError):
        deliveries.get_report(session, desk.project_id + 1, report.delivery)
    with desk.db.read() as session, pytest.raises(NotFoundError):
        deliveries.get_report(session, desk.project_id, 2**70)


# ------------------------------------------------------------------------------------------------ as a job


def test_what_is_large_is_read_by_the_worker(desk: Desk) -> None:
    waiting = desk.send([("shop.zip", zipped(PROJECT)), ("more.jsonl", line("More"))], inline_bytes=10)

    assert isinstance(waiting, DeliveryReport)
    assert (waiting.state, waiting.job, waiting.counts["new"]) == ("queued", 1, 0)
    assert desk.report(waiting.delivery).state == "reading"

    desk.work()

    job = desk.job(1)
    assert (job.state, job.message) == ("done", "6 files: 7 new, 0 quarantined")
    assert job.result is not None
    assert job.result["report"] == desk.report(waiting.delivery).as_json()
    assert desk.left_over() == []


def test_an_archive_that_is_small_but_holds_much_is_read_by_the_worker(desk: Desk) -> None:
    files = {f"p/{number}.json": RUN.replace(b"0.4", b"0.%d" % number) + b" " * 9000 for number in range(9)}

    waiting = desk.send([("p.zip", zipped(files))], inline_bytes=20_000)
    desk.work()

    assert waiting.job == 1
    assert desk.report(1).n_files == 9


def test_a_job_that_was_interrupted_reads_no_file_twice(desk: Desk) -> None:
    desk.send(of_a_folder(), inline_bytes=0)
    read = []

    def stop() -> bool:
        read.append(1)
        return len(read) > 5

    worker.run(desk.db, desk.settings, stop=stop, until_idle=True)
    half = desk.report(1)
    assert desk.job(1).state == "queued"
    assert 0 < len(half.files) < 5
    desk.work()

    report = desk.report(1)
    assert [one.name for one in report.files] == [f"shop/{log}" for log in LOGS]
    assert (report.counts["new"], report.counts["repeated"], report.state) == (6, 0, "done")


def test_a_job_that_is_cancelled_keeps_what_was_read(desk: Desk) -> None:
    desk.send(of_a_folder(), inline_bytes=0)
    with desk.db.write() as session:
        claimed = jobs.claim(session, "test", now=noon())
        assert claimed is not None
        claimed.cancel_requested = True

    worker.run_one(desk.db, desk.settings, claimed, lambda: False)

    report = desk.report(1)
    assert (desk.job(1).state, report.state) == ("cancelled", "done")
    assert report.message == "Cancelled. What was read before stays."
    assert desk.left_over() == []


def test_a_job_whose_archive_is_refused_says_why(desk: Desk) -> None:
    # The bomb shows only when it is unpacked.
    bomb = gzip.compress(tarred({"a.json": RUN, "b.json": bytes(65 << 20)}))

    desk.send([("bomb.tar.gz", bomb)], inline_bytes=0)
    desk.work()

    assert desk.job(1).state == "failed"
    assert "unpacks to far more" in desk.job(1).message
    assert desk.report(1).message == desk.job(1).message
    assert desk.left_over() == []


# ------------------------------------------------------------------------------------------------ the three faces


def test_the_api_takes_an_archive(client: TestClient) -> None:
    answer = client.post("/api/v1/ingest?name=shop.tar.gz", content=gzip.compress(tarred(PROJECT)))

    report = answer.json()
    assert answer.status_code == 200
    assert {
        "entries": 6,
        "new": 6,
        "repeated": 0,
        "quarantined": 0,
        "job": None,
        "n_files": 5,
    }.items() <= report.items()
    assert [one["name"] for one in report["files"]] == [f"shop.tar.gz/{log}" for log in LOGS]
    assert report["broken"][0]["why"].endswith(".")
    assert client.post("/api/v1/ingest?name=x.zip", content=zipped({})).json()["error"]["code"] == "unsupported"


def test_a_format_can_be_forced(client: TestClient) -> None:
    def give(content: bytes, forced: str) -> dict[str, object]:
        answer: dict[str, object] = client.post(f"/api/v1/ingest?name=a&format={forced}", content=content).json()
        return answer

    assert give(SPEC_PAIR, "spec_log")["new"] == 1
    assert give(SPEC_PAIR.replace(b"Fix x", b"Fix y"), "success_memory")["quarantined"] == 1
    error = give(RUN, "nonsense")["error"]
    assert isinstance(error, dict)
    assert error["where"] == "field format"
    assert all(name in error["message"] for name in READERS)
    page = client.post("/ingest", files=[("files", ("a.jsonl", RUN))], data={"format": "nonsense"})
    assert page.status_code == 422


def test_a_page_shows_what_became_of_a_folder(client: TestClient) -> None:
    files = [*of_a_folder(), ("shop/.agent_data/success_memory-2.jsonl", BROKEN)]
    answer = client.post("/ingest", files=[("files", one) for one in files], data={"left": "7"}, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/imports/deliveries/1")
    page = client.get("/imports/deliveries/1")
    seen = text(page.text)
    assert "7 entries = 6 new + 0 repeated + 1 quarantined" in seen
    assert "6 of 6 files read" in seen
    assert f"shop/{LOGS[0]} 1 1 0 0" in seen
    assert "shop/.agent_data/success_memory-2.jsonl 1 0 0 1" in seen
    assert "CHANGELOG_PATCH.md stands here without patch_meta.json" in seen
    assert "A built dataset, not a log" in seen
    assert "7 further files" in seen
    assert 'href="/queue/start?delivery=1"' in page.text
    assert client.get("/queue/start?delivery=1").url.path.startswith("/candidates/")
    assert 'name="delivery" value="1"' in client.get("/queue?delivery=1").text
    assert "shop 6 files 6 0 1" in text(client.get("/imports").text)
    assert "All that came with it" in client.get("/imports/1").text
    assert client.get("/imports/deliveries/2").status_code == 404


def test_the_command_reads_a_project_an_archive_and_a_set(tmp_path: Path) -> None:
    folder = tmp_path / "installation"
    project = lay(tmp_path / "shop", PROJECT)
    (tmp_path / "shop.zip").write_bytes(zipped(PROJECT))

    first = call("ingest", project, "--json", "--data-dir", folder)
    assert first.status == 3  # a set without its patch_meta.json
    assert (first.json["new"], first.json["n_files"]) == (6, 5)
    assert [one["name"] for one in first.json["files"]] == [f"{project}/{log}" for log in LOGS]
    assert [one["name"] for one in first.json["broken"]] == [f"{project}/.autopatches/feature/auto-patch-y-2"]
    assert f"{project}, 5 files: 6 lines, 6 new, 0 repeated\n" in first.err

    again = call("ingest", tmp_path / "shop.zip", project / LOGS[3], "--json", "--data-dir", folder)
    assert (again.json["new"], again.json["repeated"], again.json["n_files"]) == (0, 7, 6)
    assert [path for path in (folder / "uploads").iterdir() if path.name != "lock"] == []


def test_the_command_says_of_many_files_only_what_wants_a_look(tmp_path: Path) -> None:
    files = {f"patch_history/run_{number}.json": RUN.replace(b"0.4", b"0.%d" % number) for number in range(40)}
    lay(tmp_path / "p", files | {"patch_history/run_broken.json": b"[[", "patch_history/program.json": b"\x7fELF"})

    ended = call("ingest", tmp_path / "p", "--data-dir", tmp_path / "installation")

    assert ended.status == 1
    said = ended.err.splitlines()
    assert len(said) == 4
    assert said[3] == "1 candidate: entries that speak of one change are one."
    assert "run_broken.json: 1 lines, 0 new, 0 repeated, 1 quarantined" in said[0]
    assert "program.json is a program" in said[1]
    assert said[2].startswith(f"{tmp_path}/p, 41 files: 41 lines, ")


def test_the_command_takes_a_forced_format(tmp_path: Path) -> None:
    log = lay(tmp_path, {"a.jsonl": SPEC_PAIR}) / "a.jsonl"

    assert call("ingest", log, "--format", "success_memory", "--data-dir", tmp_path / "i").status == 3
    assert call("ingest", log, "--format", "spec_log", "--data-dir", tmp_path / "i").status == 0
    refused = call("ingest", log, "--format", "nonsense", "--data-dir", tmp_path / "i")
    assert (refused.status, "There is no format 'nonsense'" in refused.err) == (1, True)


def test_the_report_of_nothing_sums_to_nothing(desk: Desk) -> None:
    with desk.db.read() as session:
        total = deliveries.add_up(session, desk.project_id, [], [{"name": "x"}])

    assert total["entries"] == 0
    assert total["refused"] == [{"name": "x"}]
    json.dumps(total)


def test_reading_a_path_leaves_joining_to_the_caller(desk: Desk, tmp_path: Path) -> None:
    lay(tmp_path / "p", PROJECT)

    report = deliveries.read_path(desk.db, desk.settings, desk.project_id, Upload(tmp_path / "p", "p"), now=noon)
    ingest.finish(desk.db, desk.project_id, now=noon)

    assert isinstance(report, DeliveryReport)
    with desk.db.read() as session:
        names = session.exec(select(SourceRow.name).order_by(SourceRow.id)).all()  # type: ignore[arg-type]
    assert list(names) == [f"p/{log}" for log in LOGS]
    with pytest.raises(AppError):
        deliveries.read_path(desk.db, desk.settings, desk.project_id, Upload(tmp_path / "gone", ""), now=noon)
