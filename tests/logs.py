"""Small logs that tests make, and the way in."""

import json
from pathlib import Path

from app import ingest, sources
from app.db import Database
from app.settings import Settings
from tests.conftest import noon

DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
SCRIPT = """import libcst as cst
from libcst.codemod import VisitorBasedCodemodCommand


class Change(VisitorBasedCodemodCommand):
    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return updated_node.with_changes(value="b")
"""


def entry(issue: str = "Fix the parser", **more: object) -> dict[str, object]:
    """A sound G6 entry."""
    return {
        "timestamp_utc": "2025-06-24T13:13:42.343293+00:00",
        "spec_issue_id": None,
        "spec_issue_description": issue,
        "spec_target_files": ["src/x.py"],
        "spec_operations_details": [{"name": "rename_variable", "old_name": "a", "new_name": "b"}],
        "successful_diff_summary": DIFF,
        "successful_script": SCRIPT,
        "patch_source": "LLMCore_polish_iteration_1",
        "predicted_core": "LLMCore",
        "user_rating": None,
    } | more


def line(issue: str = "Fix the parser", **more: object) -> bytes:
    """The entry as the agent writes it, without its line end."""
    return json.dumps(entry(issue, **more)).encode()


def read(db: Database, settings: Settings, project_id: int, folder: Path, content: bytes) -> sources.Report:
    """Ingest these bytes as `log.jsonl`."""
    path = folder / "log.jsonl"
    path.write_bytes(content)
    return ingest.read_file(db, settings, project_id, ingest.Upload(path, "log.jsonl"), now=noon)


def read_issues(db: Database, settings: Settings, project_id: int, folder: Path, *issues: str) -> list[int]:
    """Ingest one sound entry an issue; gives the candidates' ids."""
    read(db, settings, project_id, folder, b"\n".join(line(issue) for issue in issues) + b"\n")
    with db.read() as session:
        from app import queue

        return [row.id or 0 for row in queue.list_candidates(session, project_id, queue.Filter()).candidates]
