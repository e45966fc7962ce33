"""Refold: fold some keys again from all their changes, because changes or LOAD rows of them came late."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.ledger.products import Products
from cubic_ingestion.ports import Keep
from cubic_ingestion.products.arrays import Values
from cubic_ingestion.products.change_log import ChangeLog
from cubic_ingestion.products.current_rows import Shape, partial_files
from cubic_ingestion.products.fold import first_rows, fold_keys
from cubic_ingestion.products.full_load import FullLoad
from cubic_ingestion.products.law import Event, TableLaw, foldable
from cubic_ingestion.products.moved_rows import moving_sequences
from cubic_ingestion.products.pairs import linked_keys
from cubic_ingestion.products.scan import Keys, gathered
from cubic_ingestion.products.workspace import open_workspace

_EVENTS = "events"


@dataclass(frozen=True, slots=True)
class FoldedLoads:
    """The loads whose changes are folded, those of the merge under way among them.

    Args:
        products: Tells which loads ``__current`` holds.
        table: The base table.
        new: Loads that the merge under way puts in.
        refused: Those of them whose changes are not applied.
        snapshot_at: The snapshot's time, if the ``.dfm`` states it.
    """

    products: Products
    table: str
    new: Collection[int]
    refused: Collection[int]
    snapshot_at: datetime | None

    def filter(self, events: pa.Table) -> pa.Table:
        """Keep the changes that are folded."""
        load_ids = _loads_of(events)
        held = self.products.held(self.table, load_ids)
        left_out = {each for each in load_ids if each in self.refused or (each in held and held[each].refused)}
        left_out |= {each for each in load_ids if each not in held and each not in self.new}
        return foldable(events, left_out, self.snapshot_at)

    def law(self, law: TableLaw, events: pa.Table) -> TableLaw:
        """Return the law with what it must know of the files of some changes."""
        columns = self.products.columns(_loads_of(events))
        return replace(law, file_columns=partial_files(law, columns))


@dataclass(frozen=True, slots=True)
class Refold:
    """Finds what must be folded again, and folds it.

    Args:
        shape: Columns and law.
        log: The change log. It may have loads that are not folded yet.
        full_load: All LOAD files, those that are new among them.
        folded: Which loads are folded.
        keep: Renews the lease.
    """

    shape: Shape
    log: ChangeLog
    full_load: FullLoad
    folded: FoldedLoads
    keep: Keep

    def keys(self, late: pa.Table, load_rows: pa.Table, *, has_before_images: bool) -> Keys:
        """Return the keys to fold again.

        Args:
            late: Changes that came late.
            load_rows: Rows of LOAD files that came late.
            has_before_images: Whether any change of the generation is a before-image.
        """
        key, sequences = self.shape.law.key, late[Event.SEQUENCE].combine_chunks()
        if not (late.num_rows or load_rows.num_rows):
            return Keys(self.shape.rows.empty_table().select(key))
        moving = self._moving(sequences) if has_before_images else self.shape.linking.empty_table()
        seeds = pa.concat_tables([each.select(key) for each in (late, load_rows)])
        return Keys(linked_keys(moving, seeds, sequences, key))

    def net(self, keys: Keys) -> tuple[pa.Table, pa.Table]:
        """Return the net changes of keys, from all their changes and LOAD rows, and the keys that LOAD files repeat."""
        if keys.table.num_rows:
            events = self.folded.filter(self.log.rows_of(keys, self.shape.events, self.keep))
            load_rows = self.full_load.rows_of(keys, self.shape.load_rows, self.keep)
        else:
            events, load_rows = self.shape.events.empty_table(), self.full_load.no_rows(self.shape.load_rows)
        law = self.folded.law(self.shape.law, events)
        rows, duplicates = first_rows(law, load_rows, self.shape.rows)
        return fold_keys(law, events, rows, keys.table), duplicates

    def _moving(self, sequences: Values) -> pa.Table:
        """Return the before-images and updates that may move a row, and those that have one of some sequences."""
        linking = self.shape.linking
        with open_workspace(self.keep) as workspace:
            workspace.store(_EVENTS, linking, self.log.rows(linking, self.keep))
            found = moving_sequences(workspace, _EVENTS, self.shape, "true").column(0)
        wanted = pa.chunked_array([*found.chunks, sequences], pa.string()).combine_chunks()
        pairs = pa.array(["B", "U"])
        pieces = (
            rows.filter(
                pc.and_(
                    pc.is_in(rows[Event.SEQUENCE], value_set=wanted), pc.is_in(rows[Event.OPERATION], value_set=pairs)
                )
            )
            for rows in self.log.rows(linking, self.keep)
        )
        return self.folded.filter(gathered(linking, pieces))


def _loads_of(events: pa.Table) -> list[int]:
    return np.unique(events[Event.LOAD].to_numpy()).tolist()
