"""Repetitive columns: those that a Parquet file keeps a dictionary of, because that pays."""

import pyarrow as pa
import pyarrow.compute as pc

SAMPLE_ROWS = 16_384
"""Rows that decide."""
_MOST_DISTINCT = 0.5
_MIN_ROWS = 512


def repetitive_columns(first: pa.Table) -> list[str]:
    """Name the columns with few distinct values; none of a few rows, where a dictionary is more work than it saves.

    Args:
        first: The first row group of a file.
    """
    if first.num_rows < _MIN_ROWS:
        return []
    sample = first.slice(0, SAMPLE_ROWS)
    most = _MOST_DISTINCT * sample.num_rows
    return [
        field.name
        for field, values in zip(sample.schema, sample.columns, strict=True)
        if not pa.types.is_boolean(field.type) and pc.count_distinct(values).as_py() <= most
    ]
