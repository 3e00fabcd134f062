"""The least that a decision and the next page can cost on this stack: FastAPI, sqlite3, Jinja2, nothing else.

    python -m bench.limit_app DATABASE PORT

A narrow table for the queue, the highlighted HTML stored beside it, one transaction under FULL for the update, the
audit row and two counters, the next one by index, gzip as ours. No accounts, no origin check, no version, no key, no
chain of digests, no findings, no history, no filters: what is missing here is what ours costs more.
"""

import sqlite3
import sys
import threading
import zlib
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Form
from jinja2 import Environment
from markupsafe import Markup
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, Response

from app.db import Database, sqlite_module
from app.prepare import renderer_version

_SCHEMA = """
CREATE TABLE item (id INTEGER PRIMARY KEY, status TEXT NOT NULL, title TEXT NOT NULL);
CREATE INDEX ix_item_status ON item (status, id);
CREATE TABLE body (item_id INTEGER PRIMARY KEY, issue TEXT NOT NULL, html BLOB NOT NULL);
CREATE TABLE audit (id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL, verdict TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE tally (status TEXT PRIMARY KEY, n INTEGER NOT NULL);
"""
_PAGE = """
<article id="candidate"><p>{{ left }} left</p><h1>#{{ id }} {{ title }}</h1><div>{{ issue }}</div><div>{{ html }}</div>
<form hx-post="/candidates/{{ id }}/decisions" hx-target="#candidate" hx-swap="outerHTML">
<input type="hidden" name="version" value="1"><input type="hidden" name="key" value="{{ id }}">
{% for verdict in ["accept", "reject", "skip", "flag"] %}
<button name="verdict" value="{{ verdict }}">{{ verdict }}</button>
{% endfor %}</form></article>
"""


def copy(db: Database, to: Path) -> None:
    """The queue and the rendered diffs of our database, in the limit's tables."""
    with sqlite3.connect(to) as made, db.read() as session:
        made.execute("PRAGMA journal_mode=WAL")
        made.executescript(_SCHEMA)
        execute = session.connection().exec_driver_sql
        made.executemany("INSERT INTO item VALUES (?, 'pending', ?)", execute("SELECT id, title FROM candidate"))
        rendered = execute(
            "SELECT c.id, c.title, r.html FROM candidate c JOIN rendering r ON r.candidate_id = c.id "
            f"WHERE r.view = 'unified' AND r.version = {renderer_version()}"
        )
        made.executemany("INSERT INTO body VALUES (?, ?, ?)", rendered)
        made.execute("INSERT INTO tally SELECT 'pending', count(*) FROM item")
        made.executemany("INSERT INTO tally VALUES (?, 0)", [("accept",), ("reject",), ("skip",), ("flag",)])
    made.close()


def create_app(path: Path) -> FastAPI:
    app = FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=800, compresslevel=5)
    template = Environment(autoescape=True).from_string(_PAGE)
    db = sqlite_module().connect(path, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA synchronous=FULL")
    one_at_a_time = threading.Lock()

    def page(number: int) -> Response:
        title, issue, html = db.execute(
            "SELECT title, issue, html FROM item JOIN body ON item_id = id WHERE id = ?", [number]
        ).fetchone()
        left = db.execute("SELECT n FROM tally WHERE status = 'pending'").fetchone()[0]
        diff = Markup(zlib.decompress(html).decode())
        return HTMLResponse(template.render(id=number, title=title, issue=issue, html=diff, left=left))

    @app.get("/candidates/{number}")
    def show(number: int) -> Response:
        with one_at_a_time:
            return page(number)

    @app.post("/candidates/{number}/decisions")
    def decide(number: int, verdict: Annotated[str, Form()]) -> Response:
        with one_at_a_time:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE item SET status = ? WHERE id = ?", [verdict, number])
            db.execute("INSERT INTO audit (item_id, verdict, at) VALUES (?, ?, datetime('now'))", [number, verdict])
            db.execute("UPDATE tally SET n = n - 1 WHERE status = 'pending'")
            db.execute("UPDATE tally SET n = n + 1 WHERE status = ?", [verdict])
            following = db.execute(
                "SELECT id FROM item WHERE status = 'pending' AND id > ? ORDER BY id LIMIT 1", [number]
            ).fetchone()[0]
            db.execute("COMMIT")
            return page(following)

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning", access_log=False)
