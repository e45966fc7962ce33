"""What the fold must know of a table, and the columns of its rows and events. No folding is here.

**Rows** have the columns of the base table and three stamps of the last change: ``header__change_seq``,
``header__timestamp`` and ``load_id``. **Events** are rows of ``__changes``: the same columns, and those of ``Event``.
Columns of rows and events with one name must have one type; the caller widens them first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import as_flags, is_one_of

STAMPS = ("header__change_seq", "header__timestamp", "load_id")
"""Columns of a row that every change overwrites."""


class Event(StrEnum):
    """Columns that an event has beside those of the base table."""

    SEQUENCE = "header__change_seq"
    OPERATION = "header__change_oper"
    TIMESTAMP = "header__timestamp"
    MASK = "header__change_mask"
    """May be missing. Hexadecimal text, NULL if the change has no mask."""
    LOAD = "load_id"
    FILE_TIME = "source_at"
    FILE_NAME = "identifier"
    ROW_NUMBER = "row_number"


COUNTER = "header__counter"
"""Column of LOAD rows: the place of their file among the LOAD files, by segment and counter. No table has it: what
begins so describes a change."""
TOTAL_ORDER = (Event.SEQUENCE, Event.FILE_TIME, Event.FILE_NAME, Event.ROW_NUMBER)
OPERATIONS = ("I", "U", "D", "B")
MASK_PATTERN = "^(0[xX])?[0-9A-Fa-f]*$"
WRONG_MASK = f"a change has a {Event.MASK.value} that is not hexadecimal"


@dataclass(frozen=True)
class TableLaw:
    """Key, columns and reading of updates of one generation of a table."""

    key: Sequence[str]
    columns: Sequence[str]
    """Columns of the base table over all files of the generation, key columns included."""
    is_full_image: bool = False
    """An update supplies all columns of its file, so NULL is a value."""
    file_columns: Mapping[int, Sequence[str]] = field(default_factory=dict[int, Sequence[str]])
    """Columns of the change file of a load, in the file's order and with its header columns.

    A file that is not listed has all columns. Files with a mask must be listed: bit ``n`` of a mask belongs to the
    ``n``-th column, counted from 0.
    """

    @property
    def row_columns(self) -> list[str]:
        """Columns of a row of ``__current``, without those that are the same in all rows."""
        return [*self.columns, *STAMPS]


def refused_loads(events: pa.Table) -> dict[int, str]:
    """Find the loads that cannot be applied, and why: an unknown operation, no sequence, a mask that cannot be read.

    Args:
        events: All events of these loads, not only those of some keys.
    """
    refused = ~is_one_of(events[Event.OPERATION], *OPERATIONS) | as_flags(pc.is_null(events[Event.SEQUENCE]))
    found = events.select([Event.LOAD, Event.SEQUENCE, Event.OPERATION]).filter(pa.array(refused))
    by_mask = dict.fromkeys(_wrongly_masked(events), WRONG_MASK)
    return by_mask | {
        load: why_refused(None if sequence is None else str(operation))
        for load, sequence, operation in zip(*(column.to_pylist() for column in found.columns), strict=True)
    }


def _wrongly_masked(events: pa.Table) -> list[int]:
    if Event.MASK not in events.column_names:
        return []
    masks = events[Event.MASK]
    is_wrong = as_flags(pc.is_valid(masks)) & ~as_flags(pc.match_substring_regex(masks, MASK_PATTERN))
    return np.unique(events[Event.LOAD].to_numpy()[is_wrong]).tolist()


def why_refused(operation: str | None) -> str:
    """Say why a load is refused, of which a change has an operation; None if a change of it has no sequence."""
    if operation is None:
        return f"a change has no {Event.SEQUENCE.value}"
    return f"a change has the unknown operation {operation!r}"


def foldable(events: pa.Table, refused: set[int], snapshot_at: datetime | None) -> pa.Table:
    """Keep the events that are folded: not of refused loads, and not of files older than the snapshot.

    Args:
        events: Some events of a generation.
        refused: Loads that ``refused_loads`` found, in these events or before.
        snapshot_at: Time of the snapshot by the ``.dfm``, or None if the ``.dfm`` does not state it.
    """
    keep = ~np.isin(events[Event.LOAD].to_numpy(), list(refused))
    if snapshot_at is not None:
        times = events[Event.FILE_TIME]
        keep &= as_flags(pc.greater_equal(times, pa.scalar(snapshot_at, times.type)))
    return events.filter(pa.array(keep))
