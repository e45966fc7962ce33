"""Pairs of a before-image and its update, the keys that rows move between, and all keys that a late event affects."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import Flags, Positions, Values, is_one_of
from cubic_ingestion.products.key_order import same_keys, sort_positions
from cubic_ingestion.products.law import TOTAL_ORDER, Event


def total_order(events: pa.Table) -> Positions:
    """Return the place of each event in the total order, counted from 0."""
    places = np.empty(events.num_rows, np.int64)
    places[sort_positions(events, TOTAL_ORDER)] = np.arange(events.num_rows)
    return places


def moves(events: pa.Table, places: Positions, key: Sequence[str]) -> tuple[Positions, Positions]:
    """Find the pairs whose keys differ.

    Args:
        events: At least all ``B`` and ``U`` of each sequence that occurs.
        places: Place of each event in the total order.
        key: Key columns.

    Returns:
        Positions of the ``B`` and of the ``U`` of each move, in the total order of the ``U``.
    """
    before, after = _pairs(events, places)
    is_move = ~same_keys(events.take(before), events.take(after), key)
    before, after = before[is_move], after[is_move]
    order = np.argsort(places[after])
    return before[order], after[order]


def linked_keys(log: pa.Table, keys: pa.Table, sequences: Values, key: Sequence[str]) -> pa.Table:
    """Find the keys that must be folded again because events or rows of a LOAD arrived late or left.

    These are the given keys, all keys of before-images and updates that have one of the sequences (their pairs may be
    others now), and all keys that moves link to these, directly or through other keys.

    Args:
        log: At least all ``B`` and ``U`` of the generation as they are now. None are needed if there is no ``B``.
        keys: Keys of what arrived late or left. A key may occur more than once.
        sequences: Sequences of the ``B`` and ``U`` that arrived late or left.
        key: Key columns.

    Returns:
        Each key once, in key order. The columns are the key columns.
    """
    shared = log.filter(pc.is_in(log[Event.SEQUENCE], value_set=sequences))
    shared = shared.filter(pa.array(is_one_of(shared[Event.OPERATION], "B", "U")))
    before, after = moves(log, total_order(log), key)
    every = pa.concat_tables([each.select(key) for each in (keys, shared, log.take(before), log.take(after))])
    ids = key_ids(every, key)
    n_seeds, n_moves = keys.num_rows + shared.num_rows, len(before)
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for old, new in zip(ids[n_seeds : n_seeds + n_moves].tolist(), ids[n_seeds + n_moves :].tolist(), strict=True):
        neighbours[old].append(new)
        neighbours[new].append(old)
    reached, waiting = set[int](), set[int](ids[:n_seeds].tolist())
    while waiting:
        reached |= waiting
        waiting = {neighbour for each in waiting for neighbour in neighbours[each]} - reached
    examples = np.unique(ids, return_index=True)[1]
    return every.take(examples[np.array(sorted(reached), np.int64)])


def key_ids(keys: pa.Table, key: Sequence[str]) -> Positions:
    """Number the keys of a table in key order, from 0. Rows with the same key have the same number."""
    order = sort_positions(keys, key)
    ids = np.empty(keys.num_rows, np.int64)
    ids[order] = np.cumsum(starts(keys.take(order), key)) - 1
    return ids


def starts(ordered: pa.Table, columns: Sequence[str]) -> Flags:
    """Say of each row of an ordered table whether it differs from the row before it in some columns."""
    different = np.ones(ordered.num_rows, bool)
    different[1:] = ~same_keys(ordered.slice(1), ordered.slice(0, max(ordered.num_rows - 1, 0)), columns)
    return different


def _pairs(events: pa.Table, places: Positions) -> tuple[Positions, Positions]:
    """Pair each ``U`` with the nearest unpaired ``B`` before it that has the same sequence.

    These are brackets: ``B`` opens, ``U`` closes. A bracket closes the nearest open one of its depth.
    """
    operations = events[Event.OPERATION]
    is_before = is_one_of(operations, "B")
    if not is_before.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    sequences = events[Event.SEQUENCE].combine_chunks().dictionary_encode().indices.to_numpy()
    is_shared = np.isin(sequences, np.unique(sequences[is_before]))
    is_bracket = is_shared & is_one_of(operations, "B", "U")
    brackets = np.flatnonzero(is_bracket)
    brackets = brackets[np.lexsort((places[brackets], sequences[brackets]))]
    groups = np.unique(sequences[brackets], return_inverse=True)[1]
    opens = is_before[brackets]
    depth, unpaired = _depths(np.where(opens, 1, -1), groups)
    by_depth = np.lexsort((np.arange(len(brackets)), depth, groups))
    closing = np.flatnonzero(~opens[by_depth] & ~unpaired[by_depth])
    return brackets[by_depth[closing - 1]], brackets[by_depth[closing]]


def _depths(steps: Positions, groups: Positions) -> tuple[Positions, Flags]:
    """Return the depth of each bracket within its group, from 1, and whether it closes nothing."""
    sums = np.cumsum(steps)
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    height = sums - (sums[first] - steps[first])[groups]
    # Each group lies lower than all before it, so that a running minimum begins anew.
    drop = groups * (2 * len(steps) + 1)
    lowest = np.minimum(np.minimum.accumulate(height - drop) + drop, 0)
    lowest_before = np.where(np.diff(groups, prepend=-1) != 0, 0, np.roll(lowest, 1))
    unpaired = (steps < 0) & (height < lowest_before)
    return np.where(unpaired, 0, height - lowest + (steps < 0)), unpaired
