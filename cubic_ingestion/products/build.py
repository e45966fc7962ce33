"""Build: the rows of ``__current`` from all LOAD rows and all changes of a generation, whatever their number.

Both are sorted by key, on disk. Then they go past side by side, some thousand rows at a time, and the changes of each
key are folded. Keys that moves link are folded before, together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.ports import Keep
from cubic_ingestion.products.apply import apply
from cubic_ingestion.products.change_log import ChangeLog
from cubic_ingestion.products.current_rows import Shape
from cubic_ingestion.products.fold import first_rows, fold_keys, in_key_order
from cubic_ingestion.products.full_load import FullLoad
from cubic_ingestion.products.key_order import lower_bound
from cubic_ingestion.products.keyed_streams import side_by_side
from cubic_ingestion.products.law import COUNTER, MASK_PATTERN, OPERATIONS, WRONG_MASK, Event, why_refused
from cubic_ingestion.products.moved_rows import moving_sequences
from cubic_ingestion.products.pairs import linked_keys
from cubic_ingestion.products.scan import Keys
from cubic_ingestion.products.workspace import Workspace, quoted

_LOADS, _EVENTS = "loads", "events"
_TOTALS = pa.schema([pa.field("n", pa.int64()), pa.field("highest", pa.string())])
_REFUSED = pa.schema([pa.field("load_id", pa.int64()), pa.field("operation", pa.string())])


@dataclass(slots=True)
class Build:
    """A generation in a workspace, ready to be folded.

    Args:
        workspace: Where its rows and changes are.
        shape: Its columns and law.
        snapshot_at: The snapshot's time, if the ``.dfm`` states it.
    """

    workspace: Workspace
    shape: Shape
    snapshot_at: datetime | None
    refused: Mapping[int, str] = field(default_factory=dict[int, str])
    """Loads whose changes are not applied, and why."""
    n_rows: int = 0
    """Rows and changes."""
    n_orphans: int = 0
    n_duplicate_keys: int = 0
    """Keys that occur more than once in the LOAD files."""

    def read(self, full_load: FullLoad, log: ChangeLog, keep: Keep) -> None:
        """Read everything."""
        schema = pa.schema([*self.shape.load_rows, pa.field(COUNTER, pa.int64())])
        self.n_rows = self.workspace.store(_LOADS, schema, full_load.rows(self.shape.load_rows, keep))
        self.n_rows += self.workspace.store(_EVENTS, self.shape.events, log.rows(self.shape.events, keep))
        operations = ", ".join(f"'{each}'" for each in OPERATIONS)
        operation, sequence = quoted(Event.OPERATION), quoted(Event.SEQUENCE)
        named = f"CASE WHEN {sequence} IS NOT NULL THEN coalesce({operation}, 'None') END"
        wrong = f"{sequence} IS NULL OR {operation} IS NULL OR {operation} NOT IN ({operations})"
        query = f"SELECT load_id, min({named}) AS operation FROM {_EVENTS} WHERE {wrong} GROUP BY load_id"  # noqa: S608 - names are quoted
        found = self.workspace.rows(query, _REFUSED).to_pylist()
        wrong = f"{quoted(Event.MASK)} IS NOT NULL AND NOT regexp_matches({quoted(Event.MASK)}, '{MASK_PATTERN}')"
        query = f"SELECT DISTINCT load_id, '' AS operation FROM {_EVENTS} WHERE {wrong}"  # noqa: S608 - names are quoted
        masked = self.workspace.rows(query, _REFUSED).to_pylist()
        self.refused = {row["load_id"]: WRONG_MASK for row in masked}
        self.refused |= {row["load_id"]: why_refused(row["operation"]) for row in found}

    @property
    def highest(self) -> str:
        """The highest sequence of all changes that are folded; empty if there are none."""
        query = f"SELECT count(*) AS n, max({quoted(Event.SEQUENCE)}) AS highest FROM {_EVENTS} WHERE {self._foldable}"  # noqa: S608 - names are quoted
        return str(self.workspace.rows(query, _TOTALS)["highest"][0].as_py() or "")

    @property
    def has_before_images(self) -> bool:
        """Whether any change is a before-image."""
        condition = f"{quoted(Event.OPERATION)} = 'B' AND {self._foldable}"
        query = f"SELECT count(*) AS n, NULL::VARCHAR AS highest FROM {_EVENTS} WHERE {condition}"  # noqa: S608 - names are quoted
        return bool(self.workspace.rows(query, _TOTALS)["n"][0].as_py())

    def rows(self) -> Iterator[pa.Table]:
        """Yield the rows in key order; counts orphans and duplicate keys."""
        law, shape, key = self.shape.law, self.shape, self.shape.law.key
        linked, linked_net = self._linked()
        loads = self.workspace.sorted_rows(_LOADS, key)
        events = self.workspace.sorted_rows(_EVENTS, key, where=self._foldable)
        schemas = (self.workspace.schemas[_LOADS], shape.events)
        for load_rows, changes in side_by_side(loads, events, schemas, key):
            rows, duplicates = first_rows(law, load_rows, shape.rows)
            self.n_duplicate_keys += duplicates.num_rows
            if not changes.num_rows and not linked_net.num_rows:
                yield rows
                continue
            own = linked.filter(changes, invert=True)
            keys = Keys.of(own, key)
            net = fold_keys(law, own, keys.filter(rows), keys.table)
            n_linked = max(_n_through(linked_net, each, key) for each in (load_rows, changes))
            net, linked_net = in_key_order(law, net, linked_net.slice(0, n_linked)), linked_net.slice(n_linked)
            yield self._applied(rows, net)
        if linked_net.num_rows:
            yield self._applied(shape.rows.empty_table(), linked_net)

    def _applied(self, rows: pa.Table, net: pa.Table) -> pa.Table:
        applied = apply(rows, net, self.shape.law.key)
        self.n_orphans += applied.n_orphans
        return applied.rows

    @property
    def _foldable(self) -> str:
        conditions = ["true"]
        if self.refused:
            conditions.append(f"load_id NOT IN ({', '.join(map(str, self.refused))})")
        if self.snapshot_at is not None:
            conditions.append(f"source_at >= TIMESTAMP '{self.snapshot_at.replace(tzinfo=None)}'")
        return " AND ".join(conditions)

    def _linked(self) -> tuple[Keys, pa.Table]:
        """Return the keys that moves link, and their net changes."""
        law, shape, nothing = self.shape.law, self.shape, self.shape.events.empty_table()
        keys = nothing.select(law.key)
        if self.has_before_images:
            sequences = moving_sequences(self.workspace, _EVENTS, shape, self._foldable).column(0).combine_chunks()
            pieces = self.workspace.all_rows(_EVENTS, self._foldable)
            moving = [
                each.filter(pc.is_in(each[Event.SEQUENCE], value_set=sequences)).select(shape.linking.names)
                for each in pieces
            ]
            keys = linked_keys(pa.concat_tables([shape.linking.empty_table(), *moving]), keys, sequences, law.key)
        linked = Keys(keys)
        of_keys = {
            name: pa.concat_tables(
                [
                    self.workspace.schemas[name].empty_table(),
                    *(linked.filter(each) for each in self.workspace.all_rows(name, where) if keys.num_rows),
                ]
            )
            for name, where in ((_EVENTS, self._foldable), (_LOADS, "true"))
        }
        first = first_rows(law, of_keys[_LOADS], shape.rows)[0]
        return linked, fold_keys(law, of_keys[_EVENTS], first, keys)


def _n_through(net: pa.Table, rows: pa.Table, key: Sequence[str]) -> int:
    """Count the net changes up to the last key of some rows."""
    if not rows.num_rows or not net.num_rows:
        return 0
    place, found = lower_bound(net, rows.slice(rows.num_rows - 1), key)
    return int(place[0] + found[0])
