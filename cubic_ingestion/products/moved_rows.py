"""Moved rows: the sequences whose before-images and updates have more than one key. Only these can move a row."""

from collections.abc import Sequence

import pyarrow as pa

from cubic_ingestion.parsing.stored_types import NANOSECONDS
from cubic_ingestion.products.current_rows import Shape, in_transit
from cubic_ingestion.products.law import Event
from cubic_ingestion.products.workspace import Workspace, quoted

_SEQUENCES = pa.schema([pa.field(Event.SEQUENCE, pa.string())])


def moving_sequences(workspace: Workspace, events: str, shape: Shape, where: str) -> pa.Table:
    """Return the sequences that can move a row.

    Args:
        workspace: Where the events are.
        events: Name of their table, which has at least the key, the sequence and the operation.
        shape: Whose key.
        where: Which events count.
    """
    sequence, operation = quoted(Event.SEQUENCE), quoted(Event.OPERATION)
    query = (
        f"SELECT {sequence} FROM {events} WHERE {operation} IN ('B', 'U') AND {where} GROUP BY ALL "  # noqa: S608 - quoted
        f"HAVING count(*) FILTER ({operation} = 'B') > 0 AND count(DISTINCT struct_pack({_packed(shape)})) > 1"
    )
    return workspace.rows(query, _SEQUENCES)


def stored_key(shape: Shape) -> Sequence[str]:
    """Return the columns that a key is stored in."""
    key = shape.law.key
    names = in_transit(shape.events).names
    return [each for column in key for each in (column, column + NANOSECONDS) if each in names]


def _packed(shape: Shape) -> str:
    return ", ".join(f"k{number} := {quoted(column)}" for number, column in enumerate(stored_key(shape)))
