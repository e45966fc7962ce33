"""What the platform asks of the metadata database, each question as it is asked while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.ledger_rows import N_DMAP, N_ODS, N_TABLES, declared, table_name
from cubic_ingestion.domain.load import Arrival, Ingested, LoadError, ObjectVersion
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.metadata_db import (
    auditing,
    claiming,
    completing,
    declared_tables,
    holding,
    looking_up,
    observing,
    planning,
    registering,
    table_schemas,
)
from cubic_ingestion.metadata_db.outbox import CATALOG
from cubic_ingestion.metadata_db.sql_load_observer import SqlLoadObserver
from cubic_ingestion.observability.arrivals import missing_arrivals
from cubic_ingestion.ports import Place


@dataclass(frozen=True)
class Query:
    """A question and how it is asked; what it writes is rolled back."""

    name: str
    ask: Callable[[Connection], object]
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
    done = Ingested(held.id, held.partition_key, 1, 1, "a/new/place")
    error = LoadError("bad", "It is bad.")
    days_ago = now - timedelta(days=2)
    term = {"now": now, "expires_at": now}
    hold: dict[str, Any] = {"claimant": "run-new/a", "partition_keys": None, **term}
    return [
        Query("register: known keys, 1,000", lambda c: registering.unrecorded(c, arrivals)),
        Query("register: new versions, 1,000", lambda c: registering.record(c, arrivals, now)),
        Query("unplanned", lambda c: planning.unplanned(c, ods, now, 5_000)),
        Query("snapshots", lambda c: planning.snapshots(c, names[1])),
        Query("placed_since: a page", lambda c: planning.placed_page(c, names[:2], days_ago, None, None)),
        Query("wait", lambda c: planning.wait(c, waiting, "waits", now, now)),
        *(
            Query(
                f"claimable: {work}, a stream",
                lambda c, work=work: claiming.claimable(c, ods, work, **term, through=None),
            )
            for work in Work
        ),
        *(
            Query(
                f"claim: {work}, largest table",
                lambda c, work=work: claiming.claim(c, names[:1], work, limit=10_000, **hold),
            )
            for work in (Work.INGEST, Work.REPLAY)
        ),
        *(
            Query(f"claim: {work}, a stream", lambda c, work=work: claiming.claim(c, ods, work, limit=500, **hold))
            for work in (Work.ARCHIVE, Work.ERROR)
        ),
        Query(
            "claim: replay of a day",
            lambda c: claiming.claim(c, names[:1], Work.REPLAY, limit=500, **{**hold, "partition_keys": days[:1]}),
        ),
        Query("holders", holding.holders),
        Query("holdings", holding.holdings),
        Query("renew", lambda c: claiming.renew(c, held.claimed_by, now)),
        Query("holds", lambda c: claiming.holds(c, held.claimed_by, held.id)),
        Query("is_at_work", lambda c: claiming.is_at_work(c, held.claimed_by, now)),
        Query("release", lambda c: claiming.release(c, held.claimed_by, now, [held.id], now, reason=None, is_try=True)),
        Query("release_runs", lambda c: claiming.release_prefix(c, held.claimed_by, now, now)),
        Query("complete_ingest", lambda c: completing.complete_ingest(c, held.claimed_by, [done], now)),
        Query("reject", lambda c: completing.reject(c, held.id, error, held.claimed_by, now)),
        Query("newest_at: 500", lambda c: looking_up.newest_at(c, [row.location for row in rows[:500]])),
        Query("versions", lambda c: looking_up.versions(c, keys[0])),
        Query("mark_replay: 500", lambda c: planning.mark_replay(c, [row.id for row in rows[:500]], now)),
        Query("partition_totals: 10 days", lambda c: looking_up.partition_totals(c, names[0], days[:10])),
        Query("n_rows: largest table", lambda c: looking_up.n_rows(c, names[0])),
        Query("locations: a day", lambda c: looking_up.locations(c, names[0], days[:1])),
        Query("catalog_due: a stream", lambda c: CATALOG.due(c, ods, now, now)),
        Query("known_schemas", lambda c: table_schemas.known_schemas(c, names[0])),
        Query("schema_changes: largest table", lambda c: list(table_schemas.schema_changes(c, names[0]))),
        Query("quarantined: a table", lambda c: list(looking_up.quarantined(c, names[:1]))),
        Query("quarantined: a page of all", lambda c: looking_up.quarantined(c, None, newest // 2, 5_000)),
        Query("taken_keys: 500", lambda c: looking_up.taken_keys(c, keys[:500])),
        *(
            Query(f"loads_at: {place}, 1,000", lambda c, place=place: auditing.loads_at(c, place, keys))
            for place in Place
        ),
        Query("loads_after: a page", lambda c: auditing.loads_after(c, newest // 2, 1_000)),
        Query("standing_after: a page", lambda c: auditing.standing_after(c, keys[0], 1_000)),
        Query("load", lambda c: looking_up.load(c, newest // 2)),
        Query("loads: newest of all", lambda c: looking_up.loads(c, None, None, 100), is_walk=True),
        Query("loads: errored", lambda c: looking_up.loads(c, None, [LoadStatus.ERRORED], 100), is_walk=True),
        Query("loads: ready of a small table", lambda c: looking_up.loads(c, dmap[-1:], [LoadStatus.READY], 100)),
        Query("loads: newest of a small table", lambda c: looking_up.loads(c, dmap[-1:], None, 100)),
        Query("sync_tables: nothing changed", lambda c: declared_tables.table_changes(c, [])),
        Query("open_loads", lambda c: observing.open_loads(c, now)),
        Query("errored: in two days", lambda c: observing.errored(c, days_ago)),
        Query("open_ids: 1,000", lambda c: observing.open_ids(c, 0, newest, 1_000)),
        Query("totals: of the last 10,000", lambda c: observing.totals(c, newest - 10_000, newest, [])),
        Query("newest: all tables", observing.newest),
        Query("passages: 1,000", lambda c: observing.passages(c, 1_000), is_walk=True),
        *(
            Query(
                f"arrivals: {N_TABLES} tables, {hours} h later",
                lambda c, hours=hours: missing_arrivals(
                    declared(), SqlLoadObserver(c.engine), now + timedelta(hours=hours)
                ),
            )
            for hours in (1, 72)
        ),
        Query("status_counts", looking_up.status_counts, reads_all=True),
        Query(
            "locations_by_schema: largest table",
            lambda c: sum(1 for _ in islice(table_schemas.locations_by_schema(c, names[0]), 1)),
        ),
    ]
