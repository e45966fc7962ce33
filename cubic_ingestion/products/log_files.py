"""Log files: the files of ``__changes`` and ``__events``, and which of them are to be written into larger ones.

A merge writes its rows into one new file for each partition. As soon as a partition has ``FANOUT`` files whose numbers
of rows are of the same class (powers of ``FANOUT``), those are written into one. Every time, a row comes into a higher
class, so over its life it is rewritten at most as often as there are classes up to ``FULL_ROWS``: seven times. It is a
log-structured merge.
"""

from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cubic_ingestion.ports import Keep, Warehouse, WarehouseFile, WarehouseTable
from cubic_ingestion.products.merging import merge_sorted
from cubic_ingestion.products.rows import BATCH_ROWS

FANOUT = 8
FULL_ROWS, FULL_BYTES = 8**7, 128 << 20
"""A file with as many rows, or bytes, stays as it is."""
_PIECE_BYTES = 4 << 20


def due_for_rewriting(files: Iterable[WarehouseFile]) -> list[list[WarehouseFile]]:
    """Return groups of files that are each to be written into one."""
    classes: dict[tuple[object, int], list[WarehouseFile]] = defaultdict(list)
    for file in files:
        if file.n_rows < FULL_ROWS and file.n_bytes < FULL_BYTES:
            classes[file.partition, _class(file.n_rows)].append(file)
    return [group for group in classes.values() if len(group) >= FANOUT]


def _class(n_rows: int) -> int:
    """Return the power of ``FANOUT`` that a number of rows reaches.

    >>> [_class(n) for n in (1, 7, 8, 63, 64)]
    [0, 0, 1, 1, 2]
    """
    return (max(n_rows, 1).bit_length() - 1) // (FANOUT.bit_length() - 1)


@dataclass(slots=True)
class LogWriter:
    """Writes sorted rows of one partition after the other into files."""

    table: WarehouseTable
    schema: pa.Schema
    """As stored."""
    keep: Keep
    replaces_schema: bool = False
    """Whether the commit will replace the table's columns."""
    files: list[WarehouseFile] = field(default_factory=list[WarehouseFile])

    def write(self, place: tuple[object, ...], rows: Iterator[pa.Table]) -> None:
        """Write the rows of a partition, into a next file where one is full."""
        piece = _next(rows)
        while piece is not None:
            with self.table.writer(self.schema, replaces_schema=self.replaces_schema) as writer:
                while piece is not None and writer.n_rows < FULL_ROWS and writer.n_bytes < FULL_BYTES:
                    writer.write(piece)
                    self.keep()
                    piece = _next(rows)
                self.files.append(writer.close(place))


def without(warehouse: Warehouse, file: WarehouseFile, load_ids: Collection[int], writer: LogWriter) -> bool:
    """Write a file's rows without those of some loads; returns False if it has none of theirs, and writes nothing."""
    ids = pa.array(sorted(load_ids), pa.int64())
    with open_file(warehouse, file) as parquet:
        if not pc.any(pc.is_in(parquet.read(["load_id"])["load_id"], ids)).as_py():
            return False
        kept = (rows.filter(pc.invert(pc.is_in(rows["load_id"], ids))) for rows in _pieces(parquet, writer.schema))
        writer.write(file.partition, kept)
    return True


def rewrite(warehouse: Warehouse, group: Sequence[WarehouseFile], writer: LogWriter) -> None:
    """Write the rows of some files of one partition into one."""
    with ExitStack() as opened:
        files = [opened.enter_context(open_file(warehouse, file)) for file in group]
        writer.write(group[0].partition, merge_sorted([_pieces(file, writer.schema) for file in files]))


@contextmanager
def open_file(warehouse: Warehouse, file: WarehouseFile) -> Generator[pq.ParquetFile]:
    """Open a file of the warehouse."""
    with warehouse.bucket.open(file.key) as body:
        yield pq.ParquetFile(body, pre_buffer=False)


def _pieces(parquet: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.Table]:
    """Read a file piece by piece with the columns that the table has now, which promote those that the file has."""
    for batch in parquet.iter_batches(_batch_rows(parquet)):
        present, nulls = set(batch.schema.names), pa.nulls(batch.num_rows)
        columns = [batch[name] if name in present else nulls for name in schema.names]
        arrays = [column.cast(kind) for column, kind in zip(columns, schema.types, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)


def _batch_rows(parquet: pq.ParquetFile) -> int:
    """Return how many rows of a file are a piece; ``FANOUT`` files are read at once."""
    groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    n_bytes = sum(group.total_byte_size for group in groups)
    per_row = n_bytes / max(parquet.metadata.num_rows, 1)
    return int(min(BATCH_ROWS, max(_PIECE_BYTES / max(per_row, 1), 1_000)))


def _next(pieces: Iterator[pa.Table]) -> pa.Table | None:
    return next((piece for piece in pieces if piece.num_rows), None)
