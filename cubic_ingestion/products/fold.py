"""The net change of each key: what all its changes together make of its row.

Net changes are a table in key order, one row per key: the columns of a row, and

* ``net__kind``, a ``Kind``;
* ``net__supplied``: a struct with one flag per column;
* ``net__orphans``: the number of updates that certainly had no row, and ``net__orphans_if_absent``: the number of those
  that had none if the key has no row before these changes.

All functions are pure. Their memory is a multiple of their input, so the caller slices large inputs, by key or by
sequence.
"""

from enum import StrEnum

import numpy as np
import pyarrow as pa

from cubic_ingestion.products.arrays import NOWHERE, Values
from cubic_ingestion.products.key_order import sort_positions
from cubic_ingestion.products.law import COUNTER, Event, TableLaw
from cubic_ingestion.products.pairs import moves, starts, total_order
from cubic_ingestion.products.timeline import UPDATE, Timeline


class Kind(StrEnum):
    """What a net change does to the row of its key."""

    REMOVED = "removed"
    """There is no row afterwards."""
    IMAGE = "image"
    """This is the row afterwards, whatever it was before."""
    OVERLAY = "overlay"
    """The supplied values overwrite those of the row. Without a row, nothing changes."""


KIND, SUPPLIED, ORPHANS, ORPHANS_IF_ABSENT = "net__kind", "net__supplied", "net__orphans", "net__orphans_if_absent"


def moved_keys(law: TableLaw, events: pa.Table) -> pa.Table:
    """Return each key that a row moves from or to, once. ``net_changes`` needs the rows of these keys."""
    before, after = moves(events, total_order(events), law.key)
    keys = pa.concat_tables([events.take(before), events.take(after)]).select(law.key)
    ordered = keys.take(sort_positions(keys, law.key))
    return ordered.filter(pa.array(starts(ordered, law.key)))


def net_changes(law: TableLaw, events: pa.Table, rows: pa.Table | None = None) -> pa.Table:
    """Return the net change of each key that these events change.

    Args:
        law: The table's law.
        events: Foldable events of a batch, in any order, without those that ``fold_keys`` folds. An event that is not
            above all events folded before is late and goes there, so that no pair of ``B`` and ``U`` is cut.
        rows: The rows of ``moved_keys`` as they are before these events.
    """
    return _net(Timeline.of(law, events.select(law.row_columns).slice(0, 0) if rows is None else rows, events))


def fold_keys(law: TableLaw, events: pa.Table, rows: pa.Table, keys: pa.Table) -> pa.Table:
    """Fold some keys from all their events. The net changes are images and removals.

    Args:
        law: The table's law.
        events: All foldable events of these keys, in any order.
        rows: The rows of these keys in the LOAD files, one per key (``first_rows``).
        keys: The keys, in any order. A key without event and row has no row afterwards.
    """
    return _net(Timeline.of(law, rows, events, absent=keys))


def orphans(law: TableLaw, events: pa.Table, rows: pa.Table, keys: pa.Table) -> pa.Table:
    """Return the events that are updates without a row.

    The arguments are those of ``fold_keys``, or those of ``net_changes`` and the keys that ``apply`` found absent.
    """
    line = Timeline.of(law, rows, events, absent=keys)
    return events.take(line.order[line.is_orphan] - int((line.place < 0).sum()))


def first_rows(law: TableLaw, loads: pa.Table, schema: pa.Schema) -> tuple[pa.Table, pa.Table]:
    """Return one row per key of the LOAD files, in key order, and the keys that occur more than once.

    Args:
        law: The table's law.
        loads: Rows of all LOAD files, or those of some keys in all of them. The columns are those of the base table,
            ``load_id``, ``source_at``, ``COUNTER`` and ``row_number``.
        schema: Types of the columns of a row. A column that ``loads`` lacks is NULL.
    """
    ordered = loads.take(sort_positions(loads, [*law.key, Event.FILE_TIME, COUNTER, Event.ROW_NUMBER]))
    is_first = starts(ordered, law.key)
    is_last = np.append(is_first, True)[1:]
    last = ordered.filter(pa.array(is_last))
    types = {name: schema.field(name).type for name in law.row_columns}
    columns: dict[str, Values] = {
        name: last[name].cast(kind) if name in last.column_names else pa.nulls(last.num_rows, kind)
        for name, kind in types.items()
    }
    return pa.table(columns), ordered.filter(pa.array(is_last & ~is_first)).select(law.key)


def in_key_order(law: TableLaw, *nets: pa.Table) -> pa.Table:
    """Unite net changes of different keys."""
    both = pa.concat_tables(nets)
    return both.take(sort_positions(both, law.key))


def _net(line: Timeline) -> pa.Table:
    law, ends = line.law, line.ends
    kinds = np.where(line.is_unknown, Kind.OVERLAY, np.where(line.has_row, Kind.IMAGE, Kind.REMOVED))[ends]
    kinds[line.is_linked] = Kind.REMOVED
    linked = {effect.key: effect.sources for effect in line.linked_effects}
    images = {key: sources for key, sources in linked.items() if sources is not None}
    image_keys = np.array(list(images), np.int64)
    kinds[image_keys] = Kind.IMAGE
    n_orphans, n_conditional, n_updates = (
        np.bincount(line.key[flags], minlength=len(ends))
        for flags in (line.is_orphan, line.is_orphan_if_absent, line.code == UPDATE)
    )
    keep = (kinds != Kind.OVERLAY) | (n_updates > 0)
    columns: dict[str, Values] = {}
    supplied: list[Values] = []
    for number, column in enumerate(law.row_columns):
        latest = line.latest(line.supplied(column))[ends]
        sources = np.where((latest == NOWHERE) | (kinds == Kind.REMOVED), NOWHERE, line.order[latest])
        sources[image_keys] = [image[number] for image in images.values()]
        if column in law.key:
            sources = line.order[ends]
        columns[column] = line.take(column, sources[keep])
        supplied.append(pa.array((sources != NOWHERE)[keep]))
    columns[KIND] = pa.array(kinds[keep], pa.string())
    columns[SUPPLIED] = pa.StructArray.from_arrays(supplied, names=law.row_columns)
    columns[ORPHANS], columns[ORPHANS_IF_ABSENT] = pa.array(n_orphans[keep]), pa.array(n_conditional[keep])
    return pa.table(columns)
