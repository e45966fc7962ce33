"""Merge: exchange the rows of some loads in ``__changes`` or ``__events``, in one commit."""

from collections.abc import Collection
from contextlib import suppress
from itertools import groupby
from time import monotonic

import pyarrow as pa

from cubic_ingestion.domain.product import MERGE
from cubic_ingestion.parsing.stored_types import NANOSECONDS, nanosecond_columns, stored_schema, to_stored
from cubic_ingestion.ports import UnpromotableError, WarehouseFile, WarehouseTable
from cubic_ingestion.products.exchange import Exchange, compare
from cubic_ingestion.products.log_files import LogWriter, due_for_rewriting, rewrite, without
from cubic_ingestion.products.rows import partitioning, product_schema
from cubic_ingestion.products.source import rows_of_all
from cubic_ingestion.products.steps import Merged, MergeSteps, merge_of

KIND = "cubic.kind"
"""Property of a snapshot: whether it only wrote files again."""
COMPACTION = "compaction"


class NanosecondsError(Exception):
    """Columns have values with more than six digits of a second, which the table has no room for yet."""

    def __init__(self, columns: Collection[str]) -> None:
        self.columns = columns
        super().__init__(", ".join(columns))


class Merge(MergeSteps):
    """Exchanges loads of one product."""

    __slots__ = ()

    def apply(self, load_ids: Collection[int]) -> Merged:
        """Make the product hold of some loads just what stands in Springboard.

        Raises:
            LeaseLostError: Somebody else holds the product by now. Nothing was committed since.
            LoadChangedError: A load's file was replaced meanwhile; its change is on its way.
            OutOfStepError: The ledger and the warehouse do not belong together.
        """
        return self._run(load_ids, is_build=False)

    def rebuild(self) -> Merged:
        """Write the product anew, from all that stands in Springboard, beside what it is; one commit replaces it.

        Raises:
            LeaseLostError: As ``apply`` raises it.
            LoadChangedError: As ``apply`` raises it.
        """
        return self._run(None, is_build=True)

    def _run(self, load_ids: Collection[int] | None, *, is_build: bool) -> Merged:
        started = monotonic()
        merged = Merged(self.product.name, self.product.source.name)
        table = self.settled()
        is_build = is_build or self.is_unknown(table)
        if not is_build:
            self.require_step(table)
        exchange = compare(self.platform, self.product, None if is_build else load_ids, self.keep)
        if exchange.intents or is_build:
            try:
                table = self._exchange(table, exchange, merged, is_build=is_build)
            except UnpromotableError:
                is_build = True
                table = self._exchange(
                    table, compare(self.platform, self.product, None, self.keep), merged, is_build=True
                )
        if table is not None:
            self._end(table, merged, started, is_build=is_build)
            compacted = self._compact(table, merged)
            if compacted is not table:
                self._end(compacted, merged, started, is_build=is_build)
        return merged

    def _end(self, table: WarehouseTable, merged: Merged, started: float, *, is_build: bool) -> None:
        merged.seconds = monotonic() - started
        schema = product_schema(self.product, self.platform.ledger.schemas.known(self.product.source.name))
        self.end(table, merged, schema, seconds=None if is_build or not merged.n_loads else merged.seconds)

    def _exchange(
        self, table: WarehouseTable | None, exchange: Exchange, merged: Merged, *, is_build: bool
    ) -> WarehouseTable:
        """Write the files, and commit them."""
        merge = self.intend(exchange.intents, table)
        schema = product_schema(self.product, self.platform.ledger.schemas.known(self.product.source.name))
        fine = {
            field.name
            for field in schema
            if table is not None and not is_build and field.name + NANOSECONDS in table.schema.names
        }
        while True:
            stored = stored_schema(schema, fine)
            if table is None:
                table = self.platform.warehouse.create(self.product.name, stored, partitioning(self.product))
            with suppress(NanosecondsError):
                return self._commit(table, exchange, merge, merged, schema, stored, fine, is_build=is_build)

    def _commit(
        self,
        table: WarehouseTable,
        exchange: Exchange,
        merge: int,
        merged: Merged,
        schema: pa.Schema,
        stored: pa.Schema,
        fine: set[str],
        *,
        is_build: bool,
    ) -> WarehouseTable:
        """Write and commit with a stored schema; adds to ``fine`` what it lacks, and raises."""
        writer = LogWriter(table, stored, self.keep, replaces_schema=is_build)
        for place, additions in groupby(exchange.additions, key=lambda addition: addition.place):
            rows = rows_of_all(self.platform, list(additions), schema)
            writer.write(place, (checked_stored(each, stored, fine) for each in rows))
        replaced: list[WarehouseFile] = []
        if is_build:
            replaced = list(table.files())
        else:
            for file in table.files():
                gone = exchange.removed.get(file.partition)
                if gone and without(self.platform.warehouse, file, gone, writer):
                    replaced.append(file)
        self.require_lease()
        properties, key = {MERGE: str(merge)}, "replace_schema" if is_build else "schema"
        table = table.commit(add=writer.files, remove=replaced, properties=properties, **{key: stored})
        merged.n_loads += len(exchange.intents)
        merged.n_rows += sum(addition.load.n_rows for addition in exchange.additions)
        merged.count(replaced)
        return table

    def _compact(self, table: WarehouseTable, merged: Merged) -> WarehouseTable:
        """Write small files into larger ones until no group of them is due."""
        while groups := due_for_rewriting(table.files()):
            writer = LogWriter(table, table.schema, self.keep)
            for group in groups:
                rewrite(self.platform.warehouse, group, writer)
                merged.count(group)
            self.require_lease()
            replaced = [file for group in groups for file in group]
            properties = {MERGE: str(merge_of(table)), KIND: COMPACTION}
            table = table.commit(add=writer.files, remove=replaced, properties=properties)
        return table


def checked_stored(rows: pa.Table, stored: pa.Schema, fine: set[str]) -> pa.Table:
    """Convert rows as they are stored; raises if a column has nanoseconds and is not among ``fine``, and adds it."""
    if lacking := nanosecond_columns(rows) - fine:
        fine |= lacking
        raise NanosecondsError(lacking)
    return to_stored(rows, stored)
