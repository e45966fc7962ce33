"""What every load ledger promises of tables and of registering."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import UnrecordedTableError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import NOON, a_table, an_arrival
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, BASE, CHANGES, DMAP, claim, ready, register, reread


def test_every_method_of_the_port_is_filled() -> None:
    port = {name for name in vars(Ledger) if not name.startswith("_")}
    assert port - set(vars(Ledger)) == set()


def test_a_new_version_is_a_ready_load_with_all_that_the_listing_said(ledger: Ledger) -> None:
    arrival = an_arrival(modified_at=NOON.replace(microsecond=123456), etag='"abc"', size_bytes=3_000_000_000)
    assert ledger.intake.register([arrival]) == 1
    (load,) = ledger.queries.loads()
    assert (load.table, load.status, load.version) == (DMAP.name, LoadStatus.READY, arrival.version)
    assert (load.partition_key, load.attempts, load.is_replay_due) == (None, 0, False)


def test_a_version_that_is_on_record_is_not_recorded_again(ledger: Ledger) -> None:
    arrivals = [an_arrival(key=f"{DMAP.prefix}{number}.csv") for number in range(1_000)]
    assert ledger.intake.register(arrivals[:600]) == 600
    assert ledger.intake.register(arrivals) == 400
    assert ledger.intake.register(arrivals) == 0
    assert len(ledger.queries.loads(limit=2_000)) == 1_000


@pytest.mark.parametrize(
    "change", [{"etag": '"e2"'}, {"modified_at": NOON + timedelta(microseconds=1)}, {"key": f"{DMAP.prefix}b.csv"}]
)
def test_another_etag_time_or_key_is_another_load(ledger: Ledger, change: dict[str, Any]) -> None:
    assert ledger.intake.register([an_arrival()]) == 1
    assert ledger.intake.register([an_arrival(**change)]) == 1


def test_a_version_that_a_page_names_twice_is_one_load(ledger: Ledger) -> None:
    assert ledger.intake.register([an_arrival(), an_arrival()]) == 1


def test_two_scans_at_once_record_each_version_once(ledger: Ledger) -> None:
    arrivals = [an_arrival(key=f"{DMAP.prefix}{number}.csv") for number in range(300)]
    pages = [arrivals[:200], arrivals[100:], arrivals[::-1], arrivals]
    with ThreadPoolExecutor(len(pages)) as threads:
        assert sum(threads.map(ledger.intake.register, pages)) == 300
    assert len(ledger.queries.loads(limit=1_000)) == 300


def test_a_load_of_an_unknown_table_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(UnrecordedTableError, match="cubic__dmap__other"):
        ledger.intake.register([an_arrival(a_table("cubic__dmap__other", prefix="cubic/dmap/other/"))])


def test_versions_of_a_key_come_as_they_were_registered_whatever_their_times(ledger: Ledger) -> None:
    for etag, hours in (("first", 1), ("second", 0)):
        ledger.intake.register([an_arrival(etag=etag, modified_at=NOON + timedelta(hours=hours))])
    key = an_arrival().version.key
    assert [load.version.etag for load in ledger.queries.versions(key)] == ["first", "second"]


@pytest.mark.usefixtures("ledger")
def test_a_base_table_and_its_change_table_are_two_rows(engine: Engine) -> None:
    assert _rows(engine, "name, s3_prefix") == sorted((table.name, table.prefix) for table in (DMAP, BASE, CHANGES))


def test_syncing_the_same_tables_changes_nothing(ledger: Ledger, engine: Engine) -> None:
    before = _rows(engine, "*")
    ledger.tables.sync([CHANGES, DMAP, BASE])
    assert _rows(engine, "*") == before


def test_a_table_declared_no_longer_is_deleted_in_name_and_keeps_its_loads(ledger: Ledger, engine: Engine) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.tables.sync([BASE, CHANGES])
    assert _rows(engine, "name", "deleted_at IS NOT NULL") == [(DMAP.name,)]
    assert reread(ledger, load).table == DMAP.name
    ledger.tables.sync([DMAP, BASE, CHANGES])
    assert _rows(engine, "name", "deleted_at IS NOT NULL") == []


@pytest.mark.parametrize("declared", [[replace(DMAP, is_active=False)], []], ids=["inactive", "not declared"])
def test_loads_of_an_inactive_table_are_neither_planned_nor_claimed(ledger: Ledger, declared: list[Table]) -> None:
    ready(ledger, "a.csv")
    register(ledger, "b.csv")
    ledger.tables.sync([*declared, BASE, CHANGES])
    assert ledger.plans.unplanned([DMAP.name], NOON, 10) == []
    assert ledger.claims.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {}
    assert claim(ledger) == []


def test_a_renamed_table_keeps_its_loads(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.tables.sync([replace(DMAP, name="cubic__dmap__renamed"), BASE, CHANGES])
    assert reread(ledger, load).table == "cubic__dmap__renamed"


def test_two_tables_may_swap_their_prefixes(ledger: Ledger, engine: Engine) -> None:
    swapped = [replace(BASE, prefix=CHANGES.prefix), replace(CHANGES, prefix=BASE.prefix), DMAP]
    ledger.tables.sync(swapped)
    assert _rows(engine, "name, s3_prefix") == sorted((table.name, table.prefix) for table in swapped)


def test_a_table_may_take_the_prefix_of_one_declared_no_longer(ledger: Ledger, engine: Engine) -> None:
    ledger.tables.sync([replace(BASE, prefix=CHANGES.prefix), DMAP])
    assert _rows(engine, "name, s3_prefix", "deleted_at IS NULL") == [
        (DMAP.name, DMAP.prefix),
        (BASE.name, CHANGES.prefix),
    ]


def test_two_processes_may_sync_the_same_new_tables_at_once(ledger: Ledger, engine: Engine) -> None:
    tables = [a_table(f"cubic__dmap__{number}", prefix=f"cubic/dmap/{number}/") for number in range(20)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ledger.tables.sync, [tables] * 4))
    assert len(_rows(engine, "name", "deleted_at IS NULL")) == 20


def _rows(engine: Engine, columns: str, condition: str = "1 = 1") -> Sequence[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM cubic_tables WHERE {condition}"))
        return sorted(tuple(row) for row in rows)
