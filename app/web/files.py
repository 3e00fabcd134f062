"""Files that are sent: whole, in part, or not again; the digest is the ETag, so that what was cut off can go on."""

from pathlib import Path

from fastapi import Request
from starlette.responses import FileResponse, Response

# What a browser has kept is asked about again and answered 304: nothing of a release ever changes, but its number may
# be given anew where an older database is brought back.
_KEPT = "private, no-cache"
_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
    ".md": "text/markdown; charset=utf-8",
    ".zip": "application/zip",
    ".gz": "application/gzip",
}


def send_file(request: Request, path: Path, name: str, digest: str) -> Response:
    """A file as a download that can be resumed, or 304 where the caller has these bytes already.

    Args:
        request: its `Range`, `If-Range` and `If-None-Match` are heard.
        path: the file.
        name: what it is to be called.
        digest: its SHA-256, in hex; empty where none is known.

    """
    tags = {"ETag": f'"{digest}"'} if digest else {}
    # Never compressed on the way: half of a compressed answer cannot be resumed.
    headers = {**tags, "Cache-Control": _KEPT, "Content-Encoding": "identity"}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if digest and known & {f'"{digest}"', "*"}:
        return Response(status_code=304, headers={**tags, "Cache-Control": _KEPT})
    kind = _TYPES.get(path.suffix, "text/plain; charset=utf-8")
    return FileResponse(path, media_type=kind, filename=name, headers=headers)
