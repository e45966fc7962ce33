"""Data files: how one is written, and what Iceberg records of it."""

import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record

from cubic_ingestion.errors import RetriableError
from cubic_ingestion.parsing.repetitive import repetitive_columns
from cubic_ingestion.ports import ObjectStore, ObjectWriter, WarehouseFile
from cubic_ingestion.warehouse.iceberg_schema import arrow_schema
from cubic_ingestion.warehouse.locations import key_of, location_of

MAX_GROUP_ROWS = 128 * 1024
MAX_GROUP_BYTES = 32 * 1024 * 1024
"""Row groups are no larger than either, so that a reader needs little memory."""


class ParquetFileWriter:
    """A data file that is being written, one row group after another. Memory is one row group."""

    def __init__(self, writer: ObjectWriter, key: str, schema: pa.Schema) -> None:
        self._writer = writer
        self._key = key
        self._schema = schema
        self._parquet: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._n_rows = 0

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._n_rows + self._waiting_rows

    @property
    def n_bytes(self) -> int:
        """Bytes written so far; rows that wait for their row group are not among them."""
        return self._writer.file.tell()

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows, in the columns of the file's schema."""
        for batch in rows.to_batches() if isinstance(rows, pa.Table) else [rows]:
            step = max(1, min(MAX_GROUP_ROWS, MAX_GROUP_BYTES * batch.num_rows // max(1, batch.nbytes)))
            for start in range(0, batch.num_rows, step):
                self._add(batch.slice(start, step))

    def close(self, partition: Sequence[object] = (), footer: Mapping[str, str] | None = None) -> WarehouseFile:
        """Publish the file."""
        self._flush()
        parquet = self._opened(None)
        if footer:
            parquet.add_key_value_metadata(dict(footer))
        parquet.close()
        committed = self._writer.commit()
        return WarehouseFile(self._key, self._n_rows, committed.size_bytes, tuple(partition))

    def abandon(self) -> None:
        """Let pyarrow end the file while it is still open. It is discarded."""
        with suppress(RetriableError, pa.ArrowException):  # what went wrong before is what the caller is told
            if self._parquet is not None:
                self._parquet.close()

    def _add(self, batch: pa.RecordBatch) -> None:
        if self._waiting_rows + batch.num_rows > MAX_GROUP_ROWS or self._waiting_bytes + batch.nbytes > MAX_GROUP_BYTES:
            self._flush()
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes

    def _flush(self) -> None:
        if self._waiting_rows:
            group = pa.Table.from_batches(self._waiting).select(self._schema.names).cast(self._schema)
            self._opened(group).write_table(group, row_group_size=group.num_rows)
            self._n_rows += group.num_rows
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def _opened(self, first: pa.Table | None) -> pq.ParquetWriter:
        """Return the writer; the first row group, if there is one, says which columns have a dictionary."""
        if self._parquet is None:
            writer = cast("Any", pq.ParquetWriter)  # its stub knows no lists of columns
            self._parquet = cast(
                "pq.ParquetWriter",
                writer(
                    self._writer.file,
                    self._schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=repetitive_columns(first) if first is not None else [],
                ),
            )
        return self._parquet


@contextmanager
def new_data_file(bucket: ObjectStore, folder: str, schema: Schema) -> Generator[ParquetFileWriter]:
    """Open a new data file, with a name that no other file has. It is discarded unless it was closed.

    Args:
        bucket: Where it is written.
        folder: Prefix of the table.
        schema: Its columns, and their field ids.
    """
    key = f"{folder}data/{uuid.uuid4()}.parquet"
    with bucket.writer(key) as writer:
        file = ParquetFileWriter(writer, key, arrow_schema(schema, with_field_ids=True))
        try:
            yield file
        finally:
            file.abandon()


def added_file(bucket: ObjectStore, file: WarehouseFile, schema: Schema, properties: dict[str, str]) -> DataFile:
    """Return what Iceberg records of a file that is added, with statistics from its footer.

    Raises:
        ObjectMissingError: The file is not in the bucket.
    """
    with bucket.open(file.key) as opened:
        footer = pq.read_metadata(opened)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return _data_file(bucket, file, cast("Any", statistics).to_serialized_dict())


def removed_file(bucket: ObjectStore, file: WarehouseFile) -> DataFile:
    """Return what Iceberg needs to know of a file that is removed."""
    return _data_file(bucket, file, {"record_count": file.n_rows})


def warehouse_file(bucket: ObjectStore, file: DataFile) -> WarehouseFile:
    """Return what the warehouse's users need to know of a file that Iceberg has on record."""
    partition = tuple(file.partition[position] for position in range(len(file.partition)))
    return WarehouseFile(key_of(bucket, file.file_path), file.record_count, file.file_size_in_bytes, partition)


def _data_file(bucket: ObjectStore, file: WarehouseFile, statistics: dict[str, Any]) -> DataFile:
    data_file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location_of(bucket, file.key),
        file_format=FileFormat.PARQUET,
        partition=Record(*file.partition),
        file_size_in_bytes=file.n_bytes,
        **statistics,
    )
    data_file.spec_id = 0
    return data_file
