"""A release as a dataset repository of the Hugging Face Hub: shown first, sent in one commit, never by accident.

The token comes from where the Hub's own tools keep it (`HF_TOKEN`, or `hf auth login`), the server from `HF_ENDPOINT`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app import releases
from app.errors import AppError, BadInputError, ConflictError, UnsupportedError
from app.exports.folder import CHECKSUMS
from app.models import ReleaseRow, ReleaseState
from app.settings import Settings

NOT_STATED = "not stated"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_OURS = {"manifest.json", CHECKSUMS}
_REFUSED, _OVERTAKEN = {401, 403}, {409, 412}


@dataclass(frozen=True, slots=True)
class Offer:
    """What a push would send, and where to.

    Attributes:
        repo: `OWNER/NAME`.
        private: whether others may not see it.
        release: the release's number.
        files: path → bytes.
        rows: config → rows.
        licences: licence → examples; what no source says stands as "not stated".
        held: examples that gates held back; they are listed in `held_back.jsonl`, which goes along.
    """

    repo: str
    private: bool
    release: int
    files: Mapping[str, int]
    rows: Mapping[str, int]
    licences: Mapping[str, int]
    held: int

    def as_json(self) -> dict[str, object]:
        """The shape of `patchsift push hub --json`."""
        return asdict(self) | {"bytes": sum(self.files.values())}

    def sentence(self) -> str:
        """`"release 3: 41 files, 83,412 bytes, 1,872 rows in 25 configs, 12 held back; MIT 40; private"`."""
        licences = ", ".join(f"{name} {n:,}" for name, n in self.licences.items())
        return (
            f"release {self.release}: {len(self.files):,} files, {sum(self.files.values()):,} bytes, "
            f"{sum(self.rows.values()):,} rows in {len(self.rows):,} configs, {self.held:,} held back; licences: "
            f"{licences}; {'private' if self.private else 'PUBLIC'}"
        )


def check(settings: Settings, row: ReleaseRow, repo: str, *, unknown_licence: bool = False) -> None:
    """Refuse what must not leave, before anything is made of it.

    Args:
        settings: where releases lie.
        row: the release.
        repo: `OWNER/NAME`.
        unknown_licence: rows whose source states no licence may go.

    Raises:
        BadInputError: that is no repository's name.
        ConflictError: the release is withdrawn, not frozen, or holds rows whose licence nobody stated.

    """
    if not _REPO.fullmatch(repo):
        raise BadInputError(f"{repo[:200]!r} is no repository. Say OWNER/NAME.")
    if row.state == ReleaseState.WITHDRAWN:
        raise ConflictError(f"Release {row.number} is withdrawn ({row.withdrawn_why}); nobody is to train on it.")
    said = releases.read_manifest(releases.get_folder(settings, row))
    n_unknown = said["licences"].get(NOT_STATED, 0)
    if n_unknown and not unknown_licence:
        raise ConflictError(
            f"Of {n_unknown:,} examples of release {row.number} nobody stated a licence. Bring their logs in with one, "
            "make a release that requires one (patchsift project set --licence-required), or say "
            "--allow-unknown-licence.",
            code="licence",
        )


def describe(folder: Path, said: Mapping[str, Any], repo: str, number: int, *, private: bool) -> Offer:
    """What a push of a dataset folder would send; asks nobody.

    Args:
        folder: the dataset folder.
        said: its manifest.
        repo: `OWNER/NAME`.
        number: the release's.
        private: whether others may not see it.

    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return Offer(
        repo,
        private,
        number,
        {path.relative_to(folder).as_posix(): path.stat().st_size for path in found},
        {one["config"]: one["rows"] for one in said["configs"]},
        said["licences"],
        sum(one["held"] for one in said["datasets"]),
    )


def push(offer: Offer, folder: Path) -> str:
    """Send a folder in one commit, after which the repository holds it and nothing else; gives the commit's address.

    Raises:
        ConflictError: the repository holds something else, is not as private as was asked for, or changed
            meanwhile.
        UnsupportedError: huggingface_hub is not installed.
        AppError: nobody is logged in, or the Hub refuses or cannot be reached.

    """
    library = _library()
    if library.get_token() is None:
        raise AppError("Nobody is logged in to the Hub. Run hf auth login, or set HF_TOKEN.", code="hub")
    api = library.HfApi(library_name="patchsift")
    with _told(offer.repo):
        parent, old = _find(api, offer)
        if parent is None:
            api.create_repo(offer.repo, repo_type="dataset", private=offer.private)
        # Not upload_folder: in 2.4 it sends a large folder in several commits, and half of it would be seen.
        sent = api.create_commit(
            offer.repo,
            [
                *(library.CommitOperationDelete(name) for name in sorted(old - offer.files.keys())),
                *(library.CommitOperationAdd(name, folder / name) for name in offer.files),
            ],
            repo_type="dataset",
            commit_message=f"Release {offer.release}",
            parent_commit=parent,
        )
    return str(sent.commit_url)


def _find(api: Any, offer: Offer) -> tuple[str | None, set[str]]:  # noqa: ANN401  the library is optional
    """The last commit of the repository and the files in it; no commit where there is no repository yet."""
    try:
        there = api.dataset_info(offer.repo)
    except _library().errors.RepositoryNotFoundError:
        return None, set()
    if bool(there.private) != offer.private:
        told = ("private", "--private") if there.private else ("public", "--public")
        raise ConflictError(
            f"{offer.repo} is {told[0]}, and a push changes no repository's visibility. Say {told[1]}, or name another."
        )
    names = {one.rfilename for one in there.siblings or ()} - {".gitattributes"}
    if names and not names >= _OURS:
        raise ConflictError(f"{offer.repo} holds something else than a release of Patchsift. Name another repository.")
    return str(there.sha), names


@contextmanager
def _told(repo: str) -> Iterator[None]:
    errors = _library().errors
    try:
        yield
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in _REFUSED:
            why = f"The Hub does not let this token write to {repo}. Look at its rights, and at who is logged in."
        elif status in _OVERTAKEN:
            raise ConflictError(
                f"{repo} was changed or made by somebody else meanwhile. Look at it, then try again."
            ) from error
        else:
            why = f"The Hub did not take {repo}: {str(error).strip().splitlines()[0][:300]}"
        raise AppError(why, code="hub") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:
        raise AppError(
            "The Hub cannot be reached. Look at the network, HF_ENDPOINT and HF_HUB_OFFLINE.", code="hub"
        ) from error


def _library() -> Any:  # noqa: ANN401  the library is optional
    try:
        import huggingface_hub  # noqa: PLC0415
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            "The Hub needs huggingface_hub, which is not installed. Install it with pip install 'patchsift[hub]'.",
            code="missing_extra",
        ) from error
    return huggingface_hub
