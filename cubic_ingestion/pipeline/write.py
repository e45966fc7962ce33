"""Write: typed batches to one Parquet file in Springboard, published at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.load import Load
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.encode import Encoder
from cubic_ingestion.ports import ObjectStore

LOAD_ID = b"load_id"
"""Key in a file's metadata of the load that wrote it; the column of that name says nothing in a file without rows."""

PREVIEW_ROWS, PREVIEW_CHARACTERS = 5, 1_000
ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 20 << 20
"""A row group is written before either is exceeded. There are at most three: being filled, waiting, and being encoded.
So memory stays bounded, whatever the file's size."""
COLUMN_BYTES = 6 << 10
"""What each column may add to that at least: Parquet keeps 1 to 2 kB for each column of each row group to the end."""
_ARRAY_BYTES = 512
"""What a column of a batch takes besides its values."""


@dataclass(frozen=True, slots=True)
class Written:
    """A published Parquet file."""

    n_rows: int
    n_bytes: int
    preview: pa.Table
    """The first rows."""


def write(
    springboard: ObjectStore,
    key: str,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    *,
    load_id: int | None = None,
    may_publish: Callable[[], bool] = lambda: True,
) -> Written | None:
    """Write batches as one zstd Parquet file that replaces what stood under the key, atomically.

    Args:
        springboard: The bucket.
        key: Key of the file.
        schema: Columns of the batches.
        batches: The rows; nothing is published if reading them raises.
        load_id: Value of the added column ``load_id``; None adds no column.
        may_publish: Asked once, after the last byte and before anything is visible: the fence of the claim.

    Returns:
        What was published, or None if ``may_publish`` said no.
    """
    full = schema if load_id is None else _schema_with_load_id(schema, load_id)
    with springboard.writer(key) as out:
        n_rows = 0
        preview: pa.Table | None = None
        with Encoder(out.file, full) as encoder:
            for group, is_last in _row_groups(schema, batches):
                encoder.add(group if load_id is None else _with_load_id(group, full, load_id), is_last=is_last)
                preview = preview_of(group) if preview is None else preview
                n_rows += group.num_rows
        if not may_publish():
            return None
        size_bytes = out.commit().size_bytes
        return Written(n_rows, size_bytes, schema.empty_table() if preview is None else preview)


def write_load(
    springboard: ObjectStore,
    claim: Claim,
    load: Load,
    key: str,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
) -> Written | None:
    """Write one load's rows under its key; None if the claim was lost meanwhile."""
    return write(springboard, key, schema, batches, load_id=load.id, may_publish=lambda: claim.holds(load))


def load_id_metadata(load_id: int) -> dict[bytes, bytes]:
    """Make the metadata of a file that a load writes."""
    return {LOAD_ID: str(load_id).encode()}


def _row_groups(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.Table, bool]]:
    """Gather batches into row groups, and say of each whether it is the last. A batch may have lost all its rows."""
    max_bytes = max(ROW_GROUP_BYTES, COLUMN_BYTES * len(schema))
    pending: list[pa.RecordBatch] = []
    n_rows = n_bytes = 0
    for batch in filter(len, batches):
        batch_bytes = batch.get_total_buffer_size()
        if pending and (n_rows >= ROW_GROUP_ROWS or n_bytes + batch_bytes > max_bytes):
            yield pa.Table.from_batches(pending, schema), False
            pending, n_rows, n_bytes = [], 0, 0
        pending.append(batch)
        n_rows += batch.num_rows
        n_bytes += batch_bytes
        if len(pending) * len(schema) * _ARRAY_BYTES > ROW_GROUP_BYTES and len(pending) > 1:
            pending = pa.Table.from_batches(pending, schema).combine_chunks().to_batches()
            n_bytes = sum(batch.get_total_buffer_size() for batch in pending)
    if pending:
        yield pa.Table.from_batches(pending, schema), True


def preview_of(rows: pa.Table) -> pa.Table:
    """Copy the first rows, and of long texts their beginning; a slice would hold the whole row group."""
    first = rows.slice(0, PREVIEW_ROWS)
    cut = [
        pc.utf8_slice_codeunits(values, 0, PREVIEW_CHARACTERS) if pa.types.is_string(values.type) else values
        for values in first.columns
    ]
    return pa.Table.from_arrays(cut, schema=rows.schema).take(pa.array(range(first.num_rows), pa.int64()))


def _schema_with_load_id(schema: pa.Schema, load_id: int) -> pa.Schema:
    full = schema.append(pa.field("load_id", pa.int64(), nullable=False))
    return full.with_metadata(load_id_metadata(load_id))


def _with_load_id(group: pa.Table, schema: pa.Schema, load_id: int) -> pa.Table:
    ids = pa.repeat(pa.scalar(load_id, pa.int64()), group.num_rows)
    return pa.Table.from_arrays([*group.columns, ids], schema=schema)
