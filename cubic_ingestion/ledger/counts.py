"""Counts: what probes, dashboards and sensors ask. Each is answered from an index, or from a bounded stretch of ids.

Most loads are archived and never change again, so whatever is asked for is narrowed first: to the statuses that a load
leaves again, to the end of an index, or to the ids after those that all have ended.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, or_, select

from cubic_ingestion.domain.arrivals import DeliveredDay
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.domain.status import ENDED, TO_ERROR, LoadStatus
from cubic_ingestion.ledger.models import CubicLoad, CubicTable, CubicTableOdsSnapshot
from cubic_ingestion.ledger.records import (
    ErroredLoads,
    FullLoad,
    LoadTotal,
    Newest,
    OpenLoads,
    Passage,
    QuarantinedLoads,
)
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transactions import Part, reads

_OPEN = tuple(status.value for status in LoadStatus if status not in ENDED)


_STATUSES = tuple(status.value for status in LoadStatus)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Counts(Part):
    """What probes, dashboards and sensors ask again and again; nothing is changed.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def open_loads(self, connection: Connection, now: datetime) -> list[OpenLoads]:
        """Count what is under way; ``ix_cubic_loads_work`` has it apart from all that is archived."""
        # A move that is tried again has a reason on record too, and lacks nothing.
        is_lacking = CubicLoad.waits_for.is_not(None) & (CubicLoad.status == LoadStatus.READY.value)
        since = func.coalesce(CubicLoad.retried_at, CubicLoad.inserted_at, type_=CubicLoad.inserted_at.type)
        statement = (
            select(
                *(CubicTable.name, CubicLoad.status, func.count(), func.sum(case((is_lacking, 1), else_=0))),
                func.min(case((~is_lacking, since)), type_=CubicLoad.inserted_at.type),
                func.min(case((CubicLoad.claim_expires_at <= now, CubicLoad.claim_expires_at))),
            )
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicLoad.table_id.in_(_table_ids(connection)), CubicLoad.status.in_(_OPEN))
            .group_by(CubicTable.name, CubicLoad.status)
            .order_by(CubicTable.name, CubicLoad.status)
        )
        return [
            OpenLoads(table, LoadStatus(status), n_loads, int(n_lacking), oldest, expired)
            for table, status, n_loads, n_lacking, oldest, expired in connection.execute(statement)
        ]

    @reads
    def errored(self, connection: Connection, since: datetime | None = None) -> list[ErroredLoads]:
        """Count the loads in Error that nobody has acknowledged, by table and code: all, or filed since a moment."""
        code = func.coalesce(CubicLoad.error_code, "unknown")
        conditions = [
            CubicLoad.table_id.in_(_table_ids(connection)),
            CubicLoad.status.in_(TO_ERROR),
            CubicLoad.acknowledged_at.is_(None),
        ]
        n_moving = func.sum(case((CubicLoad.status == LoadStatus.ERRORED.value, 0), else_=1))
        statement = (
            select(CubicTable.name, code, func.count(), func.max(CubicLoad.updated_at), n_moving)
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(*conditions, *([] if since is None else [CubicLoad.updated_at >= since]))
            .group_by(CubicTable.name, code)
            .order_by(CubicTable.name, code)
        )
        return [
            ErroredLoads(table, reason, n_loads, newest_at, int(n))
            for table, reason, n_loads, newest_at, n in connection.execute(statement).tuples()
        ]

    @reads
    def quarantined(self, connection: Connection) -> list[QuarantinedLoads]:
        """Count what lies in quarantine and nobody has acknowledged, from the index of loads with such records."""
        statement = (
            select(CubicTable.name, func.count(), func.sum(CubicLoad.n_quarantined), func.max(CubicLoad.updated_at))
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicLoad.table_id.in_(_table_ids(connection)), CubicLoad.n_quarantined > 0)
            .where(CubicLoad.location.is_not(None), CubicLoad.acknowledged_at.is_(None))
            .group_by(CubicTable.name)
            .order_by(CubicTable.name)
        )
        return [
            QuarantinedLoads(table, n, int(n_records), at) for table, n, n_records, at in connection.execute(statement)
        ]

    @reads
    def open_ids(self, connection: Connection, after: int, through: int, limit: int) -> list[int]:
        """Return the first ids, in order, of loads with ``after < id <= through`` that are under way."""
        statement = select(CubicLoad.id).where(
            CubicLoad.table_id.in_(_table_ids(connection)),
            CubicLoad.status.in_(_OPEN),
            # Not the bare id, by which the primary key would be walked, through all that is archived.
            CubicLoad.id + 0 > after,
            CubicLoad.id + 0 <= through,
        )
        return list(connection.execute(statement.order_by(CubicLoad.id + 0).limit(limit)).scalars())

    @reads
    def totals(
        self, connection: Connection, after: int, through: int | None = None, without: Collection[int] = ()
    ) -> list[LoadTotal]:
        """Sum up the loads with ``after < id <= through`` by table and status, some left out."""
        conditions = [CubicLoad.id > after, *([] if through is None else [CubicLoad.id <= through])]
        return _totals(connection, *conditions, *([CubicLoad.id.not_in(without)] if without else []))

    @reads
    def totals_of(self, connection: Connection, load_ids: Collection[int]) -> list[LoadTotal]:
        """Sum up loads by their ids; some rows of a table and status for each page of ids."""
        return [total for page in in_pages(load_ids) for total in _totals(connection, CubicLoad.id.in_(page))]

    @reads
    def newest(self, connection: Connection) -> Mapping[str, Newest]:
        """Select, by table, the load at the end of ``ix_cubic_loads_source_at`` that has rows."""
        last = (
            select(CubicLoad.id)
            .where(
                CubicLoad.table_id == CubicTable.id, CubicLoad.source_at.is_not(None), CubicLoad.location.is_not(None)
            )
            .order_by(CubicLoad.source_at.desc(), CubicLoad.id.desc())
            .limit(1)
            .correlate(CubicTable)
            .scalar_subquery()
        )
        ids: dict[str, int | None] = dict(connection.execute(select(CubicTable.name, last)).tuples().all())
        by_id: dict[int, Newest] = {}
        for page in in_pages([load_id for load_id in ids.values() if load_id is not None]):
            columns = (CubicLoad.id, CubicLoad.source_at, CubicLoad.inserted_at)
            for load_id, source_at, inserted_at in connection.execute(select(*columns).where(CubicLoad.id.in_(page))):
                by_id[load_id] = Newest(source_at, inserted_at)
        return {table: by_id[load_id] for table, load_id in ids.items() if load_id in by_id}

    @reads
    def passages(self, connection: Connection, limit: int) -> list[Passage]:
        """Select how long the newest loads took, from the end of the primary key."""
        last = select(CubicLoad.id).order_by(CubicLoad.id.desc()).limit(limit).subquery()
        statement = (
            select(CubicTable.name, CubicLoad.s3_modified, CubicLoad.inserted_at, CubicLoad.updated_at)
            .join(last, last.c.id == CubicLoad.id)
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicLoad.status == LoadStatus.ARCHIVED.value)
        )
        return [Passage(*row) for row in connection.execute(statement).tuples()]

    @reads
    def source_times(self, connection: Connection, tables: Collection[str], limit: int) -> dict[str, list[datetime]]:
        """Select the latest source times of each table, newest first, from the end of ``ix_cubic_loads_source_at``."""
        statement = (
            select(CubicLoad.source_at)
            .where(CubicLoad.table_id == bindparam("table_id"), CubicLoad.source_at >= _EPOCH)
            .order_by(CubicLoad.source_at.desc(), CubicLoad.id.desc())
            .limit(limit)
        )
        found = {
            table: [moment for moment in connection.execute(statement, {"table_id": table_id}).scalars() if moment]
            for table, table_id in _ids_by_name(connection, tables).items()
        }
        return {table: times for table, times in found.items() if times}

    @reads
    def n_heard(
        self, connection: Connection, stretches: Mapping[str, Sequence[tuple[datetime, datetime]]]
    ) -> dict[str, int]:
        """Count, by table, in how many of its stretches of source time it has a file.

        A stretch is without its beginning and with its end.
        """
        is_heard = (
            select(CubicLoad.id)
            .where(
                CubicLoad.table_id == bindparam("table_id"),
                CubicLoad.source_at > bindparam("since"),
                CubicLoad.source_at <= bindparam("until"),
            )
            .limit(1)
        )
        ids = _ids_by_name(connection, stretches)
        return {
            table: sum(
                connection.execute(is_heard, {"table_id": table_id, "since": since, "until": until}).first() is not None
                for since, until in stretches[table]
            )
            for table, table_id in ids.items()
        }

    @reads
    def days(
        self, connection: Connection, tables: Collection[str], since: datetime
    ) -> Mapping[str, dict[date, DeliveredDay]]:
        """Return, by table and day of data since a moment, what came of it.

        Only files whose source time is a day count, that is, midnight.
        """
        n_sound = func.sum(case((CubicLoad.status.not_in(TO_ERROR), 1), else_=0))
        statement = (
            select(CubicTable.name, CubicLoad.source_at, func.min(CubicLoad.inserted_at), n_sound)
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicLoad.table_id.in_(_table_ids(connection, tables)), CubicLoad.source_at >= since)
            .group_by(CubicTable.name, CubicLoad.source_at)
        )
        found: dict[str, dict[date, DeliveredDay]] = {}
        for table, source_at, first, sound in connection.execute(statement).tuples():
            if source_at is not None and source_at == datetime.combine(source_at.date(), time(), UTC):
                found.setdefault(table, {})[source_at.date()] = DeliveredDay(first, is_rejected=not sound)
        return found

    @reads
    def full_loads(self, connection: Connection, tables: Collection[str]) -> list[FullLoad]:
        """Select the files of each table's newest snapshot, those that are not planned yet among them."""
        snapshots = (
            select(CubicTable.id, CubicTable.name, func.max(CubicTableOdsSnapshot.snapshot))
            .join(CubicTableOdsSnapshot, CubicTableOdsSnapshot.table_id == CubicTable.id)
            .where(CubicTable.name.in_(tables))
            .group_by(CubicTable.id, CubicTable.name)
            .order_by(CubicTable.name)
        )
        found = [
            _full_load(connection, table_id, table, snapshot)
            for table_id, table, snapshot in connection.execute(snapshots).tuples().all()
            if snapshot is not None
        ]
        return [full_load for full_load in found if full_load.file_names]


def _totals(connection: Connection, *conditions: ColumnElement[bool]) -> list[LoadTotal]:
    stands = CubicLoad.location.is_not(None)
    n_rows, n_quarantined, n_bytes = (
        func.coalesce(func.sum(column).filter(stands), 0)
        for column in (CubicLoad.n_rows, CubicLoad.n_quarantined, CubicLoad.n_bytes)
    )
    statement = (
        select(CubicTable.name, CubicLoad.status, func.count(), n_rows, n_quarantined, n_bytes)
        .add_columns(func.sum(CubicLoad.s3_size))
        .join(CubicTable, CubicTable.id == CubicLoad.table_id)
        .where(*conditions)
        .group_by(CubicTable.name, CubicLoad.status)
    )
    return [
        LoadTotal(table, LoadStatus(status), *map(int, sums))
        for table, status, *sums in connection.execute(statement).tuples()
    ]


def _full_load(connection: Connection, table_id: int, table: str, snapshot: datetime) -> FullLoad:
    is_unplanned = and_(CubicLoad.partition_key.is_(None), CubicLoad.s3_modified >= snapshot)
    statement = select(CubicLoad.s3_key, CubicLoad.inserted_at).where(
        CubicLoad.table_id == table_id,
        CubicLoad.status.in_(_STATUSES),  # so that the index is used up to the partition
        or_(CubicLoad.partition_key == snapshot_id(snapshot), is_unplanned),
    )
    rows = connection.execute(statement).tuples().all()
    return FullLoad(
        table, snapshot, [key.rpartition("/")[2] for key, _ in rows], max((at for _, at in rows), default=snapshot)
    )


def _table_ids(connection: Connection, tables: Collection[str] | None = None) -> list[int]:
    """Select ids, which a statement then names one by one: that is what makes databases use an index by table."""
    statement = select(CubicTable.id)
    if tables is not None:
        statement = statement.where(CubicTable.name.in_(tables))
    return list(connection.execute(statement).scalars())


def _ids_by_name(connection: Connection, tables: Collection[str]) -> dict[str, int]:
    statement = select(CubicTable.name, CubicTable.id).where(CubicTable.name.in_(tables)).order_by(CubicTable.name)
    return dict(connection.execute(statement).tuples().all())
