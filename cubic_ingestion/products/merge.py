"""Merge: exchange the rows of some loads in a product, in one commit that carries the merge's number.

The order is: intents in the ledger, files, commit, the ledger again. Whoever is killed leaves an open merge. The next
holder of the lease compares its number with that of the newest commit: equal, and the intents hold; else nothing of it
is in the product, and the files that it wrote belong to no commit.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from time import monotonic

import pyarrow as pa

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import MERGE, Product
from cubic_ingestion.ledger.records import MergeFacts
from cubic_ingestion.parsing.stored_types import NANOSECONDS, nanosecond_columns, stored_schema, to_stored
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import Keep, ProductEntry, UnpromotableError, WarehouseFile, WarehouseTable
from cubic_ingestion.products.errors import LeaseLostError, OutOfStepError
from cubic_ingestion.products.exchange import Exchange, compare
from cubic_ingestion.products.log_files import LogWriter, due_for_rewriting, rewrite, without
from cubic_ingestion.products.rows import partitioning, product_schema
from cubic_ingestion.products.source import rows_of_all

KIND = "cubic.kind"
"""Property of a snapshot: whether it only wrote files again."""
COMPACTION = "compaction"


@dataclass(slots=True)
class Merged:
    """What a merge did."""

    product: str
    table: str
    n_loads: int = 0
    """Loads that it put in or took out."""
    n_rows: int = 0
    """Rows that it put in."""
    n_rewritten: int = 0
    """Files that were there and were written again."""
    bytes_rewritten: int = 0
    n_files: int = 0
    """Files that the product has now."""
    n_bytes: int = 0
    seconds: float = 0.0


class _NanosecondsError(Exception):
    """Columns have values with more than six digits of a second, which the table has no room for yet."""

    def __init__(self, columns: Collection[str]) -> None:
        self.columns = columns
        super().__init__(", ".join(columns))


@dataclass(slots=True)
class Merge:
    """Exchanges loads of one product.

    Args:
        platform: The platform.
        product: The product, whose deliveries the claimant holds.
        claimant: Who holds them.
        keep: Renews the lease; called often.
    """

    platform: Platform
    product: Product
    claimant: str
    keep: Keep

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
        table = self._settled()
        is_build = is_build or self._is_unknown(table)
        if not is_build:
            self._require_step(table)
        exchange = compare(self.platform, self.product, None if is_build else load_ids)
        if exchange.intents or is_build:
            try:
                table = self._exchange(table, exchange, merged, is_build=is_build)
            except UnpromotableError:
                is_build = True
                table = self._exchange(table, compare(self.platform, self.product, None), merged, is_build=True)
        if table is not None:
            table = self._compact(table, merged)
            merged.seconds = monotonic() - started
            self._end(table, merged, is_build=is_build)
        return merged

    def _settled(self) -> WarehouseTable | None:
        """Open the product, and end the merge that a killed process had begun."""
        name, products = self.product.source.name, self.platform.ledger.products
        table = self.platform.warehouse.open(self.product.name)
        open_merge = products.open_merge(name)
        if open_merge is not None:
            is_committed = table is not None and _merge_of(table) == open_merge
            ended = (
                products.finish(self.claimant, name, MergeFacts(*_size(table), seconds=None))
                if is_committed and table is not None
                else products.forget(self.claimant, name)
            )
            if not ended:
                raise LeaseLostError(self.product.name)
        return table

    def _is_unknown(self, table: WarehouseTable | None) -> bool:
        """Say whether nobody knows what the product holds, so that it is to be built anew.

        A process that had lost its lease committed a merge that was forgotten by then; or a rebuild of a product that
        is out of step was cut short.
        """
        name, products = self.product.source.name, self.platform.ledger.products
        recorded, found = products.last_merge(name), _merge_of(table) if table else 0
        return recorded < found <= products.last_intended(name)

    def _require_step(self, table: WarehouseTable | None) -> None:
        """Make sure that the ledger and the warehouse are of the same time."""
        name = self.product.source.name
        recorded, found = self.platform.ledger.products.last_merge(name), _merge_of(table) if table else 0
        if found != recorded:
            raise OutOfStepError(self.product.name, name, recorded, found)

    def _exchange(
        self, table: WarehouseTable | None, exchange: Exchange, merged: Merged, *, is_build: bool
    ) -> WarehouseTable:
        """Write the files, and commit them."""
        source = self.product.source.name
        merge = self.platform.ledger.products.intend(
            self.claimant, source, self.product.name, exchange.intents, above=_merge_of(table) if table else 0
        )
        if merge is None:
            raise LeaseLostError(self.product.name)
        schema = product_schema(self.product, self.platform.ledger.schemas.known(source))
        fine = {
            field.name
            for field in schema
            if table is not None and not is_build and field.name + NANOSECONDS in table.schema.names
        }
        while True:
            stored = stored_schema(schema, fine)
            if table is None:
                table = self.platform.warehouse.create(self.product.name, stored, partitioning(self.product))
            with suppress(_NanosecondsError):
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
            writer.write(place, (_stored(each, stored, fine) for each in rows))
        replaced: list[WarehouseFile] = []
        if is_build:
            replaced = list(table.files())
        else:
            for file in table.files():
                gone = exchange.removed.get(file.partition)
                if gone and without(self.platform.warehouse, file, gone, writer):
                    replaced.append(file)
        self._require_lease()
        properties, key = {MERGE: str(merge)}, "replace_schema" if is_build else "schema"
        table = table.commit(add=writer.files, remove=replaced, properties=properties, **{key: stored})
        merged.n_loads += len(exchange.intents)
        merged.n_rows += sum(addition.load.n_rows for addition in exchange.additions)
        _count(merged, replaced)
        return table

    def _compact(self, table: WarehouseTable, merged: Merged) -> WarehouseTable:
        """Write small files into larger ones until no group of them is due."""
        while groups := due_for_rewriting(table.files()):
            writer = LogWriter(table, table.schema, self.keep)
            for group in groups:
                rewrite(self.platform.warehouse, group, writer)
                _count(merged, group)
            self._require_lease()
            replaced = [file for group in groups for file in group]
            properties = {MERGE: str(_merge_of(table)), KIND: COMPACTION}
            table = table.commit(add=writer.files, remove=replaced, properties=properties)
        return table

    def _end(self, table: WarehouseTable, merged: Merged, *, is_build: bool) -> None:
        """Record the merge, and show its files."""
        source, products = self.product.source.name, self.platform.ledger.products
        merged.n_files, merged.n_bytes = _size(table)
        facts = MergeFacts(merged.n_files, merged.n_bytes, seconds=None if is_build else merged.seconds)
        if not products.finish(self.claimant, source, facts):
            raise LeaseLostError(self.product.name)
        if table.snapshot is not None:
            schema = product_schema(self.product, self.platform.ledger.schemas.known(source))
            uris = [self.platform.warehouse.bucket.uri(file.key) for file in table.files()]
            self.platform.catalog.show(ProductEntry(self.product.name, schema, table.schema, uris))
            products.shown(source, table.snapshot.id, facts)

    def _require_lease(self) -> None:
        """Make sure that nobody else holds the product, right before a commit."""
        _, expires_at = self.platform.claim_term()
        if not self.platform.ledger.deliveries[Consumer.PRODUCTS].renew(self.claimant, expires_at):
            raise LeaseLostError(self.product.name)


def _stored(rows: pa.Table, stored: pa.Schema, fine: set[str]) -> pa.Table:
    if lacking := nanosecond_columns(rows) - fine:
        fine |= lacking
        raise _NanosecondsError(lacking)
    return to_stored(rows, stored)


def _merge_of(table: WarehouseTable) -> int:
    return int(table.snapshot.properties[MERGE]) if table.snapshot else 0


def _size(table: WarehouseTable | None) -> tuple[int, int]:
    files: Sequence[WarehouseFile] = table.files() if table else ()
    return len(files), sum(file.n_bytes for file in files)


def _count(merged: Merged, files: Sequence[WarehouseFile]) -> None:
    merged.n_rewritten += len(files)
    merged.bytes_rewritten += sum(file.n_bytes for file in files)
