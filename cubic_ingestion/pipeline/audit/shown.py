"""Products in the catalog: whether people who query a product read the files of the snapshot on record."""

from collections.abc import Iterator

from cubic_ingestion.errors import CatalogUnavailableError
from cubic_ingestion.ledger.records import ProductState
from cubic_ingestion.pipeline.audit.findings import Finding, FindingCode, Tell
from cubic_ingestion.pipeline.ingestion_platform import Platform

_LOOKS = 3


class ShownCheck:
    """Compares the catalog's entries of products with the warehouse.

    A merge shows its snapshot first and records it second. So a snapshot after the one on record is right as well.
    """

    zone = "catalog"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield one finding per product. A catalog that cannot be read is named by the check of its tables."""
        for state in self._platform.ledger.products.states():
            tell("products in the catalog", 1)
            try:
                if not self._is_shown(state):
                    problem = "People do not find it in the catalog, or read files of another snapshot."
                    yield Finding.of(FindingCode.PRODUCT_NOT_SHOWN, self.zone, state.name, problem)
            except CatalogUnavailableError:
                return

    def _is_shown(self, state: ProductState) -> bool:
        """Look again if a product is not shown, because a merge may have ended between two questions."""
        looks, seen = 1, self._shows(state)
        while not seen and looks < _LOOKS:
            (state, *_) = self._platform.ledger.products.states([state.table])
            looks, seen = looks + 1, self._shows(state)
        return seen

    def _shows(self, state: ProductState) -> bool:
        """Say whether the snapshot on record is shown, or a later one. Other checks name what the warehouse lacks."""
        table = self._platform.warehouse.open(state.name)
        if state.snapshot_id is None or table is None:
            return True
        ids = [snapshot.id for snapshot in table.snapshots()]
        later = ids[ids.index(state.snapshot_id) :] if state.snapshot_id in ids else ids
        uri = self._platform.warehouse.bucket.uri
        return not ids or any(
            self._platform.catalog.shows(state.name, [uri(file.key) for file in table.files(snapshot)])
            for snapshot in later
        )
