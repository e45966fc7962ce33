"""Source: the rows of many loads, read ahead, since opening a small file takes longer than reading it."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.products.rows import BATCH_ROWS, SMALL_ROWS, Addition, Part, parts_of, product_rows

_AHEAD = 4
"""Loads that are read ahead, for each that is read at the same time."""


def rows_of_all(platform: Platform, additions: Sequence[Addition], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of some loads in their order, those of many small ones together.

    Raises:
        LoadChangedError: A load's file is another version by now.
    """
    together: list[Part] = []
    n_rows = 0
    for part in _parts_of_all(platform, additions):
        if together and (n_rows + part.rows.num_rows > BATCH_ROWS or part.rows.schema != together[0].rows.schema):
            yield product_rows(together, schema)
            together, n_rows = [], 0
        together.append(part)
        n_rows += part.rows.num_rows
    if together:
        yield product_rows(together, schema)


def _parts_of_all(platform: Platform, additions: Sequence[Addition]) -> Iterator[Part]:
    springboard, n_threads = platform.stores.springboard, platform.limits.parallel_loads

    def whole(addition: Addition) -> list[Part]:
        return list(parts_of(springboard, addition))

    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[tuple[Addition, Future[list[Part]] | None]] = deque()
        upcoming = iter(additions)
        while True:
            while len(waiting) < n_threads * _AHEAD and (addition := next(upcoming, None)):
                is_small = addition.load.n_rows <= SMALL_ROWS
                waiting.append((addition, pool.submit(whole, addition) if is_small else None))
            if not waiting:
                return
            addition, read = waiting.popleft()
            yield from parts_of(springboard, addition) if read is None else read.result()
