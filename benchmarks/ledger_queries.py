"""What the platform asks of the ledger, each question as it is asked while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.ledger_rows import N_DMAP, N_ODS, N_TABLES, declared, table_name
from benchmarks.ledger_work import moment
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.load import Arrival, Ingested, LoadError, ObjectVersion
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.ledger.transactions import Part, Transactions
from cubic_ingestion.observability.arrivals import missing_arrivals


class _OneTransaction(Transactions):
    """Runs all statements in a transaction that somebody else has begun."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.engine, 0)
        self._connection = connection

    def read(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any statement
        """Run what only reads."""
        return work(self._connection, *arguments, **named)

    write = read


def ledger_on(connection: Connection) -> Ledger:
    """Return a ledger whose calls are part of a connection's transaction."""
    ledger = Ledger(connection.engine)
    parts = [part for part in vars(ledger).values() if isinstance(part, Part)]
    for part in (*parts, *ledger.deliveries.values()):
        part.database = _OneTransaction(connection)
    return ledger


@dataclass(frozen=True)
class Query:
    """A question and how it is asked; what it writes is rolled back."""

    name: str
    ask: Callable[[Ledger], object]
    reads_all: bool = False
    """Whether it is allowed to read every load."""
    is_walk: bool = False
    """Whether it goes back from the newest load until it has enough, which SQLite calls a scan."""


def queries(connection: Connection) -> list[Query]:
    """Put the questions together, about loads that there are."""
    newest = connection.execute(text("SELECT max(id) FROM cubic_loads")).scalar_one()
    now = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(seconds=newest * 10 + 3600)
    names = [table_name(number) for number in range(N_TABLES)]
    ods, dmap = names[:N_ODS], names[N_ODS : N_ODS + N_DMAP]
    rows = connection.execute(
        text(
            "SELECT id, s3_key, s3_etag, s3_modified, location, table_id, partition_key FROM cubic_loads"
            " WHERE id > :after AND status = 'archived' ORDER BY id LIMIT 1000"
        ),
        {"after": newest // 2},
    ).all()
    keys, days = [row.s3_key for row in rows], sorted({row.partition_key for row in rows})
    held = connection.execute(
        text(
            "SELECT id, claimed_by, partition_key FROM cubic_loads WHERE status = 'ingesting' ORDER BY id DESC LIMIT 1"
        )
    ).one()
    waiting = connection.execute(
        text("SELECT id FROM cubic_loads WHERE status = 'ready' AND partition_key IS NULL LIMIT 1")
    ).scalar_one()
    arrivals = [Arrival(names[0], is_raw=False, version=ObjectVersion(key, "new", 5, now)) for key in keys]
    known = [
        Arrival(names[0], is_raw=False, version=ObjectVersion(row.s3_key, row.s3_etag, 5, moment(row.s3_modified)))
        for row in rows
    ]
    done = Ingested(held.id, held.partition_key, 1, 1, "a/new/place")
    error = LoadError("bad", "It is bad.")
    days_ago = now - timedelta(days=2)
    term = {"now": now, "expires_at": now}
    hold: dict[str, Any] = {"claimant": "run-new/a", **term}
    return [
        Query("register: known keys, 1,000", lambda ledger: ledger.intake.register(known)),
        Query("register: new versions, 1,000", lambda ledger: ledger.intake.register(arrivals)),
        Query("unplanned", lambda ledger: ledger.plans.unplanned(ods, now, 5_000)),
        Query("snapshots", lambda ledger: ledger.plans.snapshots(names[1])),
        Query("placed_since: a page", lambda ledger: next(ledger.plans.placed_since(names[:2], days_ago, None), None)),
        Query("wait", lambda ledger: ledger.plans.wait(waiting, "waits", now)),
        *(
            Query(
                f"claimable: {work}, a stream",
                lambda ledger, work=work: ledger.claims.claimable(ods, work, **term),
            )
            for work in Work
        ),
        *(
            Query(
                f"claim: {work}, largest table",
                lambda ledger, work=work: ledger.claims.take(names[:1], work, limit=10_000, **hold),
            )
            for work in (Work.INGEST, Work.REPLAY)
        ),
        *(
            Query(
                f"claim: {work}, a stream", lambda ledger, work=work: ledger.claims.take(ods, work, limit=500, **hold)
            )
            for work in (Work.ARCHIVE, Work.ERROR)
        ),
        Query(
            "claim: replay of a day",
            lambda ledger: ledger.claims.take(names[:1], Work.REPLAY, limit=500, partition_keys=days[:1], **hold),
        ),
        Query("holders", lambda ledger: ledger.claims.holders()),
        Query("holdings", lambda ledger: ledger.claims.holdings()),
        Query("renew", lambda ledger: ledger.claims.renew(held.claimed_by, now)),
        Query("holds", lambda ledger: ledger.claims.holds(held.claimed_by, held.id)),
        Query("is_at_work", lambda ledger: ledger.claims.is_at_work(held.claimed_by, now)),
        Query("release", lambda ledger: ledger.claims.release(held.claimed_by, retry_at=now, load_ids=[held.id])),
        Query("release_runs", lambda ledger: ledger.claims.release_runs(held.claimed_by, retry_at=now)),
        Query("complete_ingest", lambda ledger: ledger.outcomes.complete_ingest(held.claimed_by, [done])),
        Query("reject", lambda ledger: ledger.outcomes.reject(held.id, error, claimant=held.claimed_by)),
        Query("newest_at: 500", lambda ledger: ledger.queries.newest_at([row.location for row in rows[:500]])),
        Query("versions", lambda ledger: ledger.queries.versions(keys[0])),
        Query("mark_replay: 500", lambda ledger: ledger.outcomes.mark_replay([row.id for row in rows[:500]])),
        Query("partition_totals: 10 days", lambda ledger: ledger.partitions.totals(names[0], days[:10])),
        Query("n_rows: largest table", lambda ledger: ledger.queries.n_rows(names[0])),
        Query("locations: a day", lambda ledger: ledger.partitions.locations(names[0], days[:1])),
        Query("catalog_due: a stream", lambda ledger: ledger.deliveries[Consumer.CATALOG].due(ods, **term)),
        Query("known_schemas", lambda ledger: ledger.schemas.known(names[0])),
        Query("schema_changes: largest table", lambda ledger: list(ledger.schemas.changes(names[0]))),
        Query("quarantined: a table", lambda ledger: list(ledger.trouble.quarantined(names[:1]))),
        Query("quarantined: a page of all", lambda ledger: ledger.trouble.quarantined(after=newest // 2, limit=5_000)),
        Query("taken_keys: 500", lambda ledger: ledger.queries.taken_keys(keys[:500])),
        *(
            Query(f"loads_at: {place}, 1,000", lambda ledger, place=place: ledger.queries.loads_at(place, keys))
            for place in Place
        ),
        Query("loads_after: a page", lambda ledger: ledger.queries.loads_after(newest // 2, 1_000)),
        Query("standing_after: a page", lambda ledger: ledger.queries.standing_after(keys[0], 1_000)),
        Query("load", lambda ledger: ledger.queries.load(newest // 2)),
        Query("loads: newest of all", lambda ledger: ledger.queries.loads(), is_walk=True),
        Query("loads: errored", lambda ledger: ledger.queries.loads(statuses=[LoadStatus.ERRORED]), is_walk=True),
        Query(
            "loads: ready of a small table",
            lambda ledger: ledger.queries.loads(tables=dmap[-1:], statuses=[LoadStatus.READY]),
        ),
        Query("loads: newest of a small table", lambda ledger: ledger.queries.loads(tables=dmap[-1:])),
        Query("sync_tables: nothing changed", lambda ledger: ledger.tables.sync(declared().values())),
        Query("open_loads", lambda ledger: ledger.counts.open_loads(now)),
        Query("errored: in two days", lambda ledger: ledger.counts.errored(days_ago)),
        Query("open_ids: 1,000", lambda ledger: ledger.counts.open_ids(0, newest, 1_000)),
        Query("totals: of the last 10,000", lambda ledger: ledger.counts.totals(newest - 10_000, newest, [])),
        Query("newest: all tables", lambda ledger: ledger.counts.newest()),
        Query("passages: 1,000", lambda ledger: ledger.counts.passages(1_000), is_walk=True),
        *(
            Query(
                f"arrivals: {N_TABLES} tables, {hours} h later",
                lambda ledger, hours=hours: missing_arrivals(declared(), ledger, now + timedelta(hours=hours)),
            )
            for hours in (1, 72)
        ),
        Query("status_counts", lambda ledger: ledger.queries.status_counts(), reads_all=True),
        Query(
            "locations_by_schema: largest table",
            lambda ledger: sum(1 for _ in islice(ledger.schemas.locations(names[0]), 1)),
        ),
    ]
