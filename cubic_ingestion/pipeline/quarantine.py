"""Quarantine: records with a value that does not fit, kept beside Springboard's tables until a declaration does."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.domain.layout import quarantine_key, springboard_key
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.convert import CastFailure, Conversion
from cubic_ingestion.pipeline.write import load_id_metadata
from cubic_ingestion.ports import ObjectStore, ObjectWriter

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("column", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("record", pa.string(), nullable=False),
        pa.field("load_id", pa.int64(), nullable=False),
    ]
)
"""Data record in the file, from 1; its first bad column; every bad value in words; the record's texts as JSON."""

_CELLS_AT_ONCE = 100_000
"""Texts that are Python's objects at a time; a wide file has as many in a few records."""


class Quarantine:
    """The records of one load that cannot be written; a file of their own, if there are any."""

    def __init__(
        self, load: Load, writer: ObjectWriter, parquet: pq.ParquetWriter, may_publish: Callable[[], bool]
    ) -> None:
        self.n_rows = 0
        self._may_publish = may_publish
        self._load = load
        self._writer = writer
        self._parquet = parquet

    def sift(self, texts: pa.RecordBatch, conversion: Conversion, first_row: int) -> pa.RecordBatch:
        """Keep the bad records of a batch, and return the others, typed.

        Args:
            texts: The batch as it was read, all text.
            conversion: What became of it.
            first_row: Number of its first record in the file.
        """
        if not conversion.failures:
            return conversion.rows
        bad = {row: list(cells) for row, cells in groupby(conversion.failures, key=lambda cell: cell.row)}
        positions = [row - first_row for row in bad]
        n_at_once = max(1, _CELLS_AT_ONCE // texts.num_columns)
        for start in range(0, len(positions), n_at_once):
            self._keep(texts, positions[start : start + n_at_once], bad, first_row)
        return conversion.rows.filter(_all_but(positions, conversion.rows.num_rows))

    def _keep(
        self, texts: pa.RecordBatch, positions: Sequence[int], bad: Mapping[int, Sequence[CastFailure]], first_row: int
    ) -> None:
        records = texts.take(pa.array(positions, pa.int64())).to_pylist()
        rows = [
            _quarantined(bad[first_row + at], record, self._load.id)
            for at, record in zip(positions, records, strict=True)
        ]
        self._parquet.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
        self.n_rows += len(rows)

    def commit(self) -> None:
        """Publish the file, unless the claim on the load was lost."""
        self._parquet.close()
        if self._may_publish():
            self._writer.commit()


@contextmanager
def quarantine(
    springboard: ObjectStore, table: Table, load: Load, may_publish: Callable[[], bool]
) -> Generator[Quarantine]:
    """Open a load's quarantine; nothing is there until it is committed."""
    schema = SCHEMA.with_metadata(load_id_metadata(load.id))
    with (
        springboard.writer(quarantine_key(table, springboard_key(table, load))) as writer,
        pq.ParquetWriter(writer.file, schema, compression="zstd", compression_level=1) as parquet,
    ):
        yield Quarantine(load, writer, parquet, may_publish)


def empty_quarantine(springboard: ObjectStore, table: Table, location: str) -> None:
    """Remove what was kept of the load whose other records stand, or stood, at a location."""
    standing = springboard.head(quarantine_key(table, location))
    if standing:
        springboard.delete(standing.key, standing.etag)


def _quarantined(cells: Sequence[CastFailure], record: dict[str, str | None], load_id: int) -> dict[str, object]:
    return {
        "row": cells[0].row,
        "column": cells[0].column,
        "reason": "; ".join(f"{cell.column}: {cell.value[:200]!r} is no {cell.type}" for cell in cells),
        "record": json.dumps(record, ensure_ascii=False),
        "load_id": load_id,
    }


def _all_but(positions: Sequence[int], n_rows: int) -> pa.BooleanArray:
    left_out = set(positions)
    return pa.array([position not in left_out for position in range(n_rows)], pa.bool_())
