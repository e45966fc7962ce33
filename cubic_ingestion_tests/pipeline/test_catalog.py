"""The catalog is told off the way of the loads: whatever becomes of it, they go on, and nothing is forgotten."""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import duckdb
import pytest

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.errors import CatalogUnavailableError, CubicIngestionError, SettingsError
from cubic_ingestion.ledger.schemas import Schemas
from cubic_ingestion.pipeline import catalog as catalog_module
from cubic_ingestion.pipeline.audit import FindingCode, audit
from cubic_ingestion.ports import CatalogEntry, Keep, ProductEntry, TableCatalog, keep_nothing
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import CatalogThatIsDown, Depot
from cubic_ingestion_tests.glue import database, glue, glue_url

__all__ = ["database", "glue", "glue_url"]

DMAP = a_table()
Refusals = Mapping[str, CubicIngestionError]
HEADER = "sample_id,sample_name,sample_count\n"


class Catalog:
    """A catalog that remembers what it was told, and refuses what it is made to."""

    address = "memory"

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.whole: CubicIngestionError | None = None
        self.told: list[CatalogEntry] = []

    def query(self, name: str) -> str:
        return name

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
        yield sorted({each.values for entry in self.told if entry.table == table for each in entry.partitions})

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        assert isinstance(entry.table, Table)
        (known,) = self.partitions(entry.table)
        return {each.values for each in entry.partitions}.difference(known)

    def show(self, entry: ProductEntry) -> None:
        raise CatalogUnavailableError(entry.name, "not asked for here")

    def shows(self, product: str, uris: Collection[str]) -> bool:
        raise CatalogUnavailableError(product, f"not asked for {len(uris)} here")

    def register(self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing) -> Refusals:
        keep()
        if self.whole:
            raise self.whole
        failures = {entry.table.name for entry in entries} & self.refused
        self.told += [entry for entry in entries if entry.table.name not in failures]
        return {name: CatalogUnavailableError(name, "throttled") for name in failures}


class CatalogThatHangs(Catalog):
    """A catalog that does not answer before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_answer = Event(), Event()

    def register(self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing) -> Refusals:
        self.is_asked.set()
        assert self.may_answer.wait(60)
        return super().register(entries, keep)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """An empty depot."""
    return Depot.build(tmp_path, [DMAP, KAFKA_TABLE])


def on(depot: Depot, catalog: TableCatalog) -> Depot:
    return replace(depot, platform=replace(depot.platform, catalog=catalog))


def put(depot: Depot, day: int, text: str = "1,a,5\n") -> None:
    depot.put(f"{DMAP.prefix}202203{day:02}.csv", (HEADER + text).encode())


def put_batch(depot: Depot) -> None:
    depot.put(f"{KAFKA_TABLE.prefix}abc.json", b'{"event_id": "e"}\n')


@contextmanager
def telling(depot: Depot, catalog: CatalogThatHangs) -> Generator[None]:
    """Have the catalog hang in another thread; it is let go at the end."""
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(on(depot, catalog).catalog)
        try:
            assert catalog.is_asked.wait(60)
            yield
            assert not work.done()
        finally:
            catalog.may_answer.set()
        work.result(60)


def test_a_catalog_that_hangs_delays_no_load(depot: Depot) -> None:
    catalog = CatalogThatHangs()
    put(depot, 1)
    depot.ingest()
    with telling(depot, catalog):
        for day in range(2, 12):
            put(depot, day)
        put_batch(depot)
        depot.ingest()
        depot.archive()

        assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
        assert len(depot.files("springboard")) == 12
        assert depot.files("incoming") == []

    depot.clock.advance(seconds=1)
    on(depot, catalog).catalog()
    assert depot.platform.ledger.deliveries[Consumer.CATALOG].backlog() == []
    assert [len(page) for page in catalog.partitions(DMAP)] == [11]


def test_a_table_that_hangs_delays_no_other_table(depot: Depot) -> None:
    catalog, other = CatalogThatHangs(), Catalog()
    put(depot, 1)
    depot.ingest()
    with telling(depot, catalog):
        put_batch(depot)
        depot.ingest()

        on(depot, other).catalog()

        assert [entry.table.name for entry in other.told] == [KAFKA_TABLE.name]


def test_what_hung_for_longer_than_its_claim_is_told_by_somebody_else_and_then_once_more(depot: Depot) -> None:
    slow, other = CatalogThatHangs(), Catalog()
    put(depot, 1)
    depot.ingest()
    with telling(depot, slow):
        depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds)
        on(depot, other).catalog()
        assert depot.platform.ledger.deliveries[Consumer.CATALOG].backlog() == []

    # The slow one saw that its claim was lost, and told again what may have been older by then.
    assert len(slow.told) == 2
    assert depot.platform.ledger.deliveries[Consumer.CATALOG].backlog() == []


def test_a_catalog_that_refuses_loses_nothing_and_is_asked_ever_more_rarely(depot: Depot) -> None:
    catalog = Catalog()
    catalog.whole = CatalogUnavailableError("any", "down")
    put(depot, 1)
    put_batch(depot)
    depot.ingest()
    pauses: list[timedelta] = []
    for _ in range(9):
        report = on(depot, catalog).catalog()
        assert (report.n_changes, report.refused.keys(), report.fatal) == (0, {DMAP.name, KAFKA_TABLE.name}, None)
        due = {behind.due_at for behind in depot.platform.ledger.deliveries[Consumer.CATALOG].backlog()}
        (due_at,) = due
        assert due_at is not None
        pauses.append(due_at - depot.clock.now())
        assert on(depot, catalog).catalog().refused == {}
        depot.clock.moment = due_at

    assert pauses == [timedelta(seconds=min(30 * 2**n, 3600)) for n in range(9)]
    catalog.whole = None
    assert on(depot, catalog).catalog().n_changes == 2
    assert depot.platform.ledger.deliveries[Consumer.CATALOG].backlog() == []
    assert len(catalog.told) == 2


def test_a_table_that_is_refused_stops_no_other(depot: Depot) -> None:
    catalog = Catalog(DMAP.name)
    put(depot, 1)
    put_batch(depot)
    depot.ingest()

    report = on(depot, catalog).catalog()

    assert [entry.table.name for entry in catalog.told] == [KAFKA_TABLE.name]
    assert "throttled" in report.refused[DMAP.name]
    (behind,) = depot.platform.ledger.deliveries[Consumer.CATALOG].backlog()
    assert (behind.table, behind.n_changes) == (DMAP.name, 1)


def test_what_a_person_has_to_mend_is_told_apart(depot: Depot) -> None:
    catalog = Catalog()
    catalog.whole = SettingsError("CUBIC_GLUE_DATABASE", "AWS refuses.", "Permit it.")
    put(depot, 1)
    depot.ingest()

    report = on(depot, catalog).catalog()

    assert report.fatal is catalog.whole
    assert len(depot.platform.ledger.deliveries[Consumer.CATALOG].backlog()) == 1


def test_only_what_changed_is_told_in_chunks(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "CHUNK_CHANGES", 4)
    catalog = Catalog()
    for day in range(1, 11):
        put(depot, day)
    depot.ingest()
    assert on(depot, catalog).catalog().n_changes == 10
    put(depot, 11)
    depot.ingest()
    on(depot, catalog).catalog()

    assert [len(entry.partitions) for entry in catalog.told] == [4, 4, 2, 1]
    assert [each.location for each in catalog.told[-1].partitions] == [
        depot.platform.stores.springboard.uri(f"{DMAP.prefix}identifier=20220311.csv/")
    ]


def findings(depot: Depot) -> list[tuple[FindingCode, str]]:
    return [(finding.code, finding.key) for finding in audit(depot.platform).findings]


@pytest.fixture
def told(tmp_path: Path, glue: Any, database: str) -> Depot:
    """A depot whose loads are all in Glue."""
    assert glue
    depot = on(Depot.build(tmp_path, [DMAP, KAFKA_TABLE]), GlueTableCatalog(database))
    for day in range(1, 4):
        put(depot, day)
    put_batch(depot)
    depot.settle()
    assert findings(depot) == []
    return depot


@pytest.mark.slow
def test_the_audit_names_a_table_whose_partitions_are_missing(told: Depot, glue: Any, database: str) -> None:
    glue.delete_partition(DatabaseName=database, TableName=DMAP.name, PartitionValues=["20220302.csv"])
    glue.delete_table(DatabaseName=database, Name=KAFKA_TABLE.name)

    found = audit(told.platform).findings

    assert [(finding.code, finding.key) for finding in found] == [
        (FindingCode.NOT_IN_CATALOG, DMAP.name),
        (FindingCode.NOT_IN_CATALOG, KAFKA_TABLE.name),
    ]
    assert found[0].problem == "1 partition missing in the catalog, the first: identifier=20220302.csv."
    told.platform.ledger.deliveries[Consumer.CATALOG].refresh()
    told.catalog()
    assert findings(told) == []


@pytest.mark.slow
def test_the_audit_names_a_partition_that_leads_nowhere(told: Depot, glue: Any, database: str) -> None:
    stray = {"Values": ["nowhere.csv"], "StorageDescriptor": {"Location": "file:///nowhere/"}}
    glue.create_partition(DatabaseName=database, TableName=DMAP.name, PartitionInput=stray)

    assert findings(told) == [(FindingCode.DANGLING_PARTITION, DMAP.name)]


@pytest.mark.slow
def test_what_waits_for_the_catalog_is_a_finding_only_after_long(told: Depot) -> None:
    put(told, 4)
    told.ingest()
    told.archive()
    assert findings(told) == []
    told.clock.advance(hours=2)

    assert findings(told) == [(FindingCode.CATALOG_BEHIND, DMAP.name)]
    told.catalog()
    assert findings(told) == []


def test_a_catalog_that_is_down_is_one_finding_and_the_zones_are_audited(told: Depot) -> None:
    (told.root / "archive" / "stray.csv").write_bytes(b"x")

    assert {code for code, _ in findings(on(told, CatalogThatIsDown()))} == {
        FindingCode.STRAY_OBJECT,
        FindingCode.CATALOG_UNREADABLE,
    }


def test_the_audit_asks_duckdb_too(depot: Depot) -> None:
    put(depot, 1)
    put(depot, 2, text="")  # a header alone: a partition without rows
    depot.settle()
    done = audit(depot.platform)
    assert (done.findings, done.n_partitions) == ([], 1)  # a partition without rows need not be found
    with duckdb.connect(depot.platform.catalog.address) as connection:
        connection.execute(f"drop view {DMAP.name}")

    assert findings(depot) == [(FindingCode.NOT_IN_CATALOG, DMAP.name)]


def test_a_view_that_somebody_made_another_is_named(depot: Depot) -> None:
    put(depot, 1)
    depot.settle()
    with duckdb.connect(depot.platform.catalog.address) as connection:
        connection.execute(f"create or replace view {DMAP.name} as select 1 as n")

    assert findings(depot) == [(FindingCode.NOT_IN_CATALOG, DMAP.name)]
    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh()
    depot.catalog()
    assert findings(depot) == []


class CatalogThatStumbles(Catalog):
    """A catalog in which one table raises what no code expects, and takes the others of the call with it."""

    def register(self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing) -> Refusals:
        if DMAP in [entry.table for entry in entries]:
            raise KeyError("StorageDescriptor")
        return super().register(entries, keep)


def test_a_table_at_which_the_catalog_stumbles_keeps_no_other_from_it(depot: Depot) -> None:
    put(depot, 1)
    put_batch(depot)
    depot.ingest()
    stumbling = CatalogThatStumbles()
    report = on(depot, stumbling).catalog()

    assert [entry.table.name for entry in stumbling.told] == [KAFKA_TABLE.name]
    assert report.refused.keys() == {DMAP.name}
    assert "KeyError at test_catalog.py:" in report.refused[DMAP.name]
    (behind,) = depot.platform.ledger.deliveries[Consumer.CATALOG].backlog()
    assert (behind.table, behind.error) == (DMAP.name, report.refused[DMAP.name])
    depot.clock.advance(minutes=1)
    assert on(depot, Catalog()).catalog().refused == {}
    assert depot.platform.ledger.deliveries[Consumer.CATALOG].backlog() == []


def test_a_table_that_cannot_be_described_keeps_no_other_from_the_catalog(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(depot, 1)
    put_batch(depot)
    depot.ingest()
    known_schemas = Schemas.known

    def stumbling(schemas: Schemas, table: str) -> Sequence[tuple[Column, ...]]:
        if table == DMAP.name:
            raise KeyError(table)
        return known_schemas(schemas, table)

    catalog = Catalog()
    with monkeypatch.context() as patch:
        patch.setattr(Schemas, "known", stumbling)
        report = on(depot, catalog).catalog()
    assert [entry.table.name for entry in catalog.told] == [KAFKA_TABLE.name]
    assert report.refused.keys() == {DMAP.name}
