"""What a decoded file is, whatever its format: named columns of text, in batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from cubic_ingestion.domain.table import Column


@dataclass(frozen=True, slots=True)
class Records:
    """A file's records, not yet typed."""

    columns: tuple[Column, ...]
    """Target columns in the order Springboard has them; names in lower case."""
    batches: Iterator[pa.RecordBatch]
    """All strings; one column per entry of ``columns``, in that order. Reading them may raise RejectedLoadError."""
    expected_rows: int | None = None
    """Record count that the vendor states, if any."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """What a person should know: columns that were not declared, declared ones that were missing."""
