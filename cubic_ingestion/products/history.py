"""The versions of ``__history``: each state of each row, with the change that began it and the change that ended it."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import NOWHERE, Flags, Positions, Values, as_flags, indices
from cubic_ingestion.products.law import Event, TableLaw
from cubic_ingestion.products.timeline import BEFORE, DELETE, INSERT, ROW, Timeline


def history(law: TableLaw, events: pa.Table, rows: pa.Table, loaded_at: datetime) -> pa.Table:
    """Return all versions of some rows, by key and then by age.

    The columns are those of the base table and ``valid_from_seq``, ``valid_to_seq``, ``valid_from`` and ``valid_to``.
    Times never decrease per key: the time of a change is at least that of the changes of its key before it.

    Args:
        law: The table's law.
        events: All foldable events of some keys and of the keys that moves link to them.
        rows: The rows of these keys in the LOAD files, one per key (``first_rows``).
        loaded_at: Time of the snapshot, from which these rows are valid.
    """
    line = Timeline.of(law, rows, events)
    effects = _Effects.of(line)
    at_end = np.flatnonzero(effects.is_last)
    begins = at_end[effects.has_row[at_end]]
    ends = np.append(at_end, NOWHERE)[np.searchsorted(at_end, begins) + 1]
    ends[effects.key[ends] != effects.key[begins]] = NOWHERE
    ending = indices(ends)
    sequences = line.take(Event.SEQUENCE, line.order[effects.at])
    times = _never_decreasing(effects, line, loaded_at)
    columns: dict[str, Values] = {
        name: line.take(name, effects.sources(number)[begins]) for number, name in enumerate(law.columns)
    }
    return pa.table(
        columns
        | {"valid_from_seq": sequences.take(begins), "valid_to_seq": sequences.take(ending)}
        | {"valid_from": times.take(begins), "valid_to": times.take(ending)}
    )


@dataclass(frozen=True)
class _Effects:
    """What each event does to a row, by key and then in the total order."""

    line: Timeline
    at: Positions
    """Position of the event in the line."""
    key: Positions
    has_row: Flags
    """Whether the key has a row afterwards."""
    is_last: Flags
    """Whether it is the last of its key and sequence."""
    order: Positions
    n_unlinked: int

    @classmethod
    def of(cls, line: Timeline) -> "_Effects":
        had_row = np.append(False, line.has_row[:-1]) & (line.first != np.arange(len(line.first)))
        is_effect = np.isin(line.code, (ROW, INSERT)) | np.where(line.code == DELETE, had_row, line.has_row)
        unlinked = np.flatnonzero(is_effect & (line.code != BEFORE) & ~line.is_linked[line.key])
        linked = line.linked_effects
        at = np.append(unlinked, np.array([effect.at for effect in linked], np.int64))
        key = np.append(line.key[unlinked], np.array([effect.key for effect in linked], np.int64))
        has_row = np.append(line.has_row[unlinked], np.array([effect.sources is not None for effect in linked], bool))
        order = np.lexsort((line.place[at], key))
        at, key = at[order], key[order]
        codes = line.source[Event.SEQUENCE].combine_chunks().dictionary_encode("encode").indices.to_numpy()
        sequence = codes[line.order[at]]
        is_last = (np.diff(key, append=NOWHERE) != 0) | (np.diff(sequence, append=NOWHERE) != 0)
        return cls(line, at, key, has_row[order], is_last, order, len(unlinked))

    def sources(self, number: int) -> Positions:
        """Return where a column's value comes from after each effect. Meaningless if there is no row."""
        line, n_unlinked = self.line, self.n_unlinked
        latest = line.latest(line.supplied(line.law.row_columns[number]))
        linked = [NOWHERE if each.sources is None else int(each.sources[number]) for each in line.linked_effects]
        at = np.empty(len(self.order), np.int64)
        at[self.order] = self.at
        return np.append(line.order[latest[at[:n_unlinked]]], np.array(linked, np.int64))[self.order]


def _never_decreasing(effects: _Effects, line: Timeline, loaded_at: datetime) -> Values:
    """Return the time of each effect: at least that of all effects on its key before it. NULL is before all times."""
    times = line.take(Event.TIMESTAMP, line.order[effects.at])
    is_row = pa.array(line.code[effects.at] == ROW)
    times = pc.if_else(is_row, pa.scalar(loaded_at, times.type), times).combine_chunks()
    is_known = as_flags(pc.is_valid(times))
    distinct, rank = np.unique(times.drop_null().cast(pa.int64()).to_numpy(), return_inverse=True)
    ranks = np.zeros(len(times), np.int64)
    ranks[is_known] = rank + 1
    # Each key lies higher than all before it, so that a running maximum begins anew.
    rise = effects.key * (len(distinct) + 1)
    ranks = np.maximum.accumulate(ranks + rise) - rise
    latest = np.append(distinct, 0)[ranks - 1]
    return pa.array(latest, pa.int64(), mask=ranks == 0).cast(times.type)
