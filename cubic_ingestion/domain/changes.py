"""Changes: what became different in Springboard or with a load, and the consumers that each change is delivered to.

To add a consumer: one member of ``Consumer``, and a module that claims its deliveries (``ledger/deliveries.py``).
"""

from enum import StrEnum


class ChangeKind(StrEnum):
    """What a transaction made different. The values are contract: people query them."""

    PUBLISHED = "published"
    """A load's rows are at a location where that load had none; another load's rows may have been there."""
    REPLACED = "replaced"
    """A load's rows were written again at the same location: it was replayed."""
    WITHDRAWN = "withdrawn"
    """A load has no rows at a location any more: they were removed or moved, or another load's replaced them."""
    MARKED = "marked"
    """Springboard is as it was. A load was rejected, brought back or planned into another partition, or trouble was
    acknowledged."""


WHOLE_TABLE = ""
"""The partition key of a change that concerns no partition, but the table as a whole."""

IN_SPRINGBOARD = frozenset({ChangeKind.PUBLISHED, ChangeKind.REPLACED, ChangeKind.WITHDRAWN})


class Consumer(StrEnum):
    """Who processes changes. The values are contract: they stand in ``cubic_deliveries``."""

    CATALOG = "catalog"
    DAGSTER = "dagster"
    PRODUCTS = "products"

    @property
    def kinds(self) -> frozenset[ChangeKind]:
        """The changes that are delivered to it."""
        return frozenset(ChangeKind) if self is Consumer.DAGSTER else IN_SPRINGBOARD

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Patterns of SQL's LIKE for the prefixes in Incoming of the tables that it follows; none if it follows all."""
        return _WITH_PRODUCTS if self is Consumer.PRODUCTS else ()

    @property
    def called(self) -> str:
        """Its name in a sentence."""
        return {Consumer.DAGSTER: "Dagster", Consumer.PRODUCTS: "its product"}.get(self, f"the {self.value}")


_WITH_PRODUCTS = ("cubic/ods\\_qlik/%", "cubic/kafka/%")
