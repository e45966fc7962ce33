"""What the ledger's work costs: a scan of keys that are known, and the whole life of a load."""

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import Connection, Engine, func, select, text

from benchmarks.ledger_rows import table_name
from cubic_ingestion.domain.load import Arrival, Ingested, Load, ObjectVersion, Placement
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.models import CubicLoad, CubicTable

PAGE = 1_000
CHUNK = 500
ROUNDS = 24
_round = count()


def known_keys(engine: Engine, n_keys: int) -> tuple[int, float, float]:
    """Register keys that are recorded, a page of a listing at a time; returns their number, seconds, and MiB grown by.

    Reading the pages from the database takes a listing's place, and is not part of the time.
    """
    ledger = Ledger(engine)
    seconds, n_seen, before = 0.0, 0, _peak_mib()
    with engine.connect() as connection:
        for page in _listing(connection, n_keys):
            started = time.perf_counter()
            n_new = ledger.intake.register(page)
            seconds += time.perf_counter() - started
            n_seen += len(page)
            if n_new:
                raise SystemExit(f"{n_new} keys were new; it would be no measurement.")
    return n_seen, seconds, _peak_mib() - before


def lives(engines: Mapping[str, Engine]) -> dict[str, list[float]]:
    """Bring loads of the largest table through all their statuses, by turns on each engine; returns ms a load.

    All that the ledger does for a load, with its commits; nothing is read, written or moved.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            number = next(_round)
            started = time.perf_counter()
            _live(Ledger(engine), number)
            milliseconds[name].append((time.perf_counter() - started) * 1000 / CHUNK)
    return milliseconds


def _listing(connection: Connection, n_keys: int) -> Iterator[list[Arrival]]:
    last = ""
    statement = text(
        "SELECT l.s3_key, l.s3_etag, l.s3_size, l.s3_modified, t.name FROM cubic_loads l"
        " JOIN cubic_tables t ON t.id = l.table_id WHERE l.s3_key > :last ORDER BY l.s3_key LIMIT :limit"
    )
    for _ in range(0, n_keys, PAGE):
        rows = connection.execute(statement, {"last": last, "limit": PAGE}).all()
        connection.rollback()
        if not rows:
            return
        last = rows[-1].s3_key
        yield [
            Arrival(
                row.name,
                is_raw=False,
                version=ObjectVersion(row.s3_key, row.s3_etag, row.s3_size, moment(row.s3_modified)),
            )
            for row in rows
        ]


def moment(value: datetime | str) -> datetime:
    """Read a moment of a row; SQLite has it as text."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)


def waiting(engine: Engine) -> int:
    """Count the loads of the largest table that are not ingested yet."""
    statement = select(func.count()).select_from(CubicLoad).join(CubicTable, CubicTable.id == CubicLoad.table_id)
    with engine.connect() as connection:
        is_ours = (CubicTable.name == table_name(0)) & (CubicLoad.status == LoadStatus.READY.value)
        return connection.execute(statement.where(is_ours)).scalar_one()


def let_wait(engine: Engine, n_loads: int) -> None:
    """Register so many loads of the largest table that nobody works on."""
    now = datetime.now(UTC)
    versions = [ObjectVersion(f"cubic/waiting/{n}.csv.gz", str(n), 5, now) for n in range(n_loads)]
    for start in range(0, n_loads, PAGE):
        page = [Arrival(table_name(0), is_raw=False, version=version) for version in versions[start : start + PAGE]]
        Ledger(engine).intake.register(page)


def work_off(engine: Engine) -> int:
    """Bring all that waits in the largest table to its end; returns how many loads were ingested."""
    ledger, n_ingested = Ledger(engine), 0
    while True:
        n_planned, n_held, n_moving = _advance(ledger, f"bench-{next(_round)}/a")
        n_ingested += n_held
        if not (n_planned or n_held or n_moving):
            return n_ingested


def _live(ledger: Ledger, number: int) -> None:
    """Register, plan, ingest and archive a chunk; where loads waited before, the oldest go first."""
    now = datetime.now(UTC)
    versions = [ObjectVersion(f"cubic/bench/{number}/{n}.csv.gz", f"{number}-{n}", 5, now) for n in range(CHUNK)]
    ledger.intake.register([Arrival(table_name(0), is_raw=False, version=version) for version in versions])
    if (moved := _advance(ledger, f"bench-{number}/a")) != (CHUNK, CHUNK, CHUNK):
        raise SystemExit(f"{moved} loads instead of {CHUNK}: no measurement.")


def _advance(ledger: Ledger, claimant: str) -> tuple[int, int, int]:
    """Plan, ingest and archive up to a chunk each; returns how many."""
    now, tables = datetime.now(UTC), [table_name(0)]
    waiting = ledger.plans.unplanned(tables, now, CHUNK)
    ledger.plans.place([Placement(load.id, now, "2022-03-04", now) for load in waiting])
    held = _claim(ledger, tables, Work.INGEST, claimant)
    done = [Ingested(load.id, load.partition_key or "", 9, 99, f"at/{load.id}/part-0.parquet") for load in held]
    ledger.outcomes.complete_ingest(claimant, done)
    moving = _claim(ledger, tables, Work.ARCHIVE, claimant)
    ledger.outcomes.complete_archive(claimant, {load.id: f"archive/{load.id}" for load in moving})
    return len(waiting), len(held), len(moving)


def _claim(ledger: Ledger, tables: Sequence[str], work: Work, claimant: str) -> Sequence[Load]:
    now = datetime.now(UTC)
    expires_at = now + timedelta(minutes=15)
    return ledger.claims.take(tables, work, claimant=claimant, now=now, expires_at=expires_at, limit=CHUNK)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
