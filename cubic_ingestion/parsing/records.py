"""What a decoded file is, whatever its format: named columns, in batches, as text or on the way to their types."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from cubic_ingestion.domain.table import Column, ColumnRoles


@dataclass(frozen=True, slots=True)
class Records:
    """A file's records, not yet all typed."""

    columns: tuple[Column, ...]
    """Target columns in the order Springboard has them; names in lower case."""
    batches: Iterator[pa.RecordBatch]
    """One column per entry of ``columns``, in that order. Reading them may raise RejectedLoadError.

    A column is text, unless the reader was asked for types: then some columns have theirs, and the same one may be text
    in a later batch. Timestamps may also be nanoseconds where their type is microseconds.
    """
    expected_rows: int | None = None
    """Record count that the vendor states, if any."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """What a person should know: columns that were not declared, declared ones that were missing."""
    may_state_utc: bool = False
    """Timestamps that are text may end in ``Z`` or ``+00:00``, as JSON's do."""
    n_source_errors: int = 0
    """Records that the vendor says it could not write (errorCount)."""
    roles: ColumnRoles | None = None
    """Roles of the columns by the file's sidecar; None if there is no sidecar."""
