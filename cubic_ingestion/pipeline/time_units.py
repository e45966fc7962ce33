"""Time units: which unit the timestamps of one file need (docs/adr/0008)."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.delimited_types import is_unit_open
from cubic_ingestion.pipeline.convert import MICROSECONDS, NANOSECONDS, TimestampUnitError, finer_columns


class TimeUnits:
    """The types that a file's timestamp columns were tried with; the last of each is the one to try now.

    A ``DATETIME`` whose digits the vendor does not state begins with the unit that files before needed, so that the
    files of a table agree; with microseconds if none needed more.
    """

    def __init__(self, schemas: Sequence[Sequence[Column]]) -> None:
        self._finer_before = {column.name for columns in schemas for column in columns if column.type == NANOSECONDS}
        self._tried: dict[str, list[str]] = {}

    @property
    def need_text(self) -> bool:
        """Whether some column fits neither unit."""
        return any(tried[-1] == "string" for tried in self._tried.values())

    def fitting(self, first: pa.RecordBatch | None, columns: Sequence[Column]) -> tuple[Column, ...]:
        """Give columns their units; a file's first batch spares most files a second reading."""
        for column in columns:
            if column.name in self._finer_before and column.name not in self._tried and is_unit_open(column):
                self._tried[column.name] = [NANOSECONDS]
        chosen = self._chosen(columns)
        if first is not None and (finer := finer_columns(first, chosen)):
            self.change(TimestampUnitError(dict.fromkeys(finer, NANOSECONDS)))
            chosen = self._chosen(columns)
        return chosen

    def change(self, error: TimestampUnitError) -> None:
        """Try what a conversion asks for; text, if that was tried before."""
        for name, wanted in error.types.items():
            tried = self._tried.setdefault(name, [MICROSECONDS if wanted == NANOSECONDS else NANOSECONDS])
            tried.append("string" if wanted in tried else wanted)

    def _chosen(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        return tuple(
            replace(column, type=self._tried[column.name][-1]) if column.name in self._tried else column
            for column in columns
        )
