"""A sort on disk: rows of any number in the order of some columns. It needs the memory of one range of keys.

DuckDB's sort needs more memory for more rows: its 128 MB suffice for 10 million, and not for 40 million. So the rows
are divided into ranges of keys first, one file per range. Then each range is sorted in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cubic_ingestion.products.apply import cut
from cubic_ingestion.products.key_order import sort_positions
from cubic_ingestion.products.scan import Keys

RANGE_BYTES = 8 << 20
"""Bytes per range; to sort one takes about three times as much."""
SAMPLES_PER_RANGE = 64
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class SortOnDisk:
    """Sorts rows.

    Args:
        folder: An empty folder for the files, which are removed as they are read.
        schema: Columns of the rows.
        key: The columns by which rows are divided into ranges. All rows of one key are in memory together.
        by: The columns to sort by; the key comes first.
    """

    folder: Path
    schema: pa.Schema
    key: Sequence[str]
    by: Sequence[str]

    def rows(self, rows: Iterator[pa.Table], sample: pa.Table, n_ranges: int, piece_rows: int) -> Iterator[pa.Table]:
        """Yield the rows in order.

        Args:
            rows: The rows, in any order.
            sample: Keys of some of the rows, about ``SAMPLES_PER_RANGE`` for each range.
            n_ranges: Number of ranges. With one, no file is written.
            piece_rows: Rows per piece.
        """
        # The ranges have equal numbers of rows, not of keys, because one key may have many changes.
        bounds = self._sorted(sample).take(np.arange(0, sample.num_rows, max(sample.num_rows // n_ranges, 1)))
        firsts = Keys.of(bounds, self.key).table
        if firsts.num_rows < 2:  # noqa: PLR2004 - one range
            yield from self._pieces(rows, piece_rows)
            return
        paths = [self.folder / f"{number}.arrows" for number in range(firsts.num_rows)]
        for each in _together(rows):
            for path, part in zip(paths, cut(self._sorted(each), firsts, self.key), strict=True):
                if part.num_rows:
                    with path.open("ab") as file, pa.ipc.new_stream(file, self.schema, options=_OPTIONS) as stream:
                        stream.write_table(part)
        for path in paths:
            if path.exists():
                yield from self._pieces(_read(path), piece_rows)
                path.unlink()

    def _pieces(self, parts: Iterator[pa.Table], piece_rows: int) -> Iterator[pa.Table]:
        together = pa.concat_tables([self.schema.empty_table(), *parts]).combine_chunks()
        order = sort_positions(together, self.by)
        for start in range(0, together.num_rows, piece_rows):
            yield together.take(order[start : start + piece_rows])

    def _sorted(self, rows: pa.Table) -> pa.Table:
        return rows.take(sort_positions(rows, self.key)).combine_chunks()


def _together(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Put pieces together up to the size of a range: each addition to a file has a cost of its own."""
    pieces: list[pa.Table] = []
    n_bytes = 0
    for piece in rows:
        pieces.append(piece)
        n_bytes += piece.nbytes
        if n_bytes >= RANGE_BYTES:
            yield pa.concat_tables(pieces)
            pieces, n_bytes = [], 0
    if pieces:
        yield pa.concat_tables(pieces)


def _read(path: Path) -> Iterator[pa.Table]:
    """Yield the tables that were added to a file one after the other, each as a stream of its own."""
    with pa.OSFile(str(path), "r") as file:
        n_bytes = file.size()
        while file.tell() < n_bytes:
            with pa.ipc.open_stream(file) as stream:
                yield stream.read_all()
