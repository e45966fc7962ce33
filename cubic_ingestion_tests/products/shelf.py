"""A table's products in memory: what the platform does with files that come and go, without warehouse and ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.apply import apply, cut
from cubic_ingestion.products.fold import first_rows, fold_keys, in_key_order, moved_keys, net_changes, orphans
from cubic_ingestion.products.history import history
from cubic_ingestion.products.key_order import lower_bound
from cubic_ingestion.products.law import COUNTER, Event, TableLaw, foldable, refused_loads
from cubic_ingestion.products.pairs import linked_keys
from cubic_ingestion_tests.products.interpreter import ChangeFile, Key, LoadFile, Row, Version

STAMP_TYPES: dict[str, pa.DataType] = {
    "header__change_seq": pa.string(),
    "header__timestamp": pa.timestamp("us"),
    "load_id": pa.int64(),
}
EVENT_TYPES: dict[str, pa.DataType] = STAMP_TYPES | {
    "header__change_oper": pa.string(),
    "header__change_mask": pa.string(),
    "source_at": pa.timestamp("us"),
    "identifier": pa.string(),
    "row_number": pa.int64(),
}
LOAD_TYPES: dict[str, pa.DataType] = {
    "load_id": pa.int64(),
    "source_at": pa.timestamp("us"),
    COUNTER: pa.int64(),
    "row_number": pa.int64(),
}

File: TypeAlias = LoadFile | ChangeFile


class Shelf:
    """The rows of ``__current``, the log of changes, and the rows of LOAD files."""

    def __init__(
        self,
        law: TableLaw,
        types: Mapping[str, pa.DataType],
        *,
        snapshot_at: datetime | None = None,
        rows_per_group: int = 2,
    ) -> None:
        self.law = law
        self.snapshot_at = snapshot_at
        self.rows_per_group = rows_per_group
        self.refused: set[int] = set()
        self.n_orphans = 0
        """Orphans of all steps. This is their number in the end only if nothing was folded again."""
        self.listed = pa.schema({**types} | EVENT_TYPES).empty_table()
        """The orphans, kept up to date with each step."""
        self.highest = ""
        self.row_schema = pa.schema({**types} | STAMP_TYPES)
        self.rows = self.row_schema.empty_table()
        self.log = pa.schema({**types} | EVENT_TYPES).empty_table()
        self.loads = pa.schema({**types} | LOAD_TYPES).empty_table()

    def step(self, arriving: Sequence[File] = (), leaving: Sequence[File] = ()) -> None:
        """Let some files arrive and others leave, and bring the rows up to date in one merge."""
        key, law = self.law.key, self.law
        self.law = law = replace(
            law,
            file_columns={
                **law.file_columns,
                **{file.load_id: file.columns for file in arriving if isinstance(file, ChangeFile)},
            },
        )
        gone = [file.load_id for file in leaving]
        left, left_loads = _of_loads(self.log, gone), _of_loads(self.loads, gone)
        events = self._events(arriving)
        self.refused |= refused_loads(events).keys()
        events = foldable(events, self.refused, self.snapshot_at)
        loads = self._load_rows(arriving)
        is_late = pc.less_equal(events[Event.SEQUENCE], pa.scalar(self.highest))
        changed = pa.concat_tables([events.filter(is_late), left])
        self.log = pa.concat_tables([_of_loads(self.log, gone, invert=True), events])
        self.loads = pa.concat_tables([_of_loads(self.loads, gone, invert=True), loads])

        late = pa.concat_tables([each.select(key) for each in (changed, loads, left_loads)])
        keys = linked_keys(self.log, late, changed[Event.SEQUENCE].combine_chunks(), key)
        first = first_rows(law, _among(self.loads, keys, key), self.row_schema)[0]
        refolded = fold_keys(law, _among(self.log, keys, key), first, keys)
        fresh = _among(events, keys, key, invert=True)
        moving = _among(self.rows, moved_keys(law, fresh), key)
        absent = self._merge(in_key_order(law, refolded, net_changes(law, fresh, moving)))
        self.listed = pa.concat_tables(
            [
                _among(self.listed, keys, key, invert=True),
                orphans(law, _among(self.log, keys, key), first, keys),
                orphans(law, fresh, moving, absent),
            ]
        )
        self.highest = max([self.highest, *map(str, events[Event.SEQUENCE].to_pylist())])

    def by_key(self) -> dict[Key, Row]:
        """Return the rows by key. A key must occur once, and in order."""
        assert lower_bound(self.rows, self.rows, self.law.key)[0].tolist() == list(range(self.rows.num_rows))
        rows = self.rows.to_pylist()
        return {tuple(row[column] for column in self.law.key): row for row in rows}

    def orphans(self) -> set[tuple[int, int]]:
        """Return load and row number of each orphan."""
        found = orphans(self.law, self.log, self._first_rows()[0], self._keys())
        assert sorted(_rows_of(found)) == sorted(_rows_of(self.listed))
        return set(_rows_of(found))

    def duplicate_keys(self) -> set[Key]:
        """Return the keys that occur more than once in the LOAD files."""
        return {tuple(row.values()) for row in self._first_rows()[1].to_pylist()}

    def history(self, loaded_at: datetime) -> pa.Table:
        """Return all versions."""
        return history(self.law, self.log, self._first_rows()[0], loaded_at)

    def _merge(self, net: pa.Table) -> pa.Table:
        n_groups = max(-(-self.rows.num_rows // self.rows_per_group), 1)
        groups = [self.rows.slice(at * self.rows_per_group, self.rows_per_group) for at in range(n_groups)]
        firsts = pa.concat_tables([group.slice(0, 1) for group in groups]) if self.rows.num_rows else None
        pieces = [net] if firsts is None else cut(net, firsts, self.law.key)
        applied = [apply(group, piece, self.law.key) for group, piece in zip(groups, pieces, strict=True)]
        self.rows = pa.concat_tables([each.rows for each in applied])
        self.n_orphans += sum(each.n_orphans for each in applied)
        return pa.concat_tables([each.absent for each in applied])

    def _first_rows(self) -> tuple[pa.Table, pa.Table]:
        return first_rows(self.law, self.loads, self.row_schema)

    def _keys(self) -> pa.Table:
        return pa.concat_tables([self.log.select(self.law.key), self.loads.select(self.law.key)])

    def _events(self, files: Sequence[File]) -> pa.Table:
        rows = [
            row | {"load_id": file.load_id, "source_at": file.time, "identifier": file.name, "row_number": number}
            for file in files
            if isinstance(file, ChangeFile)
            for number, row in enumerate(file.rows, start=1)
        ]
        return pa.Table.from_pylist(rows[::-1], self.log.schema)  # no order may be relied on

    def _load_rows(self, files: Sequence[File]) -> pa.Table:
        rows = [
            row | {"load_id": file.load_id, "source_at": file.time, COUNTER: file.counter, "row_number": number}
            for file in files
            if isinstance(file, LoadFile)
            for number, row in enumerate(file.rows, start=1)
        ]
        return pa.Table.from_pylist(rows[::-1], self.loads.schema)


def as_versions(table: pa.Table, law: TableLaw) -> list[Version]:
    """Return a table of versions as the interpreter lists them."""
    return [
        Version(
            tuple(row[column] for column in law.key),
            {column: row[column] for column in law.columns},
            *(row[name] for name in ("valid_from_seq", "valid_to_seq", "valid_from", "valid_to")),
        )
        for row in table.to_pylist()
    ]


def _rows_of(events: pa.Table) -> list[tuple[int, int]]:
    return [(row["load_id"], row["row_number"]) for row in events.to_pylist()]


def _of_loads(table: pa.Table, load_ids: Sequence[int], *, invert: bool = False) -> pa.Table:
    flags: Any = pc.is_in(table["load_id"], value_set=pa.array(load_ids, pa.int64()))
    return table.filter(pc.invert(flags) if invert else flags)


def _among(table: pa.Table, keys: pa.Table, key: Sequence[str], *, invert: bool = False) -> pa.Table:
    return table.filter(pa.array(lower_bound(keys, table, key)[1] != invert))
