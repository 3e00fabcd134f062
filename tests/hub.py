"""A stand-in for the Hugging Face Hub on loopback: the few endpoints that a push uses, as huggingface_hub calls them.

It takes every file in the commit itself. The real Hub asks for large and binary files beforehand, by a protocol of its
own that is not played here.
"""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "a" * 34


class Hub:
    """Repositories by name: `{"ann/patches": {"private": True, "files": {"README.md": b"…"}, "commits": ["…"]}}`."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self, b"")

            def do_POST(self) -> None:
                hub.answer(self, self.rfile.read(int(self.headers["Content-Length"] or 0)))

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: BaseHTTPRequestHandler, body: bytes) -> None:
        path = asked.path.partition("?")[0]
        self.requests.append(f"{asked.command} {path}")
        status, said, error = self._answer(asked, path, body)
        text = json.dumps(said).encode()
        asked.send_response(status)
        asked.send_header("Content-Type", "application/json")
        asked.send_header("Content-Length", str(len(text)))
        if error:
            asked.send_header("X-Error-Code", error)
        asked.end_headers()
        asked.wfile.write(text)

    def _answer(self, asked: BaseHTTPRequestHandler, path: str, body: bytes) -> tuple[int, Any, str]:
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 403, {"error": "Forbidden"}, ""
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, ""
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            self.make(name, private=wanted["visibility"] == "private")
            return 200, {"url": f"{self.endpoint}/datasets/{name}", "name": name}, ""
        repo, rest = self._named(path)
        if repo not in self.repos:
            return 404, {"error": "Repository not found"}, "RepoNotFound"
        return self._answer_for(repo, rest, body)

    def _answer_for(self, repo: str, rest: str, body: bytes) -> tuple[int, Any, str]:
        if rest.startswith("preupload/"):
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return 200, {"files": files}, ""
        if rest.startswith("commit/"):
            return self._commit(repo, [json.loads(line) for line in body.splitlines()])
        return 200, self._told(repo, is_tree=rest.startswith("tree/")), ""

    def make(self, name: str, *, private: bool, **files: bytes) -> None:
        self.repos[name] = {
            "private": private,
            "files": {".gitattributes": b"", **files},
            "commits": ["initial commit"],
        }

    def _named(self, path: str) -> tuple[str, str]:
        owner, name, *rest = path.removeprefix("/api/datasets/").split("/")
        return f"{owner}/{name}", "/".join(rest)

    def _told(self, repo: str, *, is_tree: bool) -> Any:
        files = self.repos[repo]["files"]
        if is_tree:
            return [{"type": "file", "path": name, "size": len(text), "oid": "0" * 40} for name, text in files.items()]
        siblings = [{"rfilename": name} for name in files]
        return {"id": repo, "private": self.repos[repo]["private"], "sha": self._sha(repo), "siblings": siblings}

    def _sha(self, repo: str) -> str:
        return f"{len(self.repos[repo]['commits']):040x}"

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> tuple[int, Any, str]:
        there = self.repos[repo]
        header = next(one["value"] for one in lines if one["key"] == "header")
        if header.get("parentCommit") not in {None, self._sha(repo)}:
            return 412, {"error": "A commit has happened since."}, ""
        for one in lines:
            if one["key"] == "file":
                there["files"][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
            elif one["key"] == "deletedFile":
                del there["files"][one["value"]["path"]]
        there["commits"].append(header["summary"])
        return (
            200,
            {
                "success": True,
                "commitOid": self._sha(repo),
                "commitUrl": f"{self.endpoint}/datasets/{repo}/commit/{self._sha(repo)}",
            },
            "",
        )
