"""What a merge has folded into ``__current``, by its record, and the files that it left: what a proof compares."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.product import MERGE, Product, ProductKind
from cubic_ingestion.domain.table import Updates
from cubic_ingestion.ledger.records import HeldLoad
from cubic_ingestion.parsing.stored_types import NANOSECONDS, from_stored
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import Keep, WarehouseFile
from cubic_ingestion.products.change_log import ChangeLog
from cubic_ingestion.products.current import KEY
from cubic_ingestion.products.current_rows import Shape, shape_of
from cubic_ingestion.products.full_load import FullLoad
from cubic_ingestion.products.generation_facts import GenerationFacts, facts_of
from cubic_ingestion.products.key_order import sort_positions
from cubic_ingestion.products.law import COUNTER
from cubic_ingestion.products.log_files import open_file
from cubic_ingestion.products.plain_law import PlainLaw
from cubic_ingestion.products.rows import Addition, free_names
from cubic_ingestion.products.steps import GENERATION


class MovedOnError(Exception):
    """What is on record is not what can be read now: somebody works on it, or it is on its way."""


@dataclass(frozen=True)
class FoldedState:
    """A state of one ``__current``."""

    platform: Platform
    merge: int
    shape: Shape
    law: PlainLaw
    facts: GenerationFacts
    full_load: FullLoad
    log: ChangeLog
    folded: "pa.Array[Any]"
    """Loads of the change table whose changes are applied."""
    files: list[WarehouseFile]

    @property
    def load_schema(self) -> pa.Schema:
        """Columns of ``load_rows``."""
        return pa.schema([*self.shape.load_rows, pa.field(COUNTER, pa.int64())])

    def load_rows(self, keep: Keep) -> Iterator[pa.Table]:
        """Yield the rows of the LOAD files."""
        return self.full_load.rows(self.shape.load_rows, keep)

    def changes(self, keep: Keep) -> Iterator[pa.Table]:
        """Yield the changes that are applied."""
        for rows in self.log.rows(self.shape.events, keep):
            own = rows.filter(pc.is_in(rows["load_id"], value_set=self.folded))
            if self.facts.snapshot_at is not None:
                start = pa.scalar(self.facts.snapshot_at.replace(tzinfo=None), pa.timestamp("us"))
                own = own.filter(pc.greater_equal(own["source_at"], start))
            yield own

    def current_rows(self, keep: Keep) -> Iterator[pa.Table]:
        """Yield the rows of the product, one row group after another."""
        for file in self.files:
            for rows in self._read(file, self.shape.shown):
                keep()
                yield rows

    def keys_in_order(self) -> Iterator[pa.Table]:
        """Yield the keys of the product, the file with the lowest key first."""
        key = pa.schema([self.shape.rows.field(name) for name in self.shape.law.key])
        files = [file for file in self.files if file.n_rows]
        firsts = [key.empty_table(), *(next(self._read(file, key)).slice(0, 1) for file in files)]
        for place in sort_positions(pa.concat_tables(firsts), key.names).tolist():
            yield from self._read(files[place], key)

    def _read(self, file: WarehouseFile, schema: pa.Schema) -> Iterator[pa.Table]:
        with open_file(self.platform.warehouse, file) as parquet:
            names = [name for name in parquet.schema_arrow.names if _is_of(name, schema)]
            for number in range(parquet.num_row_groups):
                yield from_stored(parquet.read_row_group(number, names), schema)


def folded_state(platform: Platform, product: Product) -> FoldedState | None:
    """Find what the last merge on record has folded; None if there was none.

    Raises:
        MovedOnError: It cannot be read as a whole now.
        LogMovedOnError: As ``ChangeLog.at_present`` raises it.
    """
    source, products = product.source, platform.ledger.products
    merge, held = products.last_merge(source.name), products.held(source.name)
    if not merge:
        return None
    table = platform.warehouse.open(product.name)
    found = [each for each in (table.snapshots() if table else ()) if each.properties.get(MERGE) == str(merge)]
    if table is None or not found or products.last_merge(source.name) != merge:
        raise MovedOnError(f"Merge {merge}, which is on record, is not there any more.")
    properties = found[-1].properties
    generation = properties[GENERATION]
    facts = facts_of(platform, source, generation)
    change_table = next(each for each in platform.tables.values() if each.base == source.name)
    known = platform.ledger.schemas.known
    own = [*facts.base, *facts.changes]
    shape = shape_of(source, generation, facts.key, own, [*known(source.name), *known(change_table.name)])
    if json.dumps(shape.law.key) != properties[KEY]:
        raise MovedOnError(f"Its key is {properties[KEY]}, and by its files it is {json.dumps(shape.law.key)}.")
    log = ChangeLog.at_present(platform, Product(ProductKind.CHANGES, change_table), generation)
    standing = products.standing(source.name, list(held))
    applied = [each for load_id, each in held.items() if load_id not in standing and each.refused is None]
    _require_readable(log, applied)
    additions = [Addition(load, held[load_id].etag, held[load_id].place) for load_id, load in standing.items()]
    columns = products.columns([each.load_id for each in applied])
    names = {each: list(free_names(column.name for column in each).values()) for each in set(columns.values())}
    law = PlainLaw(
        shape.law.key,
        shape.law.columns,
        source.updates is Updates.FULL_IMAGE,
        {load_id: names[each] for load_id, each in columns.items()},
    )
    folded = pa.array(sorted(each.load_id for each in applied), pa.int64())
    full_load, files = FullLoad.of(platform, additions), list(table.files(found[-1].id))
    return FoldedState(platform, merge, shape, law, facts, full_load, log, folded, files)


def _require_readable(log: ChangeLog, applied: list[HeldLoad]) -> None:
    """Make sure that the log has just the versions of loads that are folded."""
    for each in applied:
        held = log.loads.get(each.load_id)
        if held is None or held.etag != each.etag:
            raise MovedOnError(f"'{log.product.name}' has other rows of load {each.load_id} than are folded.")


def _is_of(name: str, schema: pa.Schema) -> bool:
    return name in schema.names or name.removesuffix(NANOSECONDS) in schema.names
