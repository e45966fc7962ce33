"""A delimited file's rows, block by block: read again where a first way of reading it does not do, and to its end.

pyarrow takes the end of the file for the end of a quoted field that was never closed, and so would swallow all
records after a stray quote. A row of our own is therefore put after the last record, with nothing in its fields: if it
does not come out again as the last row, something has swallowed it, and that is a field which is not empty.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa

from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.delimited_parser import BeyondBlockError, Layout, NotExactError, Parser
from cubic_ingestion.parsing.delimited_text import Text


def read_blocks(layout: Layout, opened: Callable[[], Text]) -> Iterator[pa.RecordBatch]:
    """Parse a file block by block.

    Args:
        layout: Its columns.
        opened: Opens the file at its start, header included; called again to read it otherwise.

    Raises:
        RejectedLoadError: ``ragged_row``, ``not_utf8``, ``unclosed_quote``, ``field_too_large``, ``csv_invalid`` or
            ``gzip_damaged``.
    """
    parser = Parser(layout)
    n_done = 0
    while True:
        try:
            for batch in _after(n_done, _without_end(parser.parse(opened()))):
                n_done += batch.num_rows
                yield batch
        except BeyondBlockError:
            parser.enlarge_blocks(n_done)
        except NotExactError as error:
            parser.read_otherwise(error.columns, n_done)
        else:
            return


def _without_end(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take the row put after the last record off again."""
    held: pa.RecordBatch | None = None
    n_rows = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        if held is not None:
            yield held
        held = batch
        n_rows += batch.num_rows
    if held is None or not _ends_empty(held):
        raise RejectedLoadError(
            "unclosed_quote",
            "A quote is never closed, so that the records after it cannot be told apart. "
            "Have the vendor deliver the file again.",
            row=n_rows or None,
        )
    if held.num_rows > 1:
        yield held.slice(0, held.num_rows - 1)


def _ends_empty(batch: pa.RecordBatch) -> bool:
    """Say whether the last row has nothing in any field."""
    ends = (column[-1] for column in batch.columns)
    return all(not end.is_valid or (pa.types.is_string(end.type) and not end.as_py()) for end in ends)


def _after(n_done: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Leave out the first rows, which were handed over already."""
    for batch in batches:
        n_skipped = min(n_done, batch.num_rows)
        n_done -= n_skipped
        if n_skipped < batch.num_rows:
            yield batch.slice(n_skipped)
