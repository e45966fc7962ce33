"""Rows: a load's records on their way from text to types, none let through that is not what arrived."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import BadCell, RejectedLoadError
from cubic_ingestion.pipeline.convert import CastFailure, Converter
from cubic_ingestion.pipeline.quarantine import Quarantine

MOST_CELLS = 100
"""Bad cells that a reason lists; it counts the others."""
_MOST_CHARACTERS = 200


def converted(
    batches: Iterator[pa.RecordBatch],
    columns: Sequence[Column],
    expected_rows: int | None,
    keep: Callable[[], None],
    quarantine: Quarantine | None = None,
    *,
    may_state_utc: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Convert batch by batch, and check the count at the end.

    Without a quarantine, a file with a value that does not fit is looked at to its end before it is given up.

    Args:
        batches: The records as they were read; all text for a quarantine.
        columns: Their columns.
        expected_rows: Record count that the vendor states, if any.
        keep: Called before each batch: the work goes on.
        quarantine: Takes the records with values that do not fit, and is published after the last.
        may_state_utc: As ``Records`` has it.

    Raises:
        RejectedLoadError: ``bad_value`` or ``record_count_mismatch``.
    """
    n_rows = 0
    bad = _BadValues()
    converter = Converter(columns, may_state_utc=may_state_utc)
    for batch in batches:
        keep()
        conversion = converter.convert(batch, n_rows + 1)
        if quarantine:
            yield quarantine.sift(batch, conversion, n_rows + 1)
        else:
            bad.add(conversion.failures)
            if not bad.total:
                yield conversion.rows
        n_rows += batch.num_rows
    if bad.total:
        raise bad.rejection()
    if expected_rows is not None and n_rows != expected_rows:
        message = f"The file has {counted(n_rows, 'record')}, its .dfm states {expected_rows} (recordCount)."
        raise RejectedLoadError("record_count_mismatch", message)
    if quarantine:
        quarantine.commit()


class _BadValues:
    """The values of a file that do not fit: how many, and the first of them."""

    def __init__(self) -> None:
        self.total = 0
        self._first: list[BadCell] = []

    def add(self, failures: Sequence[CastFailure]) -> None:
        self.total += len(failures)
        self._first += [
            BadCell(failure.row, failure.column, failure.value[:_MOST_CHARACTERS], failure.type)
            for failure in failures[: MOST_CELLS - len(self._first)]
        ]

    def rejection(self) -> RejectedLoadError:
        first = self._first[0]
        others = f"; {self.total} such values in the file" if self.total > 1 else ""
        message = f"Value {first.value!r} is no {first.type}{others}."
        return RejectedLoadError("bad_value", message, row=first.row, column=first.column, bad_cells=self._first)
