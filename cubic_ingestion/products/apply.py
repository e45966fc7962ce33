"""Net changes applied to rows: one row group of ``__current`` after another.

The rows are never sorted or hashed. The few changed keys are searched in them, so the cost is that of copying the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import NOWHERE, Positions, Values, indices, is_one_of
from cubic_ingestion.products.fold import KIND, ORPHANS, ORPHANS_IF_ABSENT, SUPPLIED, Kind
from cubic_ingestion.products.key_order import lower_bound


@dataclass(frozen=True)
class Applied:
    """Rows after their net changes, in key order."""

    rows: pa.Table
    n_orphans: int
    """Updates that had no row."""
    absent: pa.Table
    """Keys of updates that found no row: ``orphans`` lists these updates."""


def apply(rows: pa.Table, net: pa.Table, key: Sequence[str]) -> Applied:
    """Apply net changes to rows. Both are in key order, with one row per key.

    Args:
        rows: Rows of ``__current``. Their columns are in the net changes, too, with the same types.
        net: Net changes. The rows before and after a net change are among ``rows``, if there are any.
        key: Key columns.
    """
    place, found = lower_bound(rows, net, key)
    absent = net.filter(pa.array(~found & (net[ORPHANS_IF_ABSENT].to_numpy() > 0)))
    n_orphans = int(net[ORPHANS].to_numpy().sum() + absent[ORPHANS_IF_ABSENT].to_numpy().sum())
    if not net.num_rows:
        return Applied(rows, n_orphans, absent.select(key))
    stays = is_one_of(net[KIND], Kind.IMAGE) | (is_one_of(net[KIND], Kind.OVERLAY) & found)
    new = _new_rows(rows, net.filter(pa.array(stays)), np.where(found, place, NOWHERE)[stays])
    is_kept = np.ones(rows.num_rows, bool)
    is_kept[place[found]] = False
    kept = np.flatnonzero(is_kept)
    order = np.insert(kept, np.searchsorted(kept, place[stays]), rows.num_rows + np.arange(new.num_rows))
    return Applied(_taken(rows, new, order), n_orphans, absent.select(key))


def cut(net: pa.Table, firsts: pa.Table, key: Sequence[str]) -> list[pa.Table]:
    """Cut net changes by the first keys of files or row groups, one piece for each.

    The first piece has all keys before the second first key, and the last piece all keys from the last first key on.
    """
    bounds = [0, *lower_bound(net, firsts, key)[0].tolist()[1:], net.num_rows]
    return [net.slice(start, end - start) for start, end in pairwise(bounds)]


def _taken(rows: pa.Table, new: pa.Table, order: Positions) -> pa.Table:
    """Take rows from two tables, one column after the other, so that only one is in memory twice."""
    positions = indices(order)
    columns: list[Values] = [
        pa.concat_arrays([*old.chunks, *added.chunks]).take(positions)
        for old, added in zip(rows.columns, new.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _new_rows(rows: pa.Table, net: pa.Table, place: Positions) -> pa.Table:
    is_image = pa.array(is_one_of(net[KIND], Kind.IMAGE))
    columns: dict[str, Values] = {
        name: pc.if_else(
            pc.or_(is_image, pc.struct_field(net[SUPPLIED], name)), net[name], rows[name].take(indices(place))
        )
        for name in rows.column_names
    }
    return pa.table(columns, schema=rows.schema)
