"""Totals over all loads, without reading all of them each time.

Up to the first load that is still under way, every load has ended and what they sum up to stays. So that part is summed
up once and kept, and each reading adds the ids after it. What a replay or a retry changes in the kept part is seen when
all is summed up anew, once an hour.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cubic_ingestion.ports import LoadObserver, LoadTotal

if TYPE_CHECKING:
    from cubic_ingestion.domain.status import LoadStatus

REFRESHED = timedelta(hours=1)


class Totals:
    """Sums by table and status; one object is kept from reading to reading.

    Args:
        observer: Reads the metadata database.
    """

    def __init__(self, observer: LoadObserver) -> None:
        self._observer = observer
        self._settled: list[LoadTotal] = []
        self._through = 0
        self._summed_at: datetime | None = None

    def read(self, now: datetime) -> Sequence[LoadTotal]:
        """Return the sums as of now."""
        if self._summed_at is None or now - self._summed_at > REFRESHED:
            self._settled, self._through, self._summed_at = [], 0, now
        through = self._observer.settled_through()
        if through > self._through:
            self._settled = _added(self._settled, self._observer.totals(self._through, through))
            self._through = through
        return _added(self._settled, self._observer.totals(self._through))


def _added(first: Iterable[LoadTotal], second: Iterable[LoadTotal]) -> list[LoadTotal]:
    sums: dict[tuple[str, LoadStatus], LoadTotal] = {}
    for total in (*first, *second):
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
