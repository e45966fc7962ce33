"""The law of ``__current`` once more, row by row in plain Python, for the proof.

It shares no code with the fold, so that the two have no fault in common. A row is a dict by column name, and so is a
change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import pyarrow as pa

Row = dict[str, Any]
Key = tuple[Any, ...]
Origin = tuple[int, int]
"""A load and the number of a row in its file: which change it is."""

_NAN, _ROWS = float("nan"), 4_096
_STAMPS = ("header__change_seq", "header__timestamp", "load_id")


@dataclass(frozen=True)
class PlainLaw:
    """The law of one generation of a table."""

    key: Sequence[str]
    columns: Sequence[str]
    """Columns of the base table, key columns included."""
    is_full_image: bool
    files: Mapping[int, Sequence[str]]
    """Columns of the file of a load in the file's order; a file that is not listed has all columns."""

    def key_of(self, row: Row) -> Key:
        """Return the key of a row or a change."""
        return tuple(row[name] for name in self.key)

    def moves(self, changes: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
        """Yield pairs of a before-image and an update that have different keys.

        Args:
            changes: Before-images and updates in the total order.
        """
        sequence, unpaired = None, list[Row]()
        for change in changes:
            if change["header__change_seq"] != sequence:
                sequence, unpaired = change["header__change_seq"], []
            if change["header__change_oper"] == "B":
                unpaired.append(change)
            elif unpaired:
                before = unpaired.pop()
                if self.key_of(before) != self.key_of(change):
                    yield before, change

    def fold(self, rows: dict[Key, Row], changes: Iterable[Row], befores: Mapping[Origin, Row]) -> None:
        """Apply changes, which are in the total order, to rows.

        Args:
            rows: The rows by key; gets what they are afterwards.
            changes: All changes of these keys.
            befores: The before-images of updates that move a row.
        """
        for change in changes:
            key, operation = self.key_of(change), change["header__change_oper"]
            if operation == "I":
                rows[key] = self.image(change)
            elif operation == "D":
                rows.pop(key, None)
            elif operation == "U":
                before = befores.get(origin_of(change))
                row = rows.get(key) if before is None else rows.pop(self.key_of(before), self.image(before))
                if row is not None:
                    rows[key] = row | self._supplied(change)

    def image(self, change: Row) -> Row:
        """Return the row that an insert leaves."""
        return {name: change[name] for name in (*self.columns, *_STAMPS)}

    def _supplied(self, change: Row) -> Row:
        names = [*self.key, *_STAMPS, *(name for name in self.columns if self._is_supplied(change, name))]
        return {name: change[name] for name in names}

    def _is_supplied(self, change: Row, name: str) -> bool:
        columns, mask = self.files.get(change["load_id"]), change["header__change_mask"]
        if columns is not None and name not in columns:
            return False
        if mask is not None and columns is not None:
            return bool(_number(mask) >> list(columns).index(name) & 1)
        return self.is_full_image or change[name] is not None


def origin_of(change: Row) -> Origin:
    """Say which change it is."""
    return change["load_id"], change["row_number"]


def order_of(key: Key) -> tuple[tuple[bool, bool, Any], ...]:
    """Return what keys are sorted by: NULL after NaN, and NaN after all numbers."""
    return tuple((value is None, value is _NAN, value) for value in key)


def plain_rows(table: pa.Table) -> Iterator[Row]:
    """Yield rows of a table. Equal values are equal in Python, too: moments are numbers, and there is one NaN."""
    for batch in table.to_batches(max_chunksize=_ROWS):
        columns = [_plain(column) for column in batch.columns]
        for values in zip(*columns, strict=True):
            yield dict(zip(table.column_names, values, strict=True))


def _plain(column: "pa.Array[Any]") -> list[Any]:
    if pa.types.is_timestamp(column.type) or pa.types.is_time64(column.type):
        column = column.cast(pa.int64())
    values = column.to_pylist()
    if not pa.types.is_floating(column.type):
        return values
    return [_NAN if value is not None and isnan(value) else value for value in values]


def _number(mask: str) -> int:
    """Return a mask as a number: the first byte is the lowest, and zeros at the end may be missing."""
    digits = mask.lower().removeprefix("0x")
    return int.from_bytes(bytes.fromhex(digits + "0" * (len(digits) % 2)), "little")
