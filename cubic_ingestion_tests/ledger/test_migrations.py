"""The way from the old, ODS-only layout to the new one and back, with rows in it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, inspect, text

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.load import Load, Placement
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.models import CubicDmapDataset, CubicDmapFeed, CubicKafkaCheckpoint
from cubic_ingestion.ledger.upgrade import downgrade, upgrade
from cubic_ingestion_tests.builders import NOON, a_change_table, a_table, an_arrival, an_ods_table
from cubic_ingestion_tests.contracts import ledgers
from cubic_ingestion_tests.databases import an_engine

BASE, CHANGES, DMAP = an_ods_table(), a_change_table(), a_table()
SNAPSHOT = datetime(2022, 3, 1, tzinfo=UTC)
OLD_STATUSES = {
    "ready": LoadStatus.READY,
    "ready_for_ingesting": LoadStatus.READY,
    "ingesting": LoadStatus.READY,
    "ready_for_archiving": LoadStatus.READY_FOR_ARCHIVING,
    "archiving": LoadStatus.READY_FOR_ARCHIVING,
    "archived": LoadStatus.ARCHIVED,
    "archived_unknown": LoadStatus.READY_FOR_ARCHIVING,
    "ready_for_erroring": LoadStatus.READY_FOR_ERRORING,
    "erroring": LoadStatus.READY_FOR_ERRORING,
    "errored": LoadStatus.ERRORED,
    "errored_unknown": LoadStatus.READY_FOR_ERRORING,
}


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    """Return a database in the old layout: one table, a base load in each status, and a change file."""
    with an_engine(empty_database_url) as engine:
        upgrade(engine, "0001")
        _execute(
            engine,
            f"""INSERT INTO cubic_ods_tables (id, name, s3_prefix, snapshot, snapshot_s3_key, inserted_at, updated_at)
                VALUES (7, '{BASE.name}', '{BASE.prefix}', '2022-03-01 00:00:00', '{BASE.prefix}LOAD1.csv.gz',
                        '2022-01-01 00:00:00', '2022-01-02 00:00:00'),
                       (9, 'cubic__ods_qlik__edw_idle', 'cubic/ods_qlik/EDW.IDLE/', NULL, 'not/yet/LOAD1.csv.gz',
                        '2022-01-01 00:00:00', '2022-01-02 00:00:00')""",
        )
        keys = {number: f"{BASE.prefix}LOAD{number}.csv.gz" for number in range(1, len(OLD_STATUSES) + 1)}
        for number, status in enumerate(OLD_STATUSES, start=1):
            _insert_old_load(engine, number, status, keys[number])
        _insert_old_load(engine, 100, "archived", f"{CHANGES.prefix}20220304-120000000.csv.gz")
        yield engine


def test_no_load_is_lost_on_the_way_up_and_each_status_has_its_successor(old: Engine) -> None:
    upgrade(old)
    loads = _loads(old)
    assert {load.id: load.status for load in loads if load.id != 100} == dict(enumerate(OLD_STATUSES.values(), start=1))
    assert {load.snapshot for load in loads} == {SNAPSHOT}
    assert {load.version.modified_at for load in loads} == {NOON}
    assert loads[0].version.etag == "legacy:1"


def test_change_files_move_from_the_base_table_to_their_own(old: Engine) -> None:
    upgrade(old)
    assert {load.id: load.table for load in _loads(old)}[100] == CHANGES.name
    assert _rows(old, "SELECT name, s3_prefix FROM cubic_tables WHERE s3_prefix LIKE '%SAMPLE%' ORDER BY id") == [
        (BASE.name, BASE.prefix),
        (CHANGES.name, CHANGES.prefix),
    ]


def test_the_snapshot_columns_become_rows(old: Engine) -> None:
    upgrade(old)
    ledger, moved = Ledger(old), Snapshot(SNAPSHOT, f"{BASE.prefix}LOAD1.csv.gz")
    assert ledger.plans.snapshots(BASE.name) == [moved]
    assert not ledger.plans.open_snapshot(BASE.name, moved)
    assert _rows(old, "SELECT table_id, snapshot_s3_key FROM cubic_table_ods_snapshots WHERE snapshot IS NULL") == [
        (9, "not/yet/LOAD1.csv.gz")
    ]


def test_what_comes_back_down_is_what_went_up_in_the_statuses_of_today(old: Engine) -> None:
    before = _old_rows(old)
    upgrade(old)
    downgrade(old, "0001")
    tables, loads = _old_rows(old)
    assert tables == before[0]
    assert [row[:2] + row[3:] for row in loads] == [row[:2] + row[3:] for row in before[1]]
    assert [row[2] for row in loads][:-1] == [status.value for status in OLD_STATUSES.values()]


def test_a_deployment_from_before_alembic_upgrades_in_place(old: Engine) -> None:
    _execute(old, "DROP TABLE alembic_version")
    upgrade(old)
    assert len(_loads(old)) == len(OLD_STATUSES) + 1


def test_a_load_of_the_old_layout_is_adopted_when_its_object_is_scanned(old: Engine) -> None:
    upgrade(old)
    ledger = Ledger(old)
    ledger.tables.sync([BASE, CHANGES])
    seen = an_arrival(BASE, key=f"{BASE.prefix}LOAD1.csv.gz", modified_at=NOON.replace(microsecond=123456))
    assert ledger.intake.register([seen]) == 0
    assert ledger.queries.versions(seen.version.key)[0].version == seen.version
    assert ledger.intake.register([seen]) == 0


def test_another_version_of_a_load_of_the_old_layout_is_a_load_of_its_own(old: Engine) -> None:
    upgrade(old)
    ledger = Ledger(old)
    ledger.tables.sync([BASE, CHANGES])
    key = f"{BASE.prefix}LOAD1.csv.gz"
    assert ledger.intake.register([an_arrival(BASE, key=key, size_bytes=101)]) == 1
    assert ledger.intake.register([an_arrival(BASE, key=key, modified_at=NOON.replace(second=1))]) == 1


def test_the_round_trip_down_and_up_loses_nothing_that_the_new_layout_knows(engine: Engine) -> None:
    _fill(engine)
    before = _everything(engine)
    downgrade(engine, "0001")
    assert _rows(engine, "SELECT count(*) FROM cubic_ods_loads") == [(2,)]
    upgrade(engine)
    assert _everything(engine) == before
    assert not [name for name in inspect(engine).get_table_names() if "parked" in name or "cubic_ods_" in name]


def test_the_newest_snapshot_is_the_one_that_the_old_layout_sees(engine: Engine) -> None:
    _fill(engine)
    downgrade(engine, "0001")
    assert _rows(engine, "SELECT snapshot_s3_key FROM cubic_ods_tables") == [("second",)]


def test_what_the_old_layout_did_in_between_is_brought_over(engine: Engine) -> None:
    _fill(engine)
    newest = max(load.id for load in _loads(engine))
    downgrade(engine, "0001")
    _execute(engine, "UPDATE cubic_ods_loads SET status = 'archived_unknown' WHERE s3_key LIKE '%LOAD1%'")
    _execute(engine, "UPDATE cubic_ods_tables SET snapshot = '2022-05-01 00:00:00', snapshot_s3_key = 'third'")
    _execute(
        engine,
        f"""INSERT INTO cubic_ods_loads (table_id, status, s3_key, s3_modified, s3_size, snapshot)
            SELECT id, 'ready', '{CHANGES.prefix}new.csv.gz', '2022-05-01 00:00:00', 5, '2022-05-01 00:00:00'
            FROM cubic_ods_tables""",
    )
    upgrade(engine)
    ledger = Ledger(engine)
    assert ledger.queries.versions(f"{BASE.prefix}LOAD1.csv.gz")[0].status is LoadStatus.READY_FOR_ARCHIVING
    (new,) = ledger.queries.versions(f"{CHANGES.prefix}new.csv.gz")
    assert (new.id, new.table, new.version.etag) == (newest + 1, CHANGES.name, f"legacy:{newest + 1}")
    assert [snapshot.key for snapshot in ledger.plans.snapshots(BASE.name)] == ["first", "second", "third"]


def test_ids_go_on_after_the_upgrade(old: Engine) -> None:
    upgrade(old)
    ledger = Ledger(old)
    ledger.tables.sync([BASE, CHANGES, a_table()])
    ledger.intake.register([an_arrival(a_table())])
    assert ledger.queries.loads(limit=1)[0].id == 101


def test_what_the_catalog_has_yet_to_be_told_goes_down_and_up(engine: Engine) -> None:
    ledger = Ledger(engine)
    ledger.tables.sync([DMAP, BASE])
    told, moved, waiting = ledgers.ingested(ledger, "told.csv", "moved.csv", "waiting.csv")
    (refused,) = ledgers.archived(ledger, "LOAD1.csv.gz", table=BASE)
    ledger.claims.take([DMAP.name], Work.ARCHIVE, claimant="run/1", now=NOON, expires_at=NOON, limit=2)
    ledger.outcomes.complete_archive("run/1", {told.id: "told", moved.id: "moved"})

    downgrade(engine, "0004")
    assert _rows(engine, "SELECT name FROM cubic_tables WHERE catalog_due_at IS NOT NULL ORDER BY id") == [
        (DMAP.name,),
        (BASE.name,),
    ]
    _execute(engine, f"UPDATE cubic_tables SET catalog_due_at = NULL WHERE name = '{DMAP.name}'")  # it was told
    upgrade(engine)

    places = {load.id: f"{load.version.key}.parquet" for load in (told, moved, waiting, refused)}
    catalog = ledger.deliveries[Consumer.CATALOG]
    assert catalog.pending_locations(places.values()) == {places[waiting.id], places[refused.id]}
    assert catalog.due([DMAP.name, BASE.name], **ledgers.AT_NOON) == [DMAP.name, BASE.name]


def _fill(engine: Engine) -> None:
    """Put something in every table: loads of all streams, two snapshots, feeds, data sets, checkpoints."""
    ledger = Ledger(engine)
    ledger.tables.sync([BASE, CHANGES, a_table()])
    ledger.plans.open_snapshot(BASE.name, Snapshot(SNAPSHOT, "first"))
    ledger.plans.open_snapshot(BASE.name, Snapshot(SNAPSHOT.replace(month=4), "second"))
    modified_at = NOON.replace(microsecond=123456)
    ledger.intake.register(
        [
            an_arrival(BASE, key=f"{BASE.prefix}LOAD1.csv.gz", modified_at=modified_at),
            an_arrival(CHANGES, key=f"{CHANGES.prefix}20220304-120000000.csv.gz"),
            an_arrival(a_table()),
        ]
    )
    (base,) = ledger.queries.versions(f"{BASE.prefix}LOAD1.csv.gz")
    ledger.plans.place([Placement(base.id, NOON, "20220301T000000Z", SNAPSHOT)])
    ledger.claims.take([BASE.name], Work.INGEST, claimant="run/1", now=NOON, expires_at=NOON, limit=1)
    feed = {"id": 1, "relative_url": "/feed", "last_updated_at": modified_at}
    dataset: dict[str, Any] = {"feed_id": 1, "type": "agg", "identifier": "agg_1", "last_updated_at": NOON}
    with engine.begin() as connection:
        connection.execute(insert(CubicDmapFeed).values(feed))
        days = {"start_date": date(2022, 3, 4), "end_date": date(2022, 3, 4)}
        connection.execute(insert(CubicDmapDataset).values(dataset | days))
        connection.execute(insert(CubicKafkaCheckpoint).values(stream="s", shard="0", sequence_number="49"))


def _everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    names = [name for name in inspect(engine).get_table_names() if name.startswith("cubic_")]
    return {name: _rows(engine, f"SELECT * FROM {name} ORDER BY 1") for name in sorted(names)}


def _old_rows(engine: Engine) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return the rows of the old layout, moments cut to the second, as it wrote them."""
    tables = "SELECT id, name, s3_prefix, substr(CAST(snapshot AS VARCHAR), 1, 19), snapshot_s3_key"
    loads = "SELECT id, table_id, status, s3_key, substr(CAST(s3_modified AS VARCHAR), 1, 19), s3_size"
    return (
        _rows(engine, f"{tables} FROM cubic_ods_tables ORDER BY id"),
        _rows(engine, f"{loads}, substr(CAST(snapshot AS VARCHAR), 1, 19) FROM cubic_ods_loads ORDER BY id"),
    )


def _insert_old_load(engine: Engine, load_id: int, status: str, key: str) -> None:
    _execute(
        engine,
        f"""INSERT INTO cubic_ods_loads (id, table_id, status, s3_key, s3_modified, s3_size, snapshot)
            VALUES ({load_id}, 7, '{status}', '{key}', '2022-03-04 12:00:00', 100, '2022-03-01 00:00:00')""",
    )


def _loads(engine: Engine) -> list[Load]:
    return sorted(Ledger(engine).queries.loads(limit=1_000), key=lambda load: load.id)


def _rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def _execute(engine: Engine, sql: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(sql))
