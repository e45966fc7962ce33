"""Scan: the rows of some keys, found in Parquet files that are in another order.

Only the key columns of all rows are read. Where a row group has one of the keys, the group's other columns follow.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cubic_ingestion.parsing.stored_types import NANOSECONDS
from cubic_ingestion.products.arrays import Flags, Positions, as_flags
from cubic_ingestion.products.key_order import lower_bound, sort_positions
from cubic_ingestion.products.pairs import starts

Typed = Callable[[pa.Table], pa.Table]
"""Gives rows of a file their types."""


MOST_BYTES = 64 << 20
"""Rows that are folded in memory take no more, as Arrow holds them; folding needs some times as much."""


class TooMuchError(Exception):
    """There are more rows than are folded in memory."""


def gathered(schema: pa.Schema, pieces: Iterable[pa.Table]) -> pa.Table:
    """Put pieces together.

    Raises:
        TooMuchError: They are larger than ``MOST_BYTES``.
    """
    found, n_bytes = [schema.empty_table()], 0
    for piece in pieces:
        n_bytes += piece.nbytes
        if n_bytes > MOST_BYTES:
            raise TooMuchError
        found.append(piece)
    return pa.concat_tables(found)


@dataclass(frozen=True)
class Keys:
    """Keys to look for."""

    table: pa.Table
    """Each key once, in key order. The columns are the key columns."""

    @staticmethod
    def of(rows: pa.Table, key: Sequence[str]) -> "Keys":
        """Return the keys of some rows."""
        ordered = rows.select(key).take(sort_positions(rows, key))
        return Keys(ordered.filter(pa.array(starts(ordered, key))))

    @property
    def columns(self) -> Sequence[str]:
        """Names of the key columns."""
        return self.table.column_names

    def among(self, rows: pa.Table) -> Flags:
        """Say of each row whether its key is one of these."""
        name = self.columns[0]
        found = np.zeros(rows.num_rows, bool)
        if not self.table.num_rows or not rows.num_rows:
            return found
        if pa.types.is_floating(rows[name].type):  # 0.0 and -0.0 are one key, and two values of a hash table
            candidates = np.arange(rows.num_rows)
        else:
            values: Any = self.table[name].combine_chunks()
            candidates = np.flatnonzero(as_flags(pc.is_in(rows[name], value_set=values)))
        found[candidates] = lower_bound(self.table, rows.select(self.columns).take(candidates), self.columns)[1]
        return found

    def filter(self, rows: pa.Table, *, invert: bool = False) -> pa.Table:
        """Keep the rows of these keys, or all others."""
        return rows.filter(pa.array(self.among(rows) != invert))


def rows_of_keys(
    parquet: pq.ParquetFile, keys: Keys, names: Mapping[str, str], typed: Typed
) -> Iterator[tuple[Positions, pa.Table]]:
    """Yield positions in the file, counted from 0, and rows of some keys, which have the file's types.

    Args:
        parquet: The file.
        keys: The keys.
        names: What the file's columns are called in the product.
        typed: Gives key columns the types of ``keys``.
    """
    wanted = {each + ending for each in keys.columns for ending in ("", NANOSECONDS)}
    key_columns = [name for name in parquet.schema_arrow.names if names[name] in wanted]
    first = 0
    for number in range(parquet.num_row_groups):
        n_rows = parquet.metadata.row_group(number).num_rows
        group = parquet.read_row_group(number, key_columns)
        places = np.flatnonzero(keys.among(typed(group.rename_columns([names[name] for name in key_columns]))))
        if len(places):
            rows = parquet.read_row_group(number).take(places)
            yield first + places, rows.rename_columns([names[name] for name in rows.column_names])
        first += n_rows
