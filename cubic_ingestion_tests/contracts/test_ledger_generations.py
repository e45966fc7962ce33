"""The suite of ``Ledger``: generations and what a person chose, the same on every database."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.generation import Shown
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.snapshot import Snapshot, snapshot_id
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Column, ColumnRoles, Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Intent
from cubic_ingestion_tests.builders import NOON, an_arrival
from cubic_ingestion_tests.contracts.ledgers import (
    AT_NOON,
    BASE,
    CHANGES,
    LATER,
    an_ingested,
    claim,
    place,
    register,
)

OLD, NEW = datetime(2022, 3, 1, tzinfo=UTC), datetime(2022, 3, 3, tzinfo=UTC)
PRODUCT = "cubic__ods_qlik__edw_sample__current"


class Times:
    """A clock for the ledger that stands until it is set."""

    now = NOON


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def ledger(engine: Engine, times: Times) -> Ledger:
    """Return a ledger with two snapshots of the base table, whose clock stands at noon."""
    ledger = Ledger(engine, now=lambda: times.now)
    ledger.tables.sync([BASE, CHANGES])
    for snapshot in (NEW, OLD):
        ledger.plans.open_snapshot(BASE.name, Snapshot(snapshot, "k"))
    return ledger


def planned(
    ledger: Ledger, *names: str, snapshot: datetime, table: Table = BASE, at: datetime | None = None
) -> list[Load]:
    """Register and place files of a snapshot; those of a change table under a day."""
    loads = register(ledger, *names, table=table)
    key = snapshot_id(snapshot) if table is BASE else f"{snapshot_id(snapshot)}_2022-03-04"
    place(ledger, loads, key, source_at=at or snapshot, snapshot=snapshot)
    return loads


def written(
    ledger: Ledger,
    name: str,
    *,
    snapshot: datetime,
    table: Table = BASE,
    at: datetime | None = None,
    columns: tuple[str, ...] = (),
    key: tuple[str, ...] | None = None,
) -> Load:
    """Bring a file of a snapshot to ``ready_for_archiving``."""
    (load,) = planned(ledger, name, snapshot=snapshot, table=table, at=at)
    claim(ledger, table=table)
    schema = tuple(Column(each, "int64") for each in columns)
    roles = None if key is None else ColumnRoles(key)
    done = an_ingested(load, load.partition_key or "", columns=schema, roles=roles)
    ledger.outcomes.complete_ingest("run-1/a", [done])
    return load


def described(ledger: Ledger, after: str = "") -> list[tuple[str, list[tuple[str, str]], bool]]:
    """Describe generations: id, the name and state of each file by name, and whether there are changes."""
    return [
        (
            each.id,
            sorted(
                (
                    file.key.rpartition("/")[2],
                    "open" if file.is_open else "rejected" if file.is_rejected else "rows" if file.has_rows else "none",
                )
                for file in each.files
            ),
            each.has_changes,
        )
        for each in ledger.generations.newer(BASE.name, after)
    ]


def test_a_table_without_snapshots_has_no_generation(engine: Engine) -> None:
    ledger = Ledger(engine)
    ledger.tables.sync([BASE, CHANGES])
    assert ledger.generations.newer(BASE.name, "") == []
    assert ledger.generations.named(BASE.name, snapshot_id(OLD)) is None
    assert ledger.generations.shown(BASE.name) == Shown()


def test_generations_have_their_files_by_state(ledger: Ledger) -> None:
    written(ledger, "LOAD1", snapshot=OLD)
    written(ledger, "20220304-1", snapshot=OLD, table=CHANGES)
    written(ledger, "LOAD11", snapshot=NEW)
    planned(ledger, "20220304-2", snapshot=NEW, table=CHANGES)
    planned(ledger, "LOAD12", snapshot=NEW)
    (bad,) = planned(ledger, "LOAD13", snapshot=NEW)
    ledger.outcomes.reject(bad.id, LoadError("bad_value", "why"))

    new = (snapshot_id(NEW), [("LOAD11", "rows"), ("LOAD12", "open"), ("LOAD13", "rejected")], False)
    assert described(ledger) == [(snapshot_id(OLD), [("LOAD1", "rows")], True), new]
    assert described(ledger, snapshot_id(OLD)) == [new]
    assert described(ledger, snapshot_id(NEW)) == []
    found = ledger.generations.named(BASE.name, snapshot_id(NEW))
    assert found
    assert found.rejected
    assert found.rejected.load_id == bad.id


def test_a_file_that_is_not_planned_yet_is_open_in_the_generation_of_its_age(ledger: Ledger) -> None:
    for name, modified_at in (("LOAD1", OLD + timedelta(days=1)), ("LOAD2", NEW), ("LOAD0", OLD - timedelta(days=9))):
        ledger.intake.register([an_arrival(BASE, key=BASE.prefix + name, modified_at=modified_at)])

    assert described(ledger) == [
        (snapshot_id(OLD), [("LOAD0", "open"), ("LOAD1", "open")], False),
        (snapshot_id(NEW), [("LOAD2", "open")], False),
    ]


def test_a_file_counts_as_its_newest_version_in_each_generation(ledger: Ledger) -> None:
    """Each full load has the same names, and the same file may be delivered again."""
    key = BASE.prefix + "LOAD1"
    for snapshot, hours in ((OLD, 1), (NEW, 1), (NEW, 2)):
        modified_at = snapshot + timedelta(hours=hours)
        ledger.intake.register([an_arrival(BASE, key=key, modified_at=modified_at)])
        newest = ledger.queries.versions(key)[-1]
        place(ledger, [newest], snapshot_id(snapshot), snapshot=snapshot)
        if modified_at == NEW + timedelta(hours=1):
            ledger.outcomes.reject(newest.id, LoadError("superseded", "why"))

    assert [files for _, files, _ in described(ledger)] == [[("LOAD1", "open")], [("LOAD1", "open")]]


def test_a_load_that_is_still_to_move_to_its_snapshot_is_open_there(ledger: Ledger) -> None:
    base, change = written(ledger, "LOAD1", snapshot=OLD), written(ledger, "1", snapshot=OLD, table=CHANGES)
    place(ledger, [base], snapshot_id(NEW), snapshot=NEW)
    place(ledger, [change], f"{snapshot_id(NEW)}_2022-03-04", snapshot=NEW)

    (new,) = ledger.generations.newer(BASE.name, snapshot_id(OLD))
    assert [(file.is_open, file.has_rows) for file in new.files] == [(True, True)]
    assert not new.has_changes


def test_a_file_arrives_anew_when_it_is_brought_back_from_error(ledger: Ledger, times: Times) -> None:
    (load,) = planned(ledger, "LOAD1", snapshot=NEW)
    assert [file.arrived_at for each in ledger.generations.newer(BASE.name, "") for file in each.files] == [NOON]
    ledger.outcomes.reject(load.id, LoadError("bad_value", "why"))
    claim(ledger, Work.ERROR, "run-2/a", table=BASE)
    ledger.outcomes.complete_error("run-2/a", {load.id: "error/LOAD1"})
    times.now = LATER
    ledger.outcomes.retry([load.id])

    assert [file.arrived_at for each in ledger.generations.newer(BASE.name, "") for file in each.files] == [LATER]


def test_the_schemas_of_a_generation_come_with_their_newest_load(ledger: Ledger) -> None:
    day = timedelta(days=1)
    written(ledger, "LOAD1", snapshot=OLD, columns=("old",), key=("old",))
    newest = written(ledger, "LOAD2", snapshot=NEW, at=NEW + 2 * day, columns=("a", "b"), key=("a",))
    written(ledger, "LOAD3", snapshot=NEW, at=NEW + day, columns=("a", "b"), key=("a",))
    keyless = written(ledger, "LOAD4", snapshot=NEW, columns=("a", "b"), key=())
    before = written(ledger, "LOAD5", snapshot=NEW, columns=("a", "c"))
    planned(ledger, "LOAD6", snapshot=NEW, at=NEW + 5 * day)

    found = ledger.generations.schemas(BASE.name, NEW)

    assert [(each.load_id, each.source_at, each.primary_key) for each in found] == [
        (newest.id, NEW + 2 * day, ("a",)),
        (keyless.id, NEW, ()),
        (before.id, NEW, None),
    ]
    assert [column.name for column in found[2].columns] == ["a", "c"]
    assert ledger.generations.schemas(CHANGES.name, NEW) == []


def test_a_load_without_a_schema_is_found_where_it_has_rows(ledger: Ledger) -> None:
    old = written(ledger, "LOAD1", snapshot=OLD)
    written(ledger, "LOAD2", snapshot=NEW, columns=("a",))
    planned(ledger, "LOAD3", snapshot=OLD, at=LATER)

    assert ledger.generations.newest_without_schema(BASE.name, OLD) == old.id
    assert ledger.generations.newest_without_schema(BASE.name, NEW) is None


def begin_product(ledger: Ledger) -> None:
    """Claim the product of the base table and begin a merge, which makes its row."""
    load = written(ledger, "LOAD1", snapshot=OLD)
    ledger.deliveries[Consumer.PRODUCTS].claim([BASE.name], claimant="run-1/a", **AT_NOON, n_tables=1, n_changes=9)
    ledger.products.intend("run-1/a", BASE.name, PRODUCT, [Intent(load.id, "e", 3, (snapshot_id(OLD),))])


def test_a_person_s_choice_is_on_record(ledger: Ledger) -> None:
    assert not ledger.products.switch(BASE.name, snapshot_id(OLD), snapshot_id(NEW))
    begin_product(ledger)

    assert ledger.products.switch(BASE.name, snapshot_id(OLD), snapshot_id(NEW))
    assert ledger.generations.shown(BASE.name) == Shown(snapshot_id(OLD), snapshot_id(NEW))


def test_a_table_has_settled_when_its_moment_has_come(ledger: Ledger) -> None:
    begin_product(ledger)

    assert ledger.products.set_settles_at("run-1/a", BASE.name, LATER)
    assert not ledger.products.set_settles_at("run-2/b", BASE.name, NOON)
    assert ledger.products.settled(NOON) == []
    assert ledger.products.settled(LATER) == [BASE.name]

    ledger.products.set_settles_at("run-1/a", BASE.name, None)
    assert ledger.products.settled(LATER) == []


def test_a_choice_ends_the_wait_for_another_generation(ledger: Ledger) -> None:
    begin_product(ledger)
    ledger.products.set_settles_at("run-1/a", BASE.name, NOON)
    ledger.products.switch(BASE.name, snapshot_id(OLD), snapshot_id(NEW))
    assert ledger.products.settled(LATER) == []


def test_a_table_that_is_declared_no_longer_does_not_settle(ledger: Ledger) -> None:
    begin_product(ledger)
    ledger.products.set_settles_at("run-1/a", BASE.name, NOON)
    ledger.tables.sync([CHANGES])
    assert ledger.products.settled(LATER) == []
