"""What a test reads, in plain Python."""

import io
from collections.abc import Sequence
from typing import Any

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.json_records import read_json
from cubic_ingestion.parsing.records import Records

Row = dict[str, Any]


def columns(*names: str) -> tuple[Column, ...]:
    """Build string columns."""
    return tuple(Column(name, "string") for name in names)


def csv_rows(text: str | bytes, declared: Sequence[Column] = (), **options: Any) -> list[Row]:
    """Read delimited text to the end."""
    return rows(delimited(text, declared, **options))


def delimited(text: str | bytes, declared: Sequence[Column] = (), **options: Any) -> Records:
    """Open delimited text."""
    data = text.encode() if isinstance(text, str) else text
    return read_delimited(io.BytesIO(data), columns=declared, **options)


def json_rows(text: str | bytes, declared: Sequence[Column] = (), **options: Any) -> list[Row]:
    """Read JSON to the end."""
    return rows(json_records(text, declared, **options))


def json_records(text: str | bytes, declared: Sequence[Column] = (), **options: Any) -> Records:
    """Open JSON."""
    data = text.encode() if isinstance(text, str) else text
    return read_json(io.BytesIO(data), columns=declared, **options)


def rows(records: Records) -> list[Row]:
    """Collect the rows of all batches."""
    return [row for batch in records.batches for row in batch.to_pylist()]
