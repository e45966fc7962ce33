"""Streams of rows that are sorted by key: two of them side by side, cut so that no key is cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from cubic_ingestion.products.key_order import lower_bound


def side_by_side(
    left: Iterator[pa.Table], right: Iterator[pa.Table], schemas: tuple[pa.Schema, pa.Schema], key: Sequence[str]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield the rows of two streams, piece by piece, all rows of a key in one piece.

    Of each stream about two pieces are in memory, or all rows of one key.

    Args:
        left: Rows in key order; a key may occur more than once.
        right: The same.
        schemas: Columns of the two.
        key: Key columns.
    """
    streams = [_Stream(pieces, schema.empty_table()) for pieces, schema in zip((left, right), schemas, strict=True)]
    for stream in streams:
        stream.read_on()
    while any(stream.piece.num_rows for stream in streams):
        going = [stream for stream in streams if not stream.is_ended]
        if not going:
            yield streams[0].piece, streams[1].piece
            return
        lasts = [stream.last(key) for stream in going]
        bound = lasts[0] if len(lasts) == 1 or _is_at_most(lasts[0], lasts[1], key) else lasts[1]
        taken = [stream.take_before(bound, key) for stream in streams]
        if any(each.num_rows for each in taken):
            yield taken[0], taken[1]
        for stream in going:
            if _is_at_most(stream.last(key), bound, key):
                stream.read_on()


@dataclass(slots=True)
class _Stream:
    rest: Iterator[pa.Table]
    piece: pa.Table
    is_ended: bool = field(default=False)

    def read_on(self) -> None:
        """Add the next piece to what is left of this one."""
        following = next((each for each in self.rest if each.num_rows), None)
        if following is None:
            self.is_ended = True
        else:
            both = pa.concat_tables([self.piece, following]) if self.piece.num_rows else following
            self.piece = both.combine_chunks()

    def last(self, key: Sequence[str]) -> pa.Table:
        """Return the last key."""
        return self.piece.slice(self.piece.num_rows - 1).select(key)

    def take_before(self, bound: pa.Table, key: Sequence[str]) -> pa.Table:
        """Cut off the rows before a key."""
        n_rows = int(lower_bound(self.piece, bound, key)[0][0])
        taken, self.piece = self.piece.slice(0, n_rows), self.piece.slice(n_rows)
        return taken


def _is_at_most(left: pa.Table, right: pa.Table, key: Sequence[str]) -> bool:
    return bool(lower_bound(right, left, key)[0][0] == 0)
