"""What kind of file a path of a diff names, as far as its name and the spec's paths tell. No path is ever opened."""

import re
from collections.abc import Iterable

_TEST_NAME = re.compile(r"(?:test_\w*|\w*_tests?|tests?|conftest)\.pyi?")
_TEST_FOLDER = re.compile(r"(?:^|/)(?:tests?|testing)/")
_TOOL_NAME = re.compile(
    r"(?:setup|noxfile|tasks|fabfile|manage|conf|cli|main|__main__|\w*example\w*|\w*demo\w*|bench\w*)\.py"
)
_TOOL_FOLDER = re.compile(r"(?:^|/)(?:examples?|docs?|scripts?|tools?|bench\w*|samples?|demos?|artwork|bin)/")


_LONGEST = 300


class Places:
    """The files of one candidate, by the kind that their paths tell.

    `Places(("tests/x.py",)).is_test("x.py")` is true: the agent's diffs name no folders, the spec does.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        self._targets: dict[str, list[str]] = {}
        for target in targets:
            path = target.replace("\\", "/")
            self._targets.setdefault(path.rpartition("/")[2], []).append(path)

    def is_test(self, path: str) -> bool:
        """Whether a file is a test, by its name or its folder."""
        whole = self._whole(path)
        return bool(_TEST_NAME.fullmatch(whole.rpartition("/")[2]) or _TEST_FOLDER.search(whole))

    def is_tool(self, path: str) -> bool:
        """Whether a file is run by hand, as an example, a build script or a command: it may print and fetch."""
        whole = self._whole(path)
        return bool(_TOOL_NAME.fullmatch(whole.rpartition("/")[2]) or _TOOL_FOLDER.search(whole))

    def _whole(self, path: str) -> str:
        """The spec's path of a file that is named without a folder; of two with one name, the name."""
        path = path.replace("\\", "/")[-_LONGEST:]
        named = self._targets.get(path, ())
        return named[0][-_LONGEST:] if len(named) == 1 else path
