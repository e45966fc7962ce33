"""Merging: rows of several sorted files as one sorted sequence, a piece of each at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.rows import SORTED_BY


def merge_sorted(inputs: Sequence[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Yield the rows of inputs that are each sorted by ``SORTED_BY``, sorted.

    Of each input one piece is in memory. All rows up to the least of the pieces' last rows are complete; they are
    sorted together, and the rest waits for its next piece.
    """
    open_inputs = [each for each in map(_Input.begin, inputs) if each]
    while open_inputs:
        if len(open_inputs) == 1:
            yield open_inputs[0].piece
            yield from open_inputs[0].rest
            return
        bound = min(each.last for each in open_inputs)
        complete = [each.take_through(bound) for each in open_inputs]
        yield _sorted([part for part in complete if part.num_rows])
        open_inputs = [each for each in open_inputs if each.refill()]


@dataclass(slots=True)
class _Input:
    piece: pa.Table
    rest: Iterator[pa.Table]

    @staticmethod
    def begin(tables: Iterator[pa.Table]) -> "_Input | None":
        first = next((table for table in tables if table.num_rows), None)
        return None if first is None else _Input(first, tables)

    @property
    def last(self) -> tuple[object, ...]:
        return tuple(self.piece[name][-1].as_py() for name in SORTED_BY)

    def take_through(self, bound: tuple[object, ...]) -> pa.Table:
        """Cut off the rows up to a bound, the bound included."""
        n_rows = _n_through(self.piece, bound)
        taken, self.piece = self.piece.slice(0, n_rows), self.piece.slice(n_rows)
        return taken

    def refill(self) -> bool:
        """Read the next piece if this one is used up; returns False at the end."""
        if not self.piece.num_rows:
            self.piece = next((table for table in self.rest if table.num_rows), self.piece)
        return self.piece.num_rows > 0


def _n_through(rows: pa.Table, bound: tuple[object, ...]) -> int:
    """Count the rows that come at or before a bound."""
    scalars = [pa.scalar(value, rows.schema.field(name).type) for name, value in zip(SORTED_BY, bound, strict=True)]
    *first, (last, bound_of_last) = zip(SORTED_BY, scalars, strict=True)
    is_through: Any = pc.less_equal(rows[last], bound_of_last)
    for name, scalar in reversed(first):
        is_through = pc.or_(pc.less(rows[name], scalar), pc.and_(pc.equal(rows[name], scalar), is_through))
    return pc.sum(is_through).as_py() or 0


def _sorted(parts: Sequence[pa.Table]) -> pa.Table:
    if len(parts) == 1:
        return parts[0]
    together = pa.concat_tables(parts)
    return together.take(pc.sort_indices(together, [(name, "ascending") for name in SORTED_BY]))
