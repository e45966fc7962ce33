"""Retention: the feed and the steps of loads grow with every load; what is old and superseded is deleted.

Kept for ever: of each load the last change in Springboard, from which a new consumer is seeded, and its last change of
all. Kept as long as it takes: what a consumer has not processed.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, or_, select
from sqlalchemy.orm import aliased

from cubic_ingestion.domain.changes import ChangeKind, Consumer
from cubic_ingestion.ledger.change_models import CubicChange, CubicDelivery, CubicLoadStep
from cubic_ingestion.ledger.engine import FEED_LOCK, is_alone
from cubic_ingestion.ledger.models import CubicLoad
from cubic_ingestion.ledger.transactions import Part, reads, writes

PAGE_IDS = 50_000
"""Ids that one transaction looks through."""

_Newer = aliased(CubicChange)

_MARKED = ChangeKind.MARKED.value
_IS_SUPERSEDED = exists().where(
    _Newer.load_id == CubicChange.load_id,
    _Newer.id > CubicChange.id,
    or_(CubicChange.kind == _MARKED, _Newer.kind != _MARKED),
)
_IS_AWAITED = exists().where(
    CubicDelivery.consumer.in_([consumer.value for consumer in Consumer]),
    CubicDelivery.table_id == CubicChange.table_id,
    CubicDelivery.change_id == CubicChange.id,
)


class Retention(Part):
    """What of the past is deleted.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    def forget(self, before: datetime) -> int:
        """Delete superseded changes, and steps, from before a moment; returns how many. Others may work meanwhile."""
        changes = sum(self._forget_changes(after, before) for after in _pages(self._newest_change()))
        return changes + sum(self._forget_steps(after, before) for after in _pages(self._newest_load(before)))

    @reads
    def _newest_change(self, connection: Connection) -> int:
        return connection.execute(select(func.max(CubicChange.id))).scalar() or 0

    @reads
    def _newest_load(self, connection: Connection, before: datetime) -> int:
        """Return the last load from before a moment, found by walking back from the newest load; 0 if there is none."""
        last = select(CubicLoad.id).where(CubicLoad.inserted_at < before).order_by(CubicLoad.id.desc()).limit(1)
        return connection.execute(last).scalar() or 0

    @writes
    def _forget_changes(self, connection: Connection, after: int, before: datetime) -> int:
        # Deliveries that somebody is making of old changes cannot be seen yet; the next job looks at this page.
        if not is_alone(connection, FEED_LOCK):
            return 0
        is_in_page = (CubicChange.id > after, CubicChange.id <= after + PAGE_IDS)
        is_over = or_(CubicChange.load_id.is_(None), _IS_SUPERSEDED)
        old = delete(CubicChange).where(*is_in_page, CubicChange.inserted_at < before, is_over, ~_IS_AWAITED)
        return connection.execute(old).rowcount

    @writes
    def _forget_steps(self, connection: Connection, after: int, before: datetime) -> int:
        is_in_page = (CubicLoadStep.load_id > after, CubicLoadStep.load_id <= after + PAGE_IDS)
        return connection.execute(delete(CubicLoadStep).where(*is_in_page, CubicLoadStep.at < before)).rowcount


def _pages(newest: int) -> Iterator[int]:
    """Yield where each page of ids begins."""
    yield from range(0, newest, PAGE_IDS)
