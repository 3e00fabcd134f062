"""What stands beside an entry's own bytes, for the readers that need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Given:
    """Where a value came from.

    Attributes:
        name: the file's name as it was given, folders included: `projects/x/.agent_data/patch_history/run_1.json`.
            Some logs say only there when they were written.
        files: the other files of a patch set: path below its folder → bytes.
    """

    name: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
