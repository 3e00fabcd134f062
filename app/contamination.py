"""What of a benchmark stands in the candidates: by name, from a block list, and by words, from its texts. Pure.

A model that is trained on a benchmark's own answers scores well and has learned nothing. A *block list* names a
benchmark's issues, pull requests and base commits; a *benchmark* knows the runs of words in its texts. The person who
makes the release gives both (docs/decisions/0019-splits.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


class BlockList:
    """Issues, pull requests and commits that must not be in a release.

    `BlockList.parse("pallets__flask-4045\npsf/requests#2148\n", "swe-bench.txt")`
    """

    @classmethod
    def parse(cls, text: str, name: str) -> "BlockList":
        """A block list from a file's text.

        Args:
            text: one a line: `pallets__flask-4045`, `pallets/flask#4045`, `pallets/flask@182ce3d`, `pallets/flask 4045`,
                a GitHub address, `pallets/flask *` for a whole repository; or CSV with a header, or JSONL, with fields
                as in SWE-bench: `repo`, `instance_id`, `base_commit`, `issue_numbers`, `pull_number`.
            name: the file's name, for messages and reasons.

        Raises:
            BadInputError: lines that name nothing; `where` is the first (`swe-bench.txt:3`). Nothing is passed over: a
                name that is not blocked is trained on.

        """
        raise NotImplementedError

    def __len__(self) -> int:
        """How many names it holds."""
        raise NotImplementedError

    def blocks(
        self, repository: str, issue_id: str | None, issue_text: str, extra: Mapping[str, object]
    ) -> str | None:
        """Why a candidate must stay out, as a sentence, or None.

        Args:
            repository: as `splits.repository_of` says: `pallets/flask`, `flask`, or empty.
            issue_id: the tracker's id, or None.
            issue_text: the issue; a bare `#4045` in it counts only where the repository is the same.
            extra: the entry's other keys: `instance_id`, `base_commit`, `issue_url`, ...

        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Overlap:
    """When a candidate says too much of a benchmark. All of it stands in the manifest.

    Attributes:
        n: how many words and signs in a row are one n-gram.
        most_rows: an n-gram that more rows than this hold is everybody's, and says nothing.
        share: a row is flagged where more than this share of its n-grams is in the benchmark.
        most_grams: a benchmark with more different n-grams than this is refused.

    Raises:
        BadInputError: a number makes no sense; `where` names the field.

    """

    n: int = 13
    most_rows: int = 20
    share: float = 0.1
    most_grams: int = 5_000_000

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "Overlap":
        """From a form, an API call or a manifest; what is left out has its default."""
        raise NotImplementedError

    def as_json(self) -> dict[str, object]:
        """`{"n": 13, "most_rows": 20, "share": 0.1, "most_grams": 5000000}`."""
        raise NotImplementedError


def benchmark_texts(text: str, name: str) -> Iterator[str]:
    """The texts of one benchmark file: all text fields of JSON or JSONL, or the whole of anything else.

    Raises:
        BadInputError: a `.json` or `.jsonl` file does not parse; `where` is the line.

    """
    raise NotImplementedError


class Benchmark:
    """The n-grams of a benchmark: `learn` its texts, `count` every row once, then ask the `share` of each.

    Memory hangs on the benchmark alone.
    """

    def __init__(self, overlap: Overlap | None = None) -> None:
        raise NotImplementedError

    def learn(self, text: str) -> None:
        """Take in one text of the benchmark.

        Raises:
            TooLargeError: more n-grams than `overlap.most_grams`.

        """
        raise NotImplementedError

    def count(self, *texts: str) -> None:
        """The first pass: note which of the n-grams one row holds. A row is all that one issue says, in any texts."""
        raise NotImplementedError

    def share(self, *texts: str) -> float:
        """The second pass: which share of a row's n-grams, 0 to 1, stands in the benchmark and is not everybody's."""
        raise NotImplementedError

    def flags(self, *texts: str) -> str | None:
        """Why a row is contaminated, as a sentence, or None."""
        raise NotImplementedError

    def as_json(self) -> dict[str, object]:
        """For the manifest: the parameters, and how many texts, n-grams, common n-grams and rows."""
        raise NotImplementedError
