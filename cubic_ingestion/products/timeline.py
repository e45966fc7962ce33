"""Rows and events of some keys in one line: by key, then in the total order of the law.

A row after an event is given by positions: for each column, the row or event that its value comes from. So Arrow copies
the values of any type, once, at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import NOWHERE, Flags, Positions, Values, indices
from cubic_ingestion.products.law import OPERATIONS, Event, TableLaw
from cubic_ingestion.products.pairs import key_ids, moves, total_order
from cubic_ingestion.products.supplied import supplied_by_updates

INSERT, UPDATE, DELETE, BEFORE, ROW = range(5)
"""Codes of the operations, in the order of ``OPERATIONS``, and of a row that was there before all events."""


@dataclass(frozen=True)
class Effect:
    """What one event of a linked key does."""

    at: int
    """Position of the event in the line."""
    key: int
    """Number of the key that it affects."""
    sources: Positions | None
    """The row after it: positions in ``source``, one per row column. None if the row is removed."""


@dataclass(frozen=True)
class Timeline:
    """Rows and events of some keys. Arrays are in the order of the line unless they say otherwise."""

    law: TableLaw
    source: pa.Table
    """Absent keys, rows, then events, with the columns of a row, in the order in which they were given."""
    order: Positions
    """Position in ``source`` of each member of the line."""
    place: Positions
    """Place in the total order of events. Before all events: -1 for a row, -2 for an absent key."""
    code: Positions
    key: Positions
    """Number of the key, from 0, in key order."""
    is_supplied: Callable[[str], Flags]
    """Says of each event, as given, whether it supplies a column if it is an update."""
    moved: dict[int, int]
    """Positions in the line: each ``U`` that moves a row, and its ``B``."""

    @classmethod
    def of(cls, law: TableLaw, rows: pa.Table, events: pa.Table, absent: pa.Table | None = None) -> "Timeline":
        """Bring rows and events in line.

        Args:
            law: The table's law.
            rows: At most one row per key.
            events: Foldable events.
            absent: Keys that have no row before all events, unless one is given.
        """
        events = events.combine_chunks()  # sorting and copying many small chunks takes twice as long
        absent = rows.select(law.key).slice(0, 0) if absent is None else absent.select(law.key)
        tables = [absent, rows.select(law.row_columns), events.select(law.row_columns)]
        source = pa.concat_tables(tables, promote_options="default").select(law.row_columns)
        n_before = absent.num_rows + rows.num_rows
        places = total_order(events)
        befores, updates = moves(events, places, law.key)
        place = np.concatenate([np.full(absent.num_rows, -2), np.full(rows.num_rows, -1), places])
        codes = np.concatenate([np.full(absent.num_rows, DELETE), np.full(rows.num_rows, ROW), _codes(events)])
        keys = key_ids(source, law.key)
        order = np.lexsort((place, keys))
        position = np.empty(len(order), np.int64)
        position[order] = np.arange(len(order))
        moved = zip(position[n_before + updates].tolist(), position[n_before + befores].tolist(), strict=True)
        is_supplied = supplied_by_updates(law, events)
        return cls(law, source, order, place[order], codes[order], keys[order], is_supplied, dict(moved))

    @cached_property
    def first(self) -> Positions:
        """Position of the first member with the same key."""
        return np.flatnonzero(np.diff(self.key, prepend=NOWHERE))[self.key]

    @cached_property
    def ends(self) -> Positions:
        """Position of the last member of each key, by the key's number."""
        return np.flatnonzero(np.diff(self.key, append=NOWHERE))

    @cached_property
    def is_linked(self) -> Flags:
        """Say of each key, by its number, whether a row moves from it or to it."""
        linked = np.zeros(len(self.ends), bool)
        linked[self.key[[*self.moved, *self.moved.values()]]] = True
        return linked

    @cached_property
    def reset(self) -> Positions:
        """Position of the latest row, insert or delete of the key. Nothing before it matters."""
        return self.latest(np.isin(self.code, (ROW, INSERT, DELETE)))

    @cached_property
    def is_unknown(self) -> Flags:
        """Whether it is unknown if the key has a row: no row was given, and nothing resets it."""
        return self.reset == NOWHERE

    @cached_property
    def has_row(self) -> Flags:
        """Whether the key certainly has a row after this member. Not for linked keys."""
        return ~self.is_unknown & (self.code[self.reset] != DELETE)

    def latest(self, flags: Flags) -> Positions:
        """Return the position of the latest flagged member of the key, this one included, or ``NOWHERE``."""
        found = np.maximum.accumulate(np.where(flags, np.arange(len(flags)), NOWHERE))
        return np.where(found >= self.first, found, NOWHERE)

    def supplied(self, column: str) -> Flags:
        """Say of each member whether it gives a column a value. NULL may be that value."""
        by_update = np.ones(len(self.order), bool)
        of_events = self.is_supplied(column)
        by_update[len(by_update) - len(of_events) :] = of_events
        return np.isin(self.code, (ROW, INSERT)) | ((self.code == UPDATE) & by_update[self.order])

    @cached_property
    def linked_effects(self) -> list[Effect]:
        """All effects on linked keys, in the total order. The linked keys are folded together."""
        return list(self._fold_linked_keys()) if self.moved else []

    @cached_property
    def is_orphan(self) -> Flags:
        """Whether the member is an update that certainly has no row."""
        has_effect = np.zeros(len(self.order), bool)
        has_effect[[effect.at for effect in self.linked_effects]] = True
        is_linked = self.is_linked[self.key]
        has_no_row = np.where(is_linked, ~has_effect, ~self.is_unknown & ~self.has_row)
        return (self.code == UPDATE) & has_no_row

    @cached_property
    def is_orphan_if_absent(self) -> Flags:
        """Whether the member is an update that has no row if the key has none before all events."""
        return (self.code == UPDATE) & self.is_unknown & ~self.is_linked[self.key]

    def _fold_linked_keys(self) -> Iterator[Effect]:
        members = np.flatnonzero(self.is_linked[self.key])
        members = members[np.argsort(self.place[members], kind="stable")]
        columns = self.law.row_columns
        supplied = np.stack([self.supplied(column)[members] for column in columns], axis=1)
        rows: dict[int, Positions] = {}
        for at, gives in zip(members.tolist(), supplied, strict=True):
            key, code = int(self.key[at]), int(self.code[at])
            own = np.full(len(columns), self.order[at])
            if code in {ROW, INSERT}:
                rows[key] = own
            elif code == UPDATE and at in self.moved:
                before = self.moved[at]
                old = int(self.key[before])
                image = rows.pop(old, None)
                if image is None:
                    image = np.full(len(columns), self.order[before])
                else:
                    yield Effect(at, old, None)
                rows[key] = np.where(gives, own, image)
            elif code == UPDATE and key in rows:
                rows[key] = np.where(gives, own, rows[key])
            elif code == DELETE and key in rows:
                del rows[key]
            else:
                continue
            yield Effect(at, key, rows.get(key))

    def take(self, column: str, positions: Positions) -> Values:
        """Return the values of a column at positions of ``source``, and NULL at ``NOWHERE``."""
        return self.source[column].take(indices(positions))


def _codes(events: pa.Table) -> Positions:
    return pc.index_in(events[Event.OPERATION], value_set=pa.array(OPERATIONS)).to_numpy()
