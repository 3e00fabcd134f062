"""Rows as Parquet: one schema a config, from the format's columns, the same in every shard, and nothing of a library's.

`datasets` writes its own types into the metadata of a file, and older versions of it then cannot read the file. What
stands here is what Parquet itself says: names, types, zstd. Needs pyarrow, which is an extra.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from app.errors import UnsupportedError
from app.exports.folder import SHARD_BYTES, ByteFile, Folder
from app.exports.shape import Column, Kind, ListOf, Row, Struct

_GROUP_BYTES = 16 << 20
_GROUP_ROWS = 20_000
_BATCH_BYTES = 1 << 20


def require() -> None:
    """Refuse to begin what cannot be ended.

    Raises:
        UnsupportedError: pyarrow is not installed.

    """
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415
    except ImportError as error:
        raise UnsupportedError(
            "Parquet needs pyarrow, which is not installed. Install it with pip install 'patchsift[parquet]', or "
            "leave out --parquet: the JSONL files hold the same rows.",
            code="missing_extra",
        ) from error


def schema_of(columns: Sequence[Column]) -> Any:  # noqa: ANN401  the library is optional
    """The Arrow schema of a table: exactly its columns, in order, and no metadata."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([pa.field(column.name, _type(column.kind), nullable=True) for column in columns])


def _type(kind: Kind) -> Any:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(kind, ListOf):
        return pa.list_(_type(kind.of))
    if isinstance(kind, Struct):
        return pa.struct([pa.field(name, _type(inner)) for name, inner in kind.fields])
    return pa.type_for_alias(str(kind))


def _array(values: list[Any], kind: Kind) -> Any:  # noqa: ANN401
    """Values of one type as an array, part by part: a third of what Arrow takes to look into lists and dicts itself."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(kind, ListOf):
        ends = accumulate(map(len, values), initial=0)
        inner = _array([one for value in values for one in value], kind.of)
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), inner)
    if isinstance(kind, Struct):
        parts = [_array([value[name] for value in values], inner) for name, inner in kind.fields]
        return pa.StructArray.from_arrays(parts, [name for name, _ in kind.fields])
    return pa.array(values, pa.type_for_alias(str(kind)))


class ParquetRows:
    """The rows of one config and split; memory does not grow with them.

        rows = ParquetRows(folder, "data/scaffold_sft_pc/train", columns)
        rows.add({"id": …}, 1834)
        rows.close()   # data/scaffold_sft_pc/train-00000-of-00001.parquet

    Args:
        folder: in the making.
        stem: path of the files without number and ending.
        columns: of the table.
        shard_bytes: a file that has grown so long is followed by another.

    """

    def __init__(self, folder: Folder, stem: str, columns: Sequence[Column], shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._stem = stem
        self._schema = schema_of(columns)
        self._kinds = [(column.name, column.kind) for column in columns]
        self._shard_bytes = shard_bytes
        self._waiting: list[Row] = []
        self._batches: list[Any] = []
        self._n_waiting = self._n_bytes = self._n_rows = 0
        self._shards: list[ByteFile] = []
        self._writer: Any = None

    def add(self, row: Row, n_bytes: int) -> None:
        """Append a row that the format's validator has passed; `n_bytes` is about how long it is."""
        self._waiting.append(row)
        self._n_waiting += n_bytes
        self._n_rows += 1
        is_full = self._n_bytes + self._n_waiting > _GROUP_BYTES or self._n_rows == _GROUP_ROWS
        if is_full or self._n_waiting > _BATCH_BYTES:
            self._convert()
        if is_full:
            self._write_group()

    def close(self) -> None:
        """Write what waits, and give the files their names: how many there are is known now."""
        self._convert()
        self._write_group()
        self._end_shard()
        for number, file in enumerate(self._shards):
            self._folder.keep(file, f"{self._stem}-{number:05}-of-{len(self._shards):05}.parquet")

    def _convert(self) -> None:
        """Turn the rows that wait into columns: a text takes more than twice the memory as long as Python holds it."""
        if not self._waiting:
            return
        import pyarrow as pa  # noqa: PLC0415

        waiting, self._waiting = self._waiting, []
        arrays = [_array([row[name] for row in waiting], kind) for name, kind in self._kinds]
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._n_bytes += self._n_waiting
        self._n_waiting = 0

    def _write_group(self) -> None:
        if not self._batches:
            return
        import pyarrow as pa  # noqa: PLC0415

        batches, n_rows = self._batches, self._n_rows
        self._batches, self._n_bytes, self._n_rows = [], 0, 0
        if self._writer is None:
            self._begin_shard()
        self._writer.write_table(pa.Table.from_batches(batches), row_group_size=n_rows)
        file = self._shards[-1]
        file.n_rows += n_rows
        if file.n_bytes >= self._shard_bytes:
            self._end_shard()

    def _begin_shard(self) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = self._folder.part(f"{self._stem}.{len(self._shards)}.part", ByteFile)
        self._shards.append(file)
        # Without the schema of Arrow beside that of Parquet: all types here are Parquet's own.
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd", store_schema=False)

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._shards[-1].close()
