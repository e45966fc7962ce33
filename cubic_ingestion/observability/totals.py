"""Totals over all loads, without reading all of them each time.

A load that has ended stays as it is, and most have. So all but the newest are summed up once and the sums kept, apart
from the few that are still under way: those, and what came since, are read each time. What a replay or a retry changes
in the kept part is seen when all is summed up anew, once an hour.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import LoadTotal

if TYPE_CHECKING:
    from cubic_ingestion.domain.status import LoadStatus

REFRESHED = timedelta(hours=1)

MOST_APART = 20_000
"""Loads under way that are kept apart; behind so many, everything is read each time."""

STILL_COMING = 5_000
"""Ids below the newest that are not kept: a transaction that got one of them may not have ended yet."""


class Totals:
    """Sums by table and status; one object is kept from reading to reading.

    Args:
        ledger: Reads the ledger.
        still_coming: Newest ids that are not kept.
    """

    def __init__(self, ledger: Ledger, still_coming: int = STILL_COMING) -> None:
        self._ledger = ledger
        self._still_coming = still_coming
        self._kept: list[LoadTotal] = []
        self._apart: list[int] = []
        self._through = 0
        self._summed_at: datetime | None = None

    def read(self, now: datetime) -> Sequence[LoadTotal]:
        """Return the sums as of now."""
        if self._summed_at is None or now - self._summed_at > REFRESHED:
            self._kept, self._apart, self._through, self._summed_at = [], [], 0, now
        self._keep_more()
        return _added(self._kept, self._ledger.counts.totals_of(self._apart), self._ledger.counts.totals(self._through))

    def _keep_more(self) -> None:
        through = self._ledger.queries.newest_id() - self._still_coming
        room = MOST_APART - len(self._apart)
        if through <= self._through or room == 0:
            return
        under_way = self._ledger.counts.open_ids(self._through, through, room)
        if len(under_way) == room:
            through = under_way[-1]
        self._kept = _added(self._kept, self._ledger.counts.totals(self._through, through, under_way))
        self._apart += under_way
        self._through = through


def _added(*parts: Iterable[LoadTotal]) -> list[LoadTotal]:
    sums: dict[tuple[str, LoadStatus], LoadTotal] = {}
    for total in chain.from_iterable(parts):
        before = sums.get((total.table, total.status), LoadTotal(total.table, total.status, 0, 0, 0, 0, 0))
        sums[total.table, total.status] = LoadTotal(
            total.table,
            total.status,
            before.n_loads + total.n_loads,
            before.n_rows + total.n_rows,
            before.n_quarantined + total.n_quarantined,
            before.n_bytes + total.n_bytes,
            before.n_source_bytes + total.n_source_bytes,
        )
    return list(sums.values())
