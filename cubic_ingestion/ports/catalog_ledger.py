"""What the catalog does not know yet, as the metadata database keeps it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from cubic_ingestion.domain.table import Column
from cubic_ingestion.ports.outbox import OutboxBacklog, OutboxWork


class CatalogLedger(Protocol):
    """Changes of Springboard on their way to the catalog.

    ``complete_ingest`` and ``reject`` record them in the transaction in which the rows' place changes hands, so none is
    ever lost; the catalog itself is asked later, by whoever claims them.
    """

    def catalog_due(self, tables: Collection[str], *, now: datetime, expires_at: datetime) -> Sequence[str]:
        """Return the tables with changes that ``claim_catalog`` with these moments would get."""
        ...

    def claim_catalog(
        self,
        tables: Collection[str],
        *,
        claimant: str,
        now: datetime,
        expires_at: datetime,
        n_tables: int,
        n_changes: int,
    ) -> Sequence[OutboxWork]:
        """Take the oldest changes of some tables, atomically; a table is held by one claimant at a time.

        Args:
            tables: Names of tables.
            claimant: Who takes them; begins with a run's id.
            now: The present moment.
            expires_at: From then on somebody else may take the tables. A claim that ends a minute later, or more, was
                taken by a clock that is ahead, and is free to take.
            n_tables: At most so many tables.
            n_changes: At most so many changes of each.
        """
        ...

    def complete_catalog(self, claimant: str, work: OutboxWork) -> bool:
        """Forget changes that the catalog knows now, and give the table back.

        Returns:
            False if the claim was lost. Then they are recorded once more: what was told late may have taken the place
            of something newer, which whoever held the table since had told.
        """
        ...

    def postpone_catalog(self, claimant: str, work: OutboxWork, due_at: datetime, reason: str) -> bool:
        """Give a table back that the catalog refused, to be tried again at ``due_at``.

        Returns:
            False if the claim was lost; then as ``complete_catalog``, since a part may have been told.
        """
        ...

    def refresh_catalog(self, tables: Collection[str] | None = None) -> int:
        """Record all places with rows as changed, and all refused tables as due; returns the number of places."""
        ...

    def catalog_backlog(self) -> Sequence[OutboxBacklog]:
        """Return what the catalog does not know yet, by table."""
        ...

    def catalog_pending(self, locations: Collection[str]) -> Collection[str]:
        """Return those of some Springboard keys with changes that the catalog does not know yet."""
        ...

    def columns_at(self, locations: Collection[str]) -> Mapping[str, tuple[Column, ...]]:
        """Return the columns of the rows at Springboard keys; a key at which none stand is left out."""
        ...
