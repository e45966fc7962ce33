"""Steps that every merge has: its intents in the ledger, files, one commit that carries its number, the ledger again.

Whoever is killed leaves an open merge. The next holder of the lease compares its number with that of the newest commit:
equal, and the intents hold; else nothing of it is in the product, and the files that it wrote belong to no commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import MERGE, Product
from cubic_ingestion.ledger.records import Intent, MergeFacts
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import Keep, ProductEntry, WarehouseFile, WarehouseTable
from cubic_ingestion.products.errors import LeaseLostError, OutOfStepError


@dataclass(slots=True)
class Merged:
    """What a merge did."""

    product: str
    table: str
    n_loads: int = 0
    """Loads that it put in or took out."""
    n_rows: int = 0
    """Rows that it put in; of ``__current``, rows of LOAD files and changes that it applied."""
    n_orphans: int = 0
    """``__current``: updates that had no row."""
    is_refold: bool = False
    """``__current``: whether keys were folded again, which says nothing of the next merge's cost."""
    n_rewritten: int = 0
    """Files that were there and were written again."""
    bytes_rewritten: int = 0
    n_files: int = 0
    """Files that the product has now."""
    n_bytes: int = 0
    seconds: float = 0.0

    def count(self, files: Sequence[WarehouseFile]) -> None:
        """Count files that were written again."""
        self.n_rewritten += len(files)
        self.bytes_rewritten += sum(file.n_bytes for file in files)


@dataclass(slots=True)
class MergeSteps:
    """The steps, for one product.

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

    def settled(self) -> WarehouseTable | None:
        """Open the product, and end the merge that a killed process had begun."""
        source, products = self.product.source.name, self.platform.ledger.products
        table = self.platform.warehouse.open(self.product.name)
        open_merge = products.open_merge(source)
        if open_merge is not None:
            is_committed = table is not None and merge_of(table) == open_merge
            ended = (
                products.finish(self.claimant, source, _facts(table, None))
                if is_committed
                else products.forget(self.claimant, source)
            )
            if not ended:
                raise LeaseLostError(self.product.name)
        return table

    def is_unknown(self, table: WarehouseTable | None) -> bool:
        """Say whether nobody knows what the product holds, so that it is to be built anew.

        A process that had lost its lease committed a merge that was forgotten by then; a rebuild of a product that
        is out of step was cut short; or nothing of it is on record, as after a downgrade.
        """
        source, products = self.product.source.name, self.platform.ledger.products
        recorded, found, intended = products.last_merge(source), merge_of(table), products.last_intended(source)
        return recorded < found and (found <= intended or intended == 0)

    def require_step(self, table: WarehouseTable | None) -> None:
        """Make sure that the ledger and the warehouse are of the same time.

        Raises:
            OutOfStepError: They are not.
        """
        source = self.product.source.name
        recorded, found = self.platform.ledger.products.last_merge(source), merge_of(table)
        if found != recorded:
            raise OutOfStepError(self.product.name, source, recorded, found)

    def intend(self, intents: Sequence[Intent], table: WarehouseTable | None) -> int:
        """Record what a merge is about to exchange, and return its number.

        Raises:
            LeaseLostError: Somebody else holds the product.
        """
        source, above = self.product.source.name, merge_of(table)
        merge = self.platform.ledger.products.intend(self.claimant, source, self.product.name, intents, above=above)
        if merge is None:
            raise LeaseLostError(self.product.name)
        return merge

    def require_lease(self) -> None:
        """Make sure that nobody else holds the product, right before a commit.

        Raises:
            LeaseLostError: Somebody else does.
        """
        _, expires_at = self.platform.claim_term()
        if not self.platform.ledger.deliveries[Consumer.PRODUCTS].renew(self.claimant, expires_at):
            raise LeaseLostError(self.product.name)

    def end(self, table: WarehouseTable, merged: Merged, schema: pa.Schema, *, seconds: float | None) -> None:
        """Record the merge, and show its files.

        Args:
            table: The product after the commit.
            merged: Gets the product's size.
            schema: The product's columns, in their own types.
            seconds: How long the merge took; None for a build.

        Raises:
            LeaseLostError: Somebody else holds the product.
        """
        source, products = self.product.source.name, self.platform.ledger.products
        facts = _facts(table, seconds)
        merged.n_files, merged.n_bytes = facts.n_files, facts.n_bytes
        if not products.finish(self.claimant, source, facts):
            raise LeaseLostError(self.product.name)
        if table.snapshot is not None:
            uris = [self.platform.warehouse.bucket.uri(file.key) for file in table.files()]
            self.platform.catalog.show(ProductEntry(self.product.name, schema, table.schema, uris))
            products.shown(source, table.snapshot.id, facts)


GENERATION, REPLACES = "cubic.generation", "cubic.replaces"
"""Properties of a snapshot of ``__current``: which snapshot of its table it shows, and which was on record before."""


def merge_of(table: WarehouseTable | None) -> int:
    """Return the number of the newest merge that is committed; 0 if there is none, or another program committed."""
    return int(table.snapshot.properties.get(MERGE, 0)) if table and table.snapshot else 0


def _facts(table: WarehouseTable | None, seconds: float | None) -> MergeFacts:
    files: Sequence[WarehouseFile] = table.files() if table else ()
    n_rows, n_bytes = sum(file.n_rows for file in files), sum(file.n_bytes for file in files)
    properties = table.snapshot.properties if table and table.snapshot else {}
    generation, replaces = properties.get(GENERATION), properties.get(REPLACES) or None
    return MergeFacts(n_rows, len(files), n_bytes, seconds, generation, replaces)
