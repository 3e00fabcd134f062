"""A dataset folder in S3-compatible storage, sent so that half an upload is never taken for a whole one.

Keys, region and endpoint come from the environment, by the names that every S3 program reads: `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`. Nothing that lies there is overwritten.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from app.errors import AppError, BadInputError, ConflictError, NotFoundError, UnsupportedError
from app.exports.folder import CHECKSUMS

SCHEME = "s3://"
LAST = ("manifest.json", CHECKSUMS)
"""What is sent when all else is there: where `SHA256SUMS` stands, everything that it names stands beside it."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# The library ends the program over an address that is none.
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.\-_\[\]:]+(/[A-Za-z0-9.\-_~/]*)?")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_WHY = {
    "latest/(api/token|meta-data)": (  # without a key it asks the machine for one, as machines in a cloud can tell
        "No key for the storage is set. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    ),
    "error sending request": "{server} cannot be reached. Look at --s3-endpoint and at the network.",
    "<Code>(InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken)": (
        "{server} does not take the key. Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."
    ),
    "<Code>(PermanentRedirect|AuthorizationHeaderMalformed)| 301 ": (
        "The bucket of {place} lies in another region. Set AWS_REGION."
    ),
    "<Code>AccessDenied| 40[13] ": (
        "{server} does not let this key do that in {place}. It needs to list, read and write there."
    ),
}
"""What stands in the library's words → the sentence, the first that fits."""

_CHUNK_BYTES = 1 << 20
_RETRIES = 3
_RETRY_FOR = timedelta(seconds=20)
_REQUEST_FOR = timedelta(minutes=10)

Progress = Callable[[int, int], None]


class Place(NamedTuple):
    """A folder in a bucket: `Place("models", "patches/2026-11")` is `s3://models/patches/2026-11`."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, address: str) -> Self:
        """The place that an address names.

        Raises:
            BadInputError: it names no bucket, or no folder in it.

        """
        bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
        prefix = prefix.rstrip("/")
        parts = prefix.split("/")
        if not address.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
            raise BadInputError(f"{address[:200]!r} names no bucket. Say s3://BUCKET/FOLDER.")
        if any(part in {"", ".", ".."} for part in parts) or not prefix.isprintable():
            raise BadInputError(f"{address[:200]!r} names no folder in the bucket. Say s3://{bucket}/FOLDER.")
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}"


class Sent(NamedTuple):
    """What an upload did: `Sent(n_files=14, n_bytes=83412, n_there=3)`; `n_there` files lay there already, the same."""

    n_files: int
    n_bytes: int
    n_there: int

    def sentence(self, place: Place) -> str:
        """`"14 files, 83,412 bytes are in s3://models/patches; 3 of them lay there already"`."""
        there = f"; {self.n_there:,} of them lay there already" if self.n_there else ""
        return f"{self.n_files:,} files, {self.n_bytes:,} bytes are in {place}{there}"


class Storage:
    """A place to send a folder to; nothing is asked of the network before `look`.

    Args:
        place: where.
        endpoint: address of the server; empty for what the environment says, else Amazon's.

    Raises:
        BadInputError: the endpoint is no address.
        UnsupportedError: obstore is not installed.

    """

    def __init__(self, place: Place, endpoint: str = "") -> None:
        self.place = place
        said = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
        self._endpoint = endpoint or next(filter(None, said), "")
        if self._endpoint and not _is_address(self._endpoint):
            raise BadInputError(
                f"{self._endpoint[:200]!r} is no address of a server. Say https://HOST or https://HOST:PORT."
            )
        with self._told():
            self._store = self._connect()

    def _connect(self) -> Any:  # noqa: ANN401  the library is optional
        store = _library().store.S3Store
        # The service's own variable would win over what was said here.
        given = {"endpoint": self._endpoint, "aws_endpoint_url_s3": self._endpoint} if self._endpoint else {}
        return store(
            self.place.bucket,
            prefix=self.place.prefix,
            client_options={"allow_http": self._endpoint.startswith("http://"), "timeout": _REQUEST_FOR},
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR},
            **given,
        )

    def look(self) -> dict[str, int]:
        """Path below the place → bytes of everything that lies there: `{"README.md": 1834}`; empty when nothing does.

        Raises:
            NotFoundError: no such bucket.
            AppError: the storage cannot be reached, or refuses.

        """
        with self._told():
            return {one["path"]: one["size"] for chunk in _library().list(self._store) for one in chunk}

    def upload(self, folder: Path, progress: Progress | None = None) -> Sent:
        """Send a folder, its manifest and checksums last. An upload that was cut short is gone on with.

        Args:
            folder: a whole folder with `SHA256SUMS`.
            progress: called with (done, total) bytes.

        Raises:
            ConflictError: something else lies there; nothing of it is touched.
            NotFoundError: no such bucket.
            AppError: the storage cannot be reached, or refuses.

        """
        files = _files(folder)
        there = self.look()
        self._refuse_other(folder, files, there)
        done, total = 0, sum(files.values())
        for name in sorted(files, key=lambda one: (one in LAST, LAST.index(one) if one in LAST else 0, one)):
            if name not in there:
                with self._told():
                    _library().put(self._store, name, folder / name)
            done += files[name]
            if progress is not None:
                progress(done, total)
        return Sent(len(files), total, len(there))

    def _refuse_other(self, folder: Path, files: Mapping[str, int], there: Mapping[str, int]) -> None:
        """Refuse a place that holds anything but files of this very folder."""
        for name, n_bytes in sorted(there.items()):
            if files.get(name) != n_bytes or not self._is_same(folder, name, whole=CHECKSUMS in there):
                raise ConflictError(
                    f"{self.place} holds something else already ({name}), and an upload never overwrites. "
                    "Name another folder of the bucket."
                )

    def _is_same(self, folder: Path, name: str, *, whole: bool) -> bool:
        # Where the sums stand and are the same, what they name was sent before them, and whole.
        if whole and name != CHECKSUMS:
            return True
        with (folder / name).open("rb") as file:
            return file_digest(file, "sha256").digest() == self._digest(name)

    def _digest(self, name: str) -> bytes:
        digest = sha256()
        with self._told():
            for chunk in _library().get(self._store, name).stream(min_chunk_size=_CHUNK_BYTES):
                digest.update(chunk)
        return digest.digest()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the library says, pages of it, into a sentence."""
        kinds = (_library().exceptions.BaseError, OSError, ValueError)
        try:
            yield
        except kinds as error:
            raise self._sentence(str(error)) from error

    def _sentence(self, told: str) -> AppError:
        server = self._endpoint or "Amazon S3"
        told = told.partition("Debug source:")[0]
        found = _CODE.search(told)
        if found and found[1] == "NoSuchBucket":
            return NotFoundError(f"{server} has no bucket {self.place.bucket}. Make it there, or name another.")
        why = next((why for sign, why in _WHY.items() if re.search(sign, told)), "{place} could not be used: {told}")
        return AppError(why.format(server=server, place=self.place, told=told[:300].strip()), code="storage")


def _is_address(endpoint: str) -> bool:
    try:
        return bool(_ENDPOINT.fullmatch(endpoint)) and urlsplit(endpoint).port != 0
    except ValueError:
        return False


def _library() -> Any:  # noqa: ANN401  the library is optional
    try:
        import obstore  # noqa: PLC0415
        import obstore.exceptions  # noqa: PLC0415
        import obstore.store  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            "S3-compatible storage needs obstore, which is not installed. Install it with pip install 'patchsift[s3]'.",
            code="missing_extra",
        ) from error
    return obstore


def _files(folder: Path) -> dict[str, int]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}
