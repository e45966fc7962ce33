"""Schema changes: which columns came, went, have another type or another place in the key than in the files before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from cubic_ingestion.domain.load import LoadSchema
from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.arrow_types import arrow_type
from cubic_ingestion.parsing.common_schema import common_schema


class ChangeKind(StrEnum):
    """What happened to a column."""

    ADDED = "added"
    """Files before do not have it; it reads as NULL there."""
    DROPPED = "dropped"
    """It reads as NULL from here on."""
    WIDENED = "widened"
    """Its new type holds every value of the old one, and is what the whole column reads as."""
    CHANGED = "changed"
    """Any other change of type; the whole column reads as what holds both, text if nothing else does."""
    REKEYED = "rekeyed"
    """It joined or left the primary key, or has another position in it."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A difference between two schemas of a table."""

    column: str
    kind: ChangeKind
    before: str | None
    """Type before, or position in the key; None if the column is new, or was not in the key."""
    after: str | None
    """Type after, or position in the key; None if the column is gone, or is no longer in the key."""

    def __str__(self) -> str:
        """Word the change."""
        return f"{self.column} {self.kind}: {self.before or 'none'} → {self.after or 'none'}"


def schema_changes(before: Iterable[Column], after: Iterable[Column]) -> list[SchemaChange]:
    """Compare two schemas; the order of columns is no difference."""
    old, new = {column.name: column for column in before}, {column.name: column for column in after}
    changes = [SchemaChange(name, ChangeKind.DROPPED, _text(old[name]), None) for name in old if name not in new]
    for name, column in new.items():
        if name not in old:
            changes.append(SchemaChange(name, ChangeKind.ADDED, None, _text(column)))
        elif not _is_same_type(old[name], column):
            kind = ChangeKind.WIDENED if _widens(old[name], column) else ChangeKind.CHANGED
            changes.append(SchemaChange(name, kind, _text(old[name]), _text(column)))
    return changes


def key_changes(before: Sequence[str], after: Sequence[str]) -> list[SchemaChange]:
    """Compare two primary keys, each the names of its columns in key order."""
    old, new = ({name: f"key column {at}" for at, name in enumerate(key, 1)} for key in (before, after))
    return [
        SchemaChange(name, ChangeKind.REKEYED, old.get(name), new.get(name))
        for name in dict.fromkeys([*before, *after])
        if old.get(name) != new.get(name)
    ]


def changes_between(before: LoadSchema, after: LoadSchema) -> list[SchemaChange]:
    """Compare the schemas of two loads. A key is compared only if it is known of both."""
    changes = schema_changes(before.columns, after.columns)
    if before.roles and after.roles:
        changes += key_changes(before.roles.primary_key, after.roles.primary_key)
    return changes


def refuse_changes(known: Sequence[Sequence[Column]], columns: Sequence[Column]) -> None:
    """Refuse a schema that does more than add, drop or widen columns, compared with every schema known.

    Raises:
        RejectedLoadError: ``schema_changed``.
    """
    for before in known:
        for change in schema_changes(before, columns):
            if change.kind is ChangeKind.CHANGED:
                raise RejectedLoadError(
                    "schema_changed",
                    f"Column '{change.column}' was {change.before} and is {change.after}, which does not hold all that "
                    "was there before; the table's schema is frozen. Have the vendor undo the change, or set "
                    'on_schema_change = "evolve" in its declaration and retry.',
                    column=change.column,
                )


def _is_same_type(one: Column, other: Column) -> bool:
    if one.source_type and other.source_type:
        return one.source_type == other.source_type
    # A file's timestamps choose their unit by what they need (docs/adr/0008).
    return one.type == other.type or all(column.type.startswith("timestamp") for column in (one, other))


def _widens(before: Column, after: Column) -> bool:
    types = [arrow_type(column.type) for column in (before, after)]
    return common_schema(pa.schema([("value", kind)]) for kind in types).field("value").type == types[1]


def _text(column: Column) -> str:
    return f"{column.source_type} ({column.type})" if column.source_type else column.type
