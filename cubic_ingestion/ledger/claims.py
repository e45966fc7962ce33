"""Claims: who may work on which load. Counting, taking, keeping and giving back."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    select,
    true,
    union,
    update,
)
from sqlalchemy.orm import aliased

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE, Holding, Right
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.steps import StepKind
from cubic_ingestion.ledger import leases
from cubic_ingestion.ledger.leases import is_due, is_over, moments
from cubic_ingestion.ledger.models import CubicLoad, CubicTable
from cubic_ingestion.ledger.rows import IS_IN_PAGE, in_pages, select_loads, to_load
from cubic_ingestion.ledger.steps import record_steps
from cubic_ingestion.ledger.transactions import Part, reads, records, writes
from cubic_ingestion.ledger.transitions import GIVEN_BACK, MAX_REASON_CHARACTERS, UNCLAIMED, moved

_log = logging.getLogger(__name__)


_OLDEST_FIRST = (
    # Not the bare column: SQLite would then walk the index that is sorted by it, through all that is archived.
    func.coalesce(CubicLoad.source_at, datetime.min.replace(tzinfo=UTC)),
    CubicLoad.s3_modified,
    CubicLoad.id,
)


_Other = aliased(CubicLoad)
"""Another version of the same object."""


# Made once, like all that is asked for every load or every claim: to build a statement costs more than to run it.
_HOLDS = select(CubicLoad.id).where(CubicLoad.id == bindparam("load_id"), CubicLoad.claimed_by == bindparam("claimant"))
_HOLDERS = union(*(lease.holders() for lease in (leases.LOADS, *leases.ALL_BUT_LOADS)))
_IS_OF_TABLES = CubicTable.name.in_(bindparam("tables", expanding=True))
_LOCKED_TABLES = select(CubicTable.id).where(_IS_OF_TABLES).order_by(CubicTable.id).with_for_update(key_share=True)

# Another version of the same object is being ingested: both would write the same place.
_IS_BEING_REWRITTEN = and_(
    _Other.s3_key == CubicLoad.s3_key,
    _Other.id != CubicLoad.id,
    _Other.status == LoadStatus.INGESTING.value,
    ~is_over(_Other.claim_expires_at),
)
_IS_BY_SOMEBODY_ELSE = _Other.claimed_by != bindparam("claimant")

_SET_BY_CLAIMS = ("status", "claimed_by", "claim_expires_at", "updated_at", "retry_at", "waits_for")
_CLAIM = update(CubicLoad).where(IS_IN_PAGE).values({name: bindparam(f"new_{name}") for name in _SET_BY_CLAIMS})


class Claims(Part):
    """The rights to work on loads.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def claimable(
        self,
        connection: Connection,
        tables: Collection[str],
        work: Work,
        *,
        now: datetime,
        expires_at: datetime,
        through: int | None = None,
    ) -> Mapping[str, int]:
        """Count the loads that ``claim`` with these moments would get, by table; tables with none are left out.

        Args:
            tables: Names of tables.
            work: What for.
            now: The present moment.
            expires_at: When a claim that is taken now ends.
            through: Only loads with an id up to this one; all if None.
        """
        parameters = {"tables": list(tables), "through": through, **moments(now, expires_at)}
        rows = connection.execute(_free_by_table(work, is_bounded=through is not None), parameters)
        return {row[0]: row[1] for row in rows}

    def take(
        self,
        tables: Collection[str],
        work: Work,
        *,
        claimant: str,
        now: datetime,
        expires_at: datetime,
        limit: int,
        partition_keys: Collection[str] | None = None,
    ) -> list[Load]:
        """Take loads for work, atomically: those waiting for it, and those whose claim on it has expired.

        A claim that ends more than a minute after ``expires_at`` was taken by a clock that is ahead, and counts as
        expired: otherwise it would hold its loads until that clock's time.

        For ``Work.REPLAY`` without ``partition_keys`` only loads marked for replay count; with them, every archived
        load of those partitions.

        Returns:
            The loads now held, ordered by source time, then LastModified, then id. No try is counted yet.
        """
        tries = count()

        def take(connection: Connection) -> list[Load]:
            # A commit whose answer was lost may have been one: then this claimant holds the loads already.
            if next(tries) and (held := _held(connection, claimant, work)):
                return held
            return _take(connection, tables, work, claimant, now, expires_at, limit, partition_keys)

        return self.database.write(take)

    @writes
    def count_tries(self, connection: Connection, claimant: str, loads: Collection[Load]) -> None:
        """Count one more try at each of some held loads. Called when work on them begins, so that a kill counts too.

        Args:
            claimant: Who holds them.
            loads: The loads, with their ``attempts`` so far. Calling this again with the same loads changes nothing.
        """
        for attempts in {load.attempts for load in loads}:
            for page in in_pages([load.id for load in loads if load.attempts == attempts]):
                statement = update(CubicLoad).where(CubicLoad.id.in_(page), CubicLoad.claimed_by == claimant)
                connection.execute(statement.values(attempts=attempts + 1))

    @writes
    def renew(self, connection: Connection, claimant: str, expires_at: datetime) -> int:
        """Extend all claims of a claimant; returns how many it still holds."""
        return leases.LOADS.renew(connection, claimant, expires_at)

    @reads
    def holds(self, connection: Connection, claimant: str, load_id: int) -> bool:
        """Say whether a claimant still holds a load: the fence before anything is published."""
        return connection.execute(_HOLDS, {"load_id": load_id, "claimant": claimant}).first() is not None

    @reads
    def is_at_work(self, connection: Connection, claimant_prefix: str, now: datetime) -> bool:
        """Say whether a claimant with this prefix (a run's id) holds something under a claim that has not expired."""
        of_runs = (leases.LOADS, leases.DELIVERIES)
        return any(lease.is_in_use(connection, claimant_prefix, now) for lease in of_runs)

    @records
    def release(
        self,
        connection: Connection,
        now: datetime,
        claimant: str,
        *,
        retry_at: datetime,
        load_ids: Collection[int] | None = None,
        reason: str | None = None,
        is_try: bool = True,
    ) -> int:
        """Give held loads back to the status they were claimed from.

        Args:
            claimant: Who holds them.
            retry_at: They are not claimed before.
            load_ids: Only these; all that the claimant holds if None.
            reason: Why, in words for people; it stands in ``waits_for`` until they are claimed again.
            is_try: False takes back the try that was counted: what went wrong has nothing to do with these loads.

        Returns:
            How many loads were given back.
        """
        is_held = CubicLoad.claimed_by == claimant
        values: dict[str, Any] = {"retry_at": retry_at, "updated_at": now}
        if reason is not None:
            values["waits_for"] = reason[:MAX_REASON_CHARACTERS]
        if not is_try:
            values["attempts"] = CubicLoad.attempts - 1
        if load_ids is None:
            return _give_back(connection, is_held, values)
        return sum(_give_back(connection, is_held & CubicLoad.id.in_(page), values) for page in in_pages(load_ids))

    @records
    def release_runs(self, connection: Connection, now: datetime, claimant_prefix: str, *, retry_at: datetime) -> int:
        """Give back whatever claimants with this prefix (a run's id) hold: loads, and tables with deliveries.

        Returns:
            How many loads they held.
        """
        leases.DELIVERIES.release(connection, claimant_prefix)
        return _give_back(
            connection, leases.LOADS.is_held_by(claimant_prefix), {"retry_at": retry_at, "updated_at": now}
        )

    @reads
    def holders(self, connection: Connection) -> Sequence[str]:
        """Return everybody who holds loads, a table with deliveries, a feed or a shard."""
        return [holder for holder in connection.execute(_HOLDERS).scalars() if holder is not None]

    @reads
    def holdings(self, connection: Connection) -> list[Holding]:
        """Return everything that somebody holds, expired or not; loads are counted by table and holder."""
        ends_at = func.max(CubicLoad.claim_expires_at, type_=CubicLoad.claim_expires_at.type)
        loads = (
            select(CubicTable.name, CubicLoad.claimed_by, ends_at, func.count())
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicLoad.claimed_by.is_not(None))
            .group_by(CubicTable.name, CubicLoad.claimed_by)
            .order_by(CubicTable.name, CubicLoad.claimed_by)
        )
        found = [Holding(Right.LOADS, *row) for row in connection.execute(loads)]
        return found + [holding for lease in leases.ALL_BUT_LOADS for holding in lease.holdings(connection)]

    @records
    def release_holder(self, connection: Connection, now: datetime, holder: str, *, retry_at: datetime) -> int:
        """Give back all that one holder has, of whatever kind; returns how many loads it held."""
        for lease in leases.ALL_BUT_LOADS:
            lease.release(connection, holder)
        return _give_back(connection, CubicLoad.claimed_by == holder, {"retry_at": retry_at, "updated_at": now})


def _take(
    connection: Connection,
    tables: Collection[str],
    work: Work,
    claimant: str,
    now: datetime,
    expires_at: datetime,
    limit: int,
    partition_keys: Collection[str] | None,
) -> list[Load]:
    """Take loads: lock the tables, lock and read the loads, write the claims; one transaction."""
    # Two claimants that took two versions of one key at the same moment would not see each other's claim. So claims on
    # the same tables go one after the other. The lock's kind lets registering, which refers to the tables, go on. On
    # SQLite all writers go one after the other.
    names = {"tables": list(tables)}
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCKED_TABLES, names)
    parameters = {**names, **moments(now, expires_at), "claimant": claimant, "limit": limit}
    if partition_keys is not None:
        parameters["partition_keys"] = list(partition_keys)
    statement = _free_loads(work, is_of_partitions=partition_keys is not None)
    loads = [to_load(row) for row in connection.execute(statement, parameters)]
    _warn_of_clocks(loads, expires_at)
    values = {**leases.LOADS.taken(claimant, expires_at), "updated_at": now}
    values |= dict.fromkeys(("retry_at", "waits_for"))
    _write_claims(connection, loads, work, values)
    if work in {Work.INGEST, Work.REPLAY}:
        record_steps(connection, [load.id for load in loads], StepKind.CLAIMED, now, claimant)
    return [replace(load, status=work.held, **values) for load in loads]


@cache
def _free_by_table(work: Work, *, is_bounded: bool) -> Select[Any]:
    """Count the loads that may be taken for this work by table: of some tables, all or up to an id."""
    # Not the bare id, by which SQLite would walk the primary key, through all that is archived.
    is_meant = [CubicLoad.id + 0 <= bindparam("through")] if is_bounded else []
    return (
        select(CubicTable.name, func.count())
        .join(CubicLoad, CubicLoad.table_id == CubicTable.id)
        .where(_IS_OF_TABLES, *_is_free(work), *is_meant)
        .where(~exists().where(_IS_BEING_REWRITTEN))
        .group_by(CubicTable.name)
    )


@cache
def _free_loads(work: Work, *, is_of_partitions: bool) -> Select[Any]:
    """Select and lock the loads that may be taken for this work, of some tables or also only of some partitions."""
    return (
        select_loads()
        .where(_IS_OF_TABLES, *_is_free(work, is_of_partitions=is_of_partitions))
        .where(~exists().where(_IS_BEING_REWRITTEN, _IS_BY_SOMEBODY_ELSE))
        .order_by(*_OLDEST_FIRST)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(of=CubicLoad, skip_locked=True)
    )


def _held(connection: Connection, claimant: str, work: Work) -> list[Load]:
    """Select what a claimant holds for this work."""
    statement = select_loads().where(CubicLoad.claimed_by == claimant, CubicLoad.status == work.held.value)
    return [to_load(row) for row in connection.execute(statement.order_by(*_OLDEST_FIRST))]


def _warn_of_clocks(loads: Sequence[Load], expires_at: datetime) -> None:
    """Log whose claims are taken over because they end later than any that is taken now."""
    ahead = {
        load.claimed_by: load.claim_expires_at
        for load in loads
        if load.claim_expires_at and load.claim_expires_at > expires_at + CLOCK_TOLERANCE
    }
    for claimant, until in ahead.items():
        _log.warning("claim taken over: the clock that made it is ahead; it is of %s, until %s", claimant, until)


def _is_free(work: Work, *, is_of_partitions: bool = False) -> list[ColumnElement[bool]]:
    """Conditions under which a load waits for this work, or is held for it by somebody whose claim is over."""
    conditions: list[ColumnElement[bool]] = [
        CubicTable.is_active.is_(True),
        CubicTable.deleted_at.is_(None),
        CubicLoad.status.in_([work.waiting.value, work.held.value]),
        CubicLoad.deleted_at.is_(None),
        is_over(CubicLoad.claim_expires_at),
        is_due(CubicLoad.retry_at),
    ]
    if is_of_partitions:
        conditions.append(CubicLoad.partition_key.in_(bindparam("partition_keys", expanding=True)))
    elif work in {Work.INGEST, Work.REPLAY}:
        conditions.append(CubicLoad.partition_key.is_not(None))
    if work is Work.REPLAY and not is_of_partitions:
        conditions.append(CubicLoad.is_replay_due == true())
    return conditions


def _write_claims(connection: Connection, loads: Sequence[Load], work: Work, values: Mapping[str, Any]) -> None:
    for load in loads:
        if load.status is not work.held:
            moved(load.id, load.status, work.held)
    parameters = {f"new_{name}": value for name, value in {"status": work.held.value, **values}.items()}
    for page in in_pages([load.id for load in loads]):
        connection.execute(_CLAIM, {"page": page, **parameters})


def _give_back(connection: Connection, is_held: ColumnElement[bool], values: Mapping[str, Any]) -> int:
    returned = case(
        *((CubicLoad.status == held.value, waiting.value) for held, waiting in GIVEN_BACK.items()),
        else_=CubicLoad.status,
    )
    statement = update(CubicLoad).where(is_held, CubicLoad.status.in_([held.value for held in GIVEN_BACK]))
    # Its sidecar may be another one when it is taken up again: it is planned anew, with that one.
    is_unread = (CubicLoad.status == LoadStatus.INGESTING.value) & CubicLoad.sidecar_etag.is_not(None)
    partition_key = case((is_unread, None), else_=CubicLoad.partition_key)
    returns = {"status": returned, "partition_key": partition_key, **UNCLAIMED}
    return connection.execute(statement.values({**returns, **values})).rowcount
