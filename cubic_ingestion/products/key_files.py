"""Key files: the files of ``__current``, sorted by key, in ranges that do not overlap.

The first and the last key of a file are in its footer. A merge writes again only the files whose range has a changed
key, a piece of a row group after another, and a small neighbour with it. Rows are encoded in a thread of their own.
"""

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.parsing.stored_types import NANOSECONDS, from_stored
from cubic_ingestion.ports import DataFileWriter, Keep, Warehouse, WarehouseFile, WarehouseTable
from cubic_ingestion.products.apply import apply, cut
from cubic_ingestion.products.current_rows import Shape
from cubic_ingestion.products.errors import KeyOrderError
from cubic_ingestion.products.key_order import is_increasing, lower_bound, sort_positions
from cubic_ingestion.products.log_files import open_file
from cubic_ingestion.products.merge import checked_stored
from cubic_ingestion.products.scan import Keys

TARGET_BYTES = 64 << 20
"""A file that grew to twice as much is split; neighbours that are together smaller become one."""
_PIECES, _MIN_PIECE_ROWS = 4, 8_192
"""Pieces that a row group is read in. A small one is read as a whole."""
_AHEAD = 2
"""Pieces that wait while one is encoded. As many always: so the same rows always make the same files."""
FIRST_KEY, LAST_KEY = "cubic.first_key", "cubic.last_key"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file, and its first key."""

    file: WarehouseFile
    first: pa.Table
    """One row; the columns are the key columns."""


@dataclass(slots=True)
class KeyFileWriter:
    """Writes rows in key order into files.

    Args:
        table: The table.
        shape: Columns of its rows.
        stored: Columns as stored.
        fine: Columns with nanoseconds that ``stored`` has room for.
        keep: Renews the lease.
        replaces_schema: Whether the commit will replace the table's columns.
    """

    table: WarehouseTable
    shape: Shape
    stored: pa.Schema
    fine: set[str]
    keep: Keep
    replaces_schema: bool = False
    files: list[WarehouseFile] = field(default_factory=list[WarehouseFile])

    def write(self, rows: Iterable[pa.Table], max_rows: int | None = None) -> None:
        """Write rows into a next file where one is full.

        Args:
            rows: Rows in key order.
            max_rows: How many rows a file has; as many as ``TARGET_BYTES`` hold by default.

        Raises:
            NanosecondsError: A column has nanoseconds that ``stored`` has no room for.
            KeyOrderError: Rows are not in key order, or two have the same key.
        """
        pieces = self._in_order(rows)
        piece = _next(pieces)
        while piece is not None:
            opened = self.table.writer(self.stored, replaces_schema=self.replaces_schema)
            with opened as writer, ThreadPoolExecutor(1) as encoding:
                first, last, n_rows, n_bytes = piece.slice(0, 1), piece, 0, 0
                waiting: deque[Future[int]] = deque()
                while piece is not None:
                    room = piece.num_rows if max_rows is None else max_rows - n_rows
                    last, rest = piece.slice(0, room), piece.slice(room)
                    waiting.append(encoding.submit(_write, writer, self._stored(last)))
                    n_rows += last.num_rows
                    if len(waiting) > _AHEAD:
                        n_bytes = waiting.popleft().result()
                    self.keep()
                    piece = rest if rest.num_rows else _next(pieces)
                    if n_bytes >= TARGET_BYTES if max_rows is None else n_rows >= max_rows:
                        break
                for each in waiting:
                    each.result()
                footer = {FIRST_KEY: self._text(first), LAST_KEY: self._text(last.slice(last.num_rows - 1))}
                self.files.append(writer.close(footer=footer))

    def _in_order(self, rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield pieces, and make sure that each key is above the one before it: nothing else is ever committed."""
        key = self.shape.law.key
        last = self.shape.rows.empty_table().select(key)
        for piece in rows:
            if not is_increasing(pa.concat_tables([last, piece.select(key)]), key):
                raise KeyOrderError(self.table.name)
            last = piece.slice(piece.num_rows - 1).select(key) if piece.num_rows else last
            yield piece

    def _stored(self, rows: pa.Table) -> pa.Table:
        snapshot = pa.repeat(pa.scalar(self.shape.generation), rows.num_rows)
        return checked_stored(rows.append_column("snapshot", snapshot), self.stored, self.fine)

    def _text(self, row: pa.Table) -> str:
        sink = pa.BufferOutputStream()
        key = row.select(self.shape.law.key).combine_chunks()
        with pa.ipc.new_stream(sink, key.schema) as stream:
            stream.write_table(key)
        return base64.b64encode(sink.getvalue().to_pybytes()).decode()


def _write(writer: DataFileWriter, rows: pa.Table) -> int:
    writer.write(rows)
    return writer.n_bytes


def _next(pieces: Iterator[pa.Table]) -> pa.Table | None:
    return next((piece for piece in pieces if piece.num_rows), None)


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The files of ``__current`` as they are, in key order."""

    warehouse: Warehouse
    shape: Shape
    files: Sequence[KeyFile]

    @staticmethod
    def of(warehouse: Warehouse, shape: Shape, table: WarehouseTable) -> "KeyFiles":
        """Read the first keys of all files."""
        # A type that is stored as it was (uint64, which became a decimal) leaves files as they are.
        types = pa.schema([shape.rows.field(name) for name in shape.law.key])
        files = [KeyFile(file, _first_key(warehouse, file).cast(types)) for file in table.files()]
        if not files:
            return KeyFiles(warehouse, shape, ())
        order = sort_positions(pa.concat_tables([each.first for each in files]), shape.law.key)
        return KeyFiles(warehouse, shape, [files[place] for place in order.tolist()])

    def rows_of(self, keys: pa.Table) -> pa.Table:
        """Return the rows of some keys, which are in key order."""
        wanted, found = Keys(keys), [self.shape.rows.empty_table()]
        for each, piece in zip(self.files, self._cut(keys), strict=True):
            if piece.num_rows:
                found += [wanted.filter(rows) for rows in self._rows(each.file)]
        return pa.concat_tables(found)

    def rewrite(self, net: pa.Table, writer: KeyFileWriter) -> tuple[list[WarehouseFile], int]:
        """Write the files with changed keys again; returns the files that are replaced, and the number of orphans.

        Args:
            net: Net changes.
            writer: Where to write.
        """
        if not self.files:
            applied = apply(self.shape.rows.empty_table(), net, self.shape.law.key)
            writer.write([applied.rows])
            return [], applied.n_orphans
        replaced: list[WarehouseFile] = []
        orphans = [0]
        for run, changes in _runs(self.files, self._cut(net)):
            n_rows, n_bytes = sum(file.n_rows for file in run), sum(file.n_bytes for file in run)
            expected = n_bytes * (n_rows + changes.num_rows) // max(n_rows, 1)
            n_files = max(expected // TARGET_BYTES, 1)
            writer.write(self._applied(run, changes, orphans), max_rows=-(-(n_rows + changes.num_rows) // n_files))
            replaced += run
        return replaced, orphans[0]

    def _applied(self, run: Sequence[WarehouseFile], net: pa.Table, orphans: list[int]) -> Iterator[pa.Table]:
        """Yield the rows of neighbouring files after their net changes; adds to ``orphans``."""
        key = self.shape.law.key
        groups = (rows for file in run for rows in self._rows(file))
        group = next(groups, self.shape.rows.empty_table())
        while True:
            following = next(groups, None)
            if following is None:
                piece, net = net, net.slice(net.num_rows)
            else:
                place, found = lower_bound(net, group.slice(group.num_rows - 1), key)
                n_through = int(place[0] + found[0])
                piece, net = net.slice(0, n_through), net.slice(n_through)
            applied = apply(group, piece, key)
            orphans[0] += applied.n_orphans
            yield applied.rows
            if following is None:
                return
            group = following

    def _rows(self, file: WarehouseFile) -> Iterator[pa.Table]:
        """Yield the row groups of a file in pieces, in the columns and types that rows have now."""
        with open_file(self.warehouse, file) as parquet:
            names = [name for name in parquet.schema_arrow.names if _is_of(name, self.shape.rows)]
            for number in range(parquet.num_row_groups):
                n_rows = max(parquet.metadata.row_group(number).num_rows // _PIECES + 1, _MIN_PIECE_ROWS)
                for batch in parquet.iter_batches(n_rows, row_groups=[number], columns=names):
                    yield from_stored(pa.Table.from_batches([batch]), self.shape.rows)

    def _cut(self, keyed: pa.Table) -> Sequence[pa.Table]:
        if not self.files:
            return ()
        return cut(keyed, pa.concat_tables([each.first for each in self.files]), self.shape.law.key)


def _runs(files: Sequence[KeyFile], pieces: Sequence[pa.Table]) -> Iterator[tuple[Sequence[WarehouseFile], pa.Table]]:
    """Yield the files to write again, with their net changes; small neighbours together."""
    run: list[WarehouseFile] = []
    changes: list[pa.Table] = []
    for each, piece in zip(files, pieces, strict=True):
        if run and sum(file.n_bytes for file in run) + each.file.n_bytes > TARGET_BYTES:
            yield from _changed(run, changes)
            run, changes = [], []
        run.append(each.file)
        changes.append(piece)
    yield from _changed(run, changes)


def _changed(
    run: Sequence[WarehouseFile], changes: Sequence[pa.Table]
) -> Iterator[tuple[Sequence[WarehouseFile], pa.Table]]:
    together = pa.concat_tables(changes)
    if together.num_rows:
        yield run, together


def _first_key(warehouse: Warehouse, file: WarehouseFile) -> pa.Table:
    with warehouse.bucket.open(file.key) as body:
        text = (pq.read_metadata(body).metadata or {})[FIRST_KEY.encode()]
    with pa.ipc.open_stream(base64.b64decode(text)) as stream:
        return stream.read_all()


def _is_of(name: str, schema: pa.Schema) -> bool:
    return name in schema.names or name.removesuffix(NANOSECONDS) in schema.names
