"""One JSON object a line: UTF-8, LF, no byte order mark, nothing escaped that need not be."""

from collections.abc import Mapping
from typing import Any

import pydantic_core

from app.exports.folder import SHARD_BYTES, Folder, LineFile

_to_json = pydantic_core.to_json
_from_json = pydantic_core.from_json


def encode(row: Mapping[str, object]) -> bytes:
    r"""`{"id": "é"}` → `b'{"id":"\xc3\xa9"}\n'`.

    Characters that other readers take for line ends (U+2028, U+0085) stand inside strings as they are: the line ends at
    the byte 0x0A alone.

    Raises:
        ValueError: a text holds half a character (a lone surrogate), which UTF-8 cannot hold.

    """
    return _to_json(row) + b"\n"


def parse(line: bytes) -> dict[str, Any]:
    r"""`b'{"id":"\xc3\xa9"}\n'` → `{"id": "é"}`; a line that `encode` wrote, in about half of the time of `json.loads`.

    Raises:
        ValueError: the line is not whole.

    """
    return _from_json(line, cache_strings="keys")  # type: ignore[no-any-return]


class JsonlRows:
    """The rows of one config and split: one file, or, where they are more than fit into it, a folder of several.

        rows = JsonlRows(folder, "jsonl/scaffold_sft_pc", "train")
        rows.add(encode({"id": …}))
        rows.close()   # 1: jsonl/scaffold_sft_pc/train.jsonl
                       # 3: jsonl/scaffold_sft_pc/train/train-00000-of-00003.jsonl, …

    A folder for each split, because LLaMA-Factory, given a folder, trains on every file in it.

    Args:
        folder: in the making.
        place: of the config.
        split: whose rows.
        shard_bytes: a row that would make a file longer begins another.

    """

    def __init__(self, folder: Folder, place: str, split: str, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._stem, self._split = f"{place}/{split}", split
        self._shard_bytes = shard_bytes
        self._shards: list[LineFile] = []
        self._left = 0

    def add(self, line: bytes) -> None:
        """Append one row, its LF included."""
        self._left -= len(line)
        if self._left < 0:
            self._begin(len(line))
        self._shards[-1].add(line)

    def close(self) -> int:
        """Give the files their names: how many there are is known now. Gives this number."""
        n = len(self._shards)
        for number, file in enumerate(self._shards):
            name = "" if n == 1 else f"/{self._split}-{number:05}-of-{n:05}"
            self._folder.keep(file, f"{self._stem}{name}.jsonl")
        return n

    def _begin(self, n_bytes: int) -> None:
        if self._shards:
            self._shards[-1].close()
        self._shards.append(self._folder.part(f"{self._stem}.{len(self._shards)}.jsonl.part", LineFile))
        self._left = self._shard_bytes - n_bytes
