"""The law of ``__current`` in plain Python: a reference that the product is compared with.

The interpreter takes one generation of a table and applies its changes one after another. It shares no code with the
product. It is written to be read beside the law, and is slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Row = dict[str, Any]
Key = tuple[Any, ...]

OPERATIONS = {"I", "U", "D", "B"}


@dataclass(frozen=True)
class LoadFile:
    """A LOAD file with its rows in the order of the file."""

    time: datetime
    counter: int
    load_id: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class ChangeFile:
    """A change file. Each row has the three header columns, perhaps ``header__change_mask``, and the file's columns."""

    time: datetime
    name: str
    load_id: int
    columns: Sequence[str]
    """All columns of the file in order, header columns included. Bit ``n`` of a mask belongs to ``columns[n]``."""
    rows: Sequence[Row]


@dataclass(frozen=True)
class Generation:
    """All files of one snapshot of a table, and what is declared or known of them."""

    key: Sequence[str]
    columns: Sequence[str]
    """Columns of the base table over all files, key columns included."""
    loads: Sequence[LoadFile] = ()
    changes: Sequence[ChangeFile] = ()
    is_full_image: bool = False
    snapshot_at: datetime | None = None
    """Time of the snapshot by the ``.dfm``. Change files whose own time is earlier are not applied."""


@dataclass(frozen=True)
class Version:
    """One version of one row. A sequence of None means since the LOAD, or still valid."""

    key: Key
    values: Row
    from_seq: str | None
    to_seq: str | None
    from_time: datetime | None
    to_time: datetime | None


@dataclass
class Outcome:
    """What the law says of a generation."""

    rows: dict[Key, Row] = field(default_factory=dict[Key, Row])
    orphans: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """Load and row number of each update that had no row."""
    duplicate_keys: set[Key] = field(default_factory=set[Key])
    refused_loads: set[int] = field(default_factory=set[int])
    touches: list[tuple[Key, str | None, datetime | None, Row | None]] = field(
        default_factory=list[tuple[Key, str | None, datetime | None, Row | None]]
    )
    """Each effect in order: key, sequence, time, and the row after it, or None if it is removed."""


@dataclass(frozen=True)
class _Change:
    file: ChangeFile
    number: int
    row: Row

    @property
    def order(self) -> tuple[str, datetime, str, int]:
        return (self.row["header__change_seq"], self.file.time, self.file.name, self.number)

    @property
    def oper(self) -> str:
        return self.row["header__change_oper"]

    @property
    def seq(self) -> str:
        return self.row["header__change_seq"]


def interpret(generation: Generation, *, up_to: str | None = None) -> Outcome:
    """Apply the law to a generation, or only to its changes up to and including a sequence."""
    outcome = Outcome()
    _insert_loads(generation, outcome)
    outcome.refused_loads = {file.load_id for file in generation.changes if _is_refused(file)}
    changes = sorted(
        (
            _Change(file, number, row)
            for file in generation.changes
            if file.load_id not in outcome.refused_loads
            if generation.snapshot_at is None or file.time >= generation.snapshot_at
            for number, row in enumerate(file.rows, start=1)
            if up_to is None or row["header__change_seq"] <= up_to
        ),
        key=lambda change: change.order,
    )
    unpaired: dict[str, list[_Change]] = {}
    for change in changes:
        if change.oper == "B":
            unpaired.setdefault(change.seq, []).append(change)
        elif change.oper == "I":
            _put(generation, outcome, change, _image(generation, change))
        elif change.oper == "D":
            _remove(outcome, _key(generation, change.row), change)
        else:
            before = unpaired.get(change.seq)
            _update(generation, outcome, change, before.pop() if before else None)
    return outcome


def versions(outcome: Outcome, loaded_at: datetime) -> list[Version]:
    """List the versions of all rows. The rows of the LOAD are valid from the time of the snapshot."""
    found: list[Version] = []
    for key in dict.fromkeys(touch[0] for touch in outcome.touches):
        moments: list[tuple[str | None, datetime | None, Row | None]] = []
        latest: datetime | None = None
        for _, seq, time, row in (touch for touch in outcome.touches if touch[0] == key):
            times = [each for each in (latest, loaded_at if seq is None else time) if each is not None]
            latest = max(times) if times else None
            if moments and moments[-1][0] == seq:
                moments.pop()
            moments.append((seq, latest, row))
        for (seq, time, row), (to_seq, to_time, _) in zip(moments, [*moments[1:], (None, None, None)], strict=True):
            if row is not None:
                found.append(Version(key, row, seq, to_seq, time, to_time))
    return found


def _insert_loads(generation: Generation, outcome: Outcome) -> None:
    for file in sorted(generation.loads, key=lambda file: (file.time, file.counter)):
        for row in file.rows:
            key = _key(generation, row)
            if key in outcome.rows:
                outcome.duplicate_keys.add(key)
            values = {column: row.get(column) for column in generation.columns}
            stamps = {"header__change_seq": None, "header__timestamp": None, "load_id": file.load_id}
            outcome.rows[key] = values | stamps
            outcome.touches.append((key, None, None, outcome.rows[key]))


def _is_refused(file: ChangeFile) -> bool:
    return any(row["header__change_oper"] not in OPERATIONS or row["header__change_seq"] is None for row in file.rows)


def _update(generation: Generation, outcome: Outcome, change: _Change, before: _Change | None) -> None:
    key = _key(generation, change.row)
    supplied = {
        column: change.row.get(column) for column in generation.columns if _is_supplied(generation, change, column)
    }
    if before is not None and _key(generation, before.row) != key:
        old = _key(generation, before.row)
        image = outcome.rows.get(old, _image(generation, before))
        _remove(outcome, old, change)
        _put(generation, outcome, change, image | supplied)
    elif key in outcome.rows:
        _put(generation, outcome, change, outcome.rows[key] | supplied)
    else:
        outcome.orphans.add((change.file.load_id, change.number))


def _is_supplied(generation: Generation, change: _Change, column: str) -> bool:
    if column in generation.key:
        return True
    if column not in change.file.columns:
        return False
    mask = change.row.get("header__change_mask")
    if mask is not None:
        bits = int.from_bytes(bytes.fromhex(mask), "little")
        return bool(bits >> list(change.file.columns).index(column) & 1)
    return generation.is_full_image or change.row.get(column) is not None


def _put(generation: Generation, outcome: Outcome, change: _Change, values: Row) -> None:
    stamps = {
        "header__change_seq": change.seq,
        "header__timestamp": change.row["header__timestamp"],
        "load_id": change.file.load_id,
    }
    key = _key(generation, change.row)
    outcome.rows[key] = values | stamps
    outcome.touches.append((key, change.seq, change.row["header__timestamp"], outcome.rows[key]))


def _remove(outcome: Outcome, key: Key, change: _Change) -> None:
    if outcome.rows.pop(key, None) is not None:
        outcome.touches.append((key, change.seq, change.row["header__timestamp"], None))


def _image(generation: Generation, change: _Change) -> Row:
    return {column: change.row.get(column) for column in generation.columns}


def _key(generation: Generation, row: Row) -> Key:
    return tuple(row.get(column) for column in generation.key)
