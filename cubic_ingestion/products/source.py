"""Source: the rows of many loads, read ahead, since opening a small file takes longer than reading it.

In memory are at most a few dozen batches of ``BATCH_BYTES``, however wide the rows are.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice

import pyarrow as pa

from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.products.rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    Addition,
    Part,
    is_one_batch,
    parts_of,
    product_rows,
)

_AHEAD = 4
"""Loads that are read ahead, for each that is read at the same time."""


def rows_of_all(platform: Platform, additions: Sequence[Addition], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of some loads in their order, those of many small ones together.

    Raises:
        LoadChangedError: A load's file is another version by now.
    """
    together: list[Part] = []
    n_rows = n_bytes = 0
    for part in _parts_of_all(platform, additions):
        part_bytes = part.rows.nbytes
        is_full = n_rows + part.rows.num_rows > BATCH_ROWS or n_bytes + part_bytes > BATCH_BYTES
        if together and (is_full or part.rows.schema != together[0].rows.schema):
            yield product_rows(together, schema)
            together, n_rows, n_bytes = [], 0, 0
        together.append(part)
        n_rows += part.rows.num_rows
        n_bytes += part_bytes
    if together:
        yield product_rows(together, schema)


def _parts_of_all(platform: Platform, additions: Sequence[Addition]) -> Iterator[Part]:
    springboard, n_threads = platform.stores.springboard, platform.limits.parallel_loads

    def whole(addition: Addition) -> list[Part] | None:
        """Read a load if its rows are one batch after all."""
        with closing(parts_of(springboard, addition)) as parts:
            first = list(islice(parts, 2))
        return first if len(first) < 2 else None  # noqa: PLR2004 - one, or none of a load without rows

    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[tuple[Addition, Future[list[Part] | None] | None]] = deque()
        upcoming = iter(additions)
        while True:
            while len(waiting) < n_threads * _AHEAD and (addition := next(upcoming, None)):
                waiting.append((addition, pool.submit(whole, addition) if is_one_batch(addition.load) else None))
            if not waiting:
                return
            addition, read = waiting.popleft()
            parts = read.result() if read else None
            yield from parts_of(springboard, addition) if parts is None else parts
