"""Rows: a load's rows as a product has them, read from Springboard."""

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.catalog.united_rows import reads_as_text, united_rows
from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.domain.table import Column
from cubic_ingestion.ledger.records import StandingLoad
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.parsing.stored_types import NANOSECONDS
from cubic_ingestion.pipeline.write import LOAD_ID
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore, PartitionField
from cubic_ingestion.products.errors import LoadChangedError

BATCH_ROWS, BATCH_BYTES = 65_536, 8 << 20
"""Maximum number of rows, and approximate number of bytes, of one batch."""
SMALL_ROWS = 20_000
"""Maximum number of rows of a load that is read before its turn. Its rows must also fit into one batch."""
_CELL_BYTES = 32
"""A cell is taken for at least so large: in its file, a text that many rows have takes no room."""
SORTED_BY = ("source_at", "identifier", "row_number")
"""The total order of a product's rows within a partition; no two rows are equal in it and in ``load_id``."""

_LOAD_ID = LOAD_ID.decode()
_SNAPSHOT, _SOURCE_AT = pa.field("snapshot", pa.string()), pa.field("source_at", pa.timestamp("us"))
_ADDED = (
    pa.field("identifier", pa.string()),
    pa.field("load_id", pa.int64()),
    pa.field("row_number", pa.int64()),
    _SOURCE_AT,
)
_TAKEN = re.compile(rf"(?:snapshot|{'|'.join(field.name for field in _ADDED)}|.*{NANOSECONDS})_*", re.DOTALL)
"""Names that a product needs for itself, and those that a column of the vendor gets if it has such a name."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A load to put into a product: one version of its Parquet file."""

    load: StandingLoad
    etag: str
    place: tuple[str | int, ...]
    """The values of the product's partition."""


def product_schema(product: Product, schemas: Iterable[tuple[Column, ...]]) -> pa.Schema:
    """Return the columns of a product: those of its table over all files, and what says where a row came from."""
    own = common_schema(arrow_schema(columns) for columns in schemas)
    free = free_names(own.names)
    renamed = [field.with_name(free[field.name]) for field in own]
    return pa.schema([*renamed, *([_SNAPSHOT] if product.kind is ProductKind.CHANGES else []), *_ADDED])


def free_names(names: Iterable[str]) -> dict[str, str]:
    """Return what a product calls the columns of its table: by the same name, with ``_`` at its end if that is taken.

    Taken are the names of the columns that say where a row came from, and all names that end in ``__ns``, because
    companion columns end so. A name that is one of these with ``_`` at its end gets one more ``_``. So the name of a
    column never depends on other columns, and a column that comes later cannot take a name that old files use.

    >>> free_names(["sample_id", "row_number", "row_number_", "at__ns"])
    {'sample_id': 'sample_id', 'row_number': 'row_number_', 'row_number_': 'row_number__', 'at__ns': 'at__ns_'}
    """
    return {name: f"{name}_" if _TAKEN.fullmatch(name) else name for name in names}


def partitioning(product: Product) -> list[PartitionField]:
    """Return what a product is partitioned by: the snapshot, and the month of the file's own time."""
    month = PartitionField("source_at", "month")
    return [PartitionField("snapshot", "identity"), month] if product.kind is ProductKind.CHANGES else [month]


def place_of(product: Product, load: StandingLoad) -> tuple[str | int, ...]:
    """Return the values of the partition that a load's rows belong to."""
    month = (load.source_at.year - 1970) * 12 + load.source_at.month - 1
    return (_snapshot(load), month) if product.kind is ProductKind.CHANGES else (month,)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a load, as its file has them."""

    load: StandingLoad
    n_before: int
    """Rows of the load before these."""
    rows: pa.Table


def parts_of(springboard: ObjectStore, addition: Addition) -> Generator[Part]:
    """Read a load's rows, batch by batch.

    Raises:
        LoadChangedError: The file is another version by now, or has not the rows on record; what replaced it will be
            told as a change of its own.
    """
    load, n_rows = addition.load, 0
    try:
        with springboard.open(load.location, addition.etag) as file:
            # Threads take longer to begin than a small file takes to read.
            use_threads = load.n_rows > SMALL_ROWS
            parquet = pq.ParquetFile(file, pre_buffer=False)
            _require_own(parquet.schema_arrow, load)
            for batch in parquet.iter_batches(_batch_rows(parquet.metadata), use_threads=use_threads):
                yield Part(load, n_rows, pa.Table.from_batches([batch]))
                n_rows += batch.num_rows
    except (ObjectChangedError, ObjectMissingError, pa.ArrowException, OSError) as error:
        raise LoadChangedError(load.load_id, load.location) from error
    if n_rows != load.n_rows:
        raise LoadChangedError(load.load_id, load.location)


def is_one_batch(load: StandingLoad) -> bool:
    """Say whether a load's rows are likely to be one batch, by what is on record."""
    return load.n_rows <= SMALL_ROWS and load.n_rows * len(load.columns) * _CELL_BYTES <= BATCH_BYTES


def _batch_rows(file: pq.FileMetaData) -> int:
    """Return how many rows of a file are a batch."""
    n_bytes = sum(file.row_group(number).total_byte_size for number in range(file.num_row_groups))
    per_row = max(n_bytes / max(file.num_rows, 1), file.num_columns * _CELL_BYTES)
    return int(min(BATCH_ROWS, max(BATCH_BYTES / per_row, 1)))


def _require_own(schema: pa.Schema, load: StandingLoad) -> None:
    """Make sure that a file is what is on record of a load: another load's rows may stand there, and not be yet."""
    writer = (schema.metadata or {}).get(LOAD_ID, str(load.load_id).encode())
    own = [name for name in schema.names if name != _LOAD_ID]
    if writer != str(load.load_id).encode() or (load.columns and own != [column.name for column in load.columns]):
        raise LoadChangedError(load.load_id, load.location)


def product_rows(parts: Sequence[Part], schema: pa.Schema) -> pa.Table:
    """Return rows of some loads with the product's columns, in their order; the files have the same columns."""
    lengths = [part.rows.num_rows for part in parts]
    of_part = np.repeat(np.arange(len(parts)), lengths)
    first_rows = np.cumsum([0, *lengths[:-1]])
    position = np.arange(sum(lengths)) - first_rows[of_part]

    def repeated(values: list[Any], kind: pa.DataType) -> "pa.Array[Any]":
        return pa.array(values, kind).take(pa.array(of_part, pa.int64()))

    origin: dict[str, pa.Array[Any]] = {
        "snapshot": repeated([_snapshot(part.load) for part in parts], pa.string()),
        "identifier": repeated([part.load.identifier for part in parts], pa.string()),
        "row_number": pa.array(position + np.array([part.n_before for part in parts])[of_part] + 1, pa.int64()),
        "source_at": repeated([part.load.source_at.replace(tzinfo=None) for part in parts], _SOURCE_AT.type),
    }
    rows = pa.concat_tables([part.rows for part in parts]).combine_chunks()
    free = {**free_names(rows.column_names), _LOAD_ID: _LOAD_ID}
    rows = rows.rename_columns([free[name] for name in rows.column_names])
    present = {*origin, *rows.column_names}
    names = [name for name in schema.names if name in present]
    columns = [origin[name] if name in origin else rows[name] for name in names]
    return united(pa.Table.from_arrays(columns, names), schema)


def united(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Cast rows to a schema that holds all their values; columns that they lack are NULL."""
    if reads_as_text([rows.schema], schema):
        return united_rows([rows], schema)
    present, nulls = set(rows.column_names), pa.nulls(rows.num_rows)
    columns = [rows[name] if name in present else nulls for name in schema.names]
    return pa.Table.from_arrays(
        [column.cast(kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )


def _snapshot(load: StandingLoad) -> str:
    return snapshot_id(load.snapshot) if load.snapshot else ""
