"""The port ``LoadObserver`` on SQLite and PostgreSQL: one transaction a call, and it only reads."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Engine
from typing_extensions import override

from cubic_ingestion.domain.arrivals import DeliveredDay
from cubic_ingestion.domain.batch import ShardProgress
from cubic_ingestion.domain.holding import Holding
from cubic_ingestion.domain.incoming import Scan
from cubic_ingestion.metadata_db import holding, kafka_batches, observing, scans
from cubic_ingestion.metadata_db.engine import reading
from cubic_ingestion.metadata_db.outbox import DAGSTER
from cubic_ingestion.ports import (
    ErroredLoads,
    FullLoad,
    LoadObserver,
    LoadTotal,
    Newest,
    OpenLoads,
    OutboxBacklog,
    Passage,
    QuarantinedLoads,
)


class SqlLoadObserver(LoadObserver):
    """Reads the metadata database.

    Args:
        engine: From ``make_engine``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    def open_loads(self, now: datetime) -> Sequence[OpenLoads]:
        with reading(self._engine) as connection:
            return observing.open_loads(connection, now)

    @override
    def holdings(self) -> Sequence[Holding]:
        with reading(self._engine) as connection:
            return holding.holdings(connection)

    @override
    def errored(self, since: datetime | None = None) -> Sequence[ErroredLoads]:
        with reading(self._engine) as connection:
            return observing.errored(connection, since)

    @override
    def quarantined(self) -> Sequence[QuarantinedLoads]:
        with reading(self._engine) as connection:
            return observing.quarantined(connection)

    @override
    def unreported(self) -> Sequence[OutboxBacklog]:
        with reading(self._engine) as connection:
            return DAGSTER.backlog(connection)

    @override
    def newest_id(self) -> int:
        with reading(self._engine) as connection:
            return observing.newest_id(connection)

    @override
    def open_ids(self, after: int, through: int, limit: int) -> Sequence[int]:
        with reading(self._engine) as connection:
            return observing.open_ids(connection, after, through, limit)

    @override
    def totals(self, after: int, through: int | None = None, without: Collection[int] = ()) -> Sequence[LoadTotal]:
        with reading(self._engine) as connection:
            return observing.totals(connection, after, through, without)

    @override
    def totals_of(self, load_ids: Collection[int]) -> Sequence[LoadTotal]:
        with reading(self._engine) as connection:
            return observing.totals_of(connection, load_ids)

    @override
    def newest(self) -> Mapping[str, Newest]:
        with reading(self._engine) as connection:
            return observing.newest(connection)

    @override
    def passages(self, limit: int) -> Sequence[Passage]:
        with reading(self._engine) as connection:
            return observing.passages(connection, limit)

    @override
    def source_times(self, tables: Collection[str], limit: int) -> Mapping[str, Sequence[datetime]]:
        with reading(self._engine) as connection:
            return observing.source_times(connection, tables, limit)

    @override
    def n_heard(self, stretches: Mapping[str, Sequence[tuple[datetime, datetime]]]) -> Mapping[str, int]:
        with reading(self._engine) as connection:
            return observing.n_heard(connection, stretches)

    @override
    def days(self, tables: Collection[str], since: datetime) -> Mapping[str, Mapping[date, DeliveredDay]]:
        with reading(self._engine) as connection:
            return observing.days(connection, tables, since)

    @override
    def full_loads(self, tables: Collection[str]) -> Sequence[FullLoad]:
        with reading(self._engine) as connection:
            return observing.full_loads(connection, tables)

    @override
    def scans(self) -> Mapping[str, Scan]:
        with reading(self._engine) as connection:
            return scans.scans(connection)

    @override
    def shard_progress(self) -> Sequence[ShardProgress]:
        with reading(self._engine) as connection:
            return kafka_batches.progress(connection)
