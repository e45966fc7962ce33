"""Preview: the first rows of a file in Springboard, for people to see what a partition looks like."""

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.errors import CubicIngestionError
from cubic_ingestion.pipeline.write import LOAD_ID, PREVIEW_ROWS, preview_of
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore

PREVIEW_COLUMNS = 20
_BUFFER_BYTES = 1 << 16


def first_rows(springboard: ObjectStore, location: str) -> pa.Table | None:
    """Read the first rows and columns of a file, in small pieces, however large its row groups are.

    Returns:
        The rows; None if the file cannot be read, which must not keep anybody from learning of the partition.
    """
    try:
        with springboard.open(location) as body:
            parquet = pq.ParquetFile(body, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            schema = parquet.schema_arrow
            columns = [name for name in schema.names if name != LOAD_ID.decode()][:PREVIEW_COLUMNS]
            first = next(parquet.iter_batches(PREVIEW_ROWS, columns=columns), None)
            if first is None:
                return pa.schema([schema.field(name) for name in columns]).empty_table()
            return preview_of(pa.Table.from_batches([first]))
    except (CubicIngestionError, ObjectChangedError, ObjectMissingError, pa.ArrowException):
        return None
