"""Schema drift: what came, went or widened is recorded; what else changed follows the table's policy."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, OnSchemaChange, Table
from cubic_ingestion.ledger.models import CubicTableSchema
from cubic_ingestion.pipeline.schema_changes import (
    ChangeKind,
    SchemaChange,
    changes_between,
    key_changes,
    schema_changes,
)
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_dfm, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot


def types(**columns: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in columns.items())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (types(a="int64"), types(a="int64"), []),
        (types(a="int64", b="string"), types(b="string", a="int64"), []),
        (types(a="int64"), types(a="int64", b="string"), [SchemaChange("b", ChangeKind.ADDED, None, "string")]),
        (types(a="int64", b="string"), types(a="int64"), [SchemaChange("b", ChangeKind.DROPPED, "string", None)]),
        (
            types(a="decimal128(10, 0)"),
            types(a="decimal128(19, 0)"),
            [SchemaChange("a", ChangeKind.WIDENED, "decimal128(10, 0)", "decimal128(19, 0)")],
        ),
        (types(a="date32"), types(a="string"), [SchemaChange("a", ChangeKind.WIDENED, "date32", "string")]),
        (types(a="string"), types(a="int64"), [SchemaChange("a", ChangeKind.CHANGED, "string", "int64")]),
        (
            types(a="decimal128(19, 0)"),
            types(a="decimal128(10, 0)"),
            [SchemaChange("a", ChangeKind.CHANGED, "decimal128(19, 0)", "decimal128(10, 0)")],
        ),
    ],
    ids=["same", "order", "added", "dropped", "wider decimal", "to string", "from string", "narrower decimal"],
)
def test_every_difference_is_named(
    before: Sequence[Column], after: Sequence[Column], expected: Sequence[SchemaChange]
) -> None:
    assert schema_changes(before, after) == expected


def test_the_vendors_name_of_a_type_decides_where_there_is_one() -> None:
    fine = Column("at", "timestamp[ns]", source_type="DATETIME")
    coarse = Column("at", "timestamp[us]", source_type="DATETIME")
    assert schema_changes([coarse], [fine]) == []
    (change,) = schema_changes([Column("n", "int64", source_type="INT4")], [Column("n", "int64", source_type="INT8")])
    assert str(change) == "n widened: INT4 (int64) → INT8 (int64)"


def put(depot: Depot, table: Table, name: str, header: str, *qlik_types: str, key: Sequence[str] = ()) -> None:
    columns = [
        {
            "ordinal": n,
            "name": column,
            "type": kind,
            "precision": 10,
            "scale": 0,
            "primaryKeyPos": key.index(column) + 1 if column in key else 0,
        }
        for n, (column, kind) in enumerate(zip(header.split(","), qlik_types, strict=True), 1)
    ]
    started_at = "2022-03-01T00:00:00.000"
    depot.put(f"{table.prefix}{name}.dfm", a_dfm(columns, record_count=1, started_at=started_at))
    depot.put(f"{table.prefix}{name}.csv.gz", csv_gz(f"{header}\n" + ",".join("1" for _ in qlik_types)))


def drifting(tmp_path: Path, policy: OnSchemaChange) -> tuple[Depot, Table]:
    table = an_ods_table(on_schema_change=policy)
    depot = Depot.build(tmp_path, [table])
    put(depot, table, "LOAD00000001", "ID,CODE", "INT4", "STRING")
    depot.settle()
    put(depot, table, "LOAD00000002", "ID,CODE,NEW", "INT8", "STRING", "REAL8")
    depot.settle()
    put(depot, table, "LOAD00000003", "ID,CODE", "INT8", "INT4")
    depot.settle()
    return depot, table


def test_a_changed_type_is_written_by_a_table_that_evolves_and_recorded(tmp_path: Path) -> None:
    depot, table = drifting(tmp_path, OnSchemaChange.EVOLVE)
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    recorded = [
        (after.key.rpartition("/")[2], str(change))
        for before, after in depot.platform.ledger.schemas.changes(table.name)
        for change in schema_changes(before.columns, after.columns)
    ]
    assert recorded == [
        ("LOAD00000002.csv.gz", "id widened: INT4 (int64) → INT8 (int64)"),
        ("LOAD00000002.csv.gz", "new added: none → REAL8 (float64)"),
        ("LOAD00000003.csv.gz", "new dropped: REAL8 (float64) → none"),
        ("LOAD00000003.csv.gz", "code changed: STRING (string) → INT4 (int64)"),
    ]


def test_a_changed_type_is_refused_by_a_table_that_is_frozen(tmp_path: Path) -> None:
    depot, table = drifting(tmp_path, OnSchemaChange.FREEZE)
    first, second, third = depot.loads()
    assert (first.status, second.status, third.status) == (
        LoadStatus.ARCHIVED,
        LoadStatus.ARCHIVED,
        LoadStatus.ERRORED,
    )
    assert third.error is not None
    assert (third.error.code, third.error.column) == ("schema_changed", "code")
    assert len(depot.platform.ledger.schemas.known(table.name)) == 2


def test_a_run_reports_only_what_no_file_had_before(tmp_path: Path) -> None:
    table = an_ods_table()
    depot = Depot.build(tmp_path, [table], limits=builders.limits(parallel_loads=1))
    put(depot, table, "LOAD00000001", "ID", "INT4")
    depot.settle()
    put(depot, table, "LOAD00000002", "ID,NEW", "INT4", "INT4")
    put(depot, table, "LOAD00000003", "ID,NEW", "INT4", "INT4")
    (report,) = depot.ingest()
    assert [(load.version.file_name, str(change)) for load, change in report.schema_changes] == [
        ("LOAD00000002.csv.gz", "new added: none → INT4 (int64)")
    ]
    put(depot, table, "LOAD00000004", "ID", "INT4")
    (report,) = depot.ingest()
    assert report.schema_changes == []


def test_every_difference_of_keys_is_named() -> None:
    assert key_changes(["a", "b"], ["a", "b"]) == []
    assert [str(change) for change in key_changes(["a", "b", "c"], ["a", "c", "d"])] == [
        "b rekeyed: key column 2 → none",
        "c rekeyed: key column 3 → key column 2",
        "d rekeyed: none → key column 3",
    ]


@pytest.mark.parametrize("policy", OnSchemaChange)
def test_another_key_is_reported_and_on_record_and_its_load_goes_on(tmp_path: Path, policy: OnSchemaChange) -> None:
    table = an_ods_table(on_schema_change=policy)
    depot = Depot.build(tmp_path, [table])
    put(depot, table, "LOAD00000001", "ID,LINE", "INT4", "INT4", key=["ID"])
    depot.settle()
    put(depot, table, "LOAD00000002", "ID,LINE", "INT4", "INT4", key=["LINE", "ID"])
    (report,) = depot.ingest()
    expected = ["id rekeyed: key column 1 → key column 2", "line rekeyed: none → key column 1"]
    assert [str(change) for _, change in report.schema_changes] == expected
    assert [len(report.ingested), report.rejected] == [1, []]
    ((before, after),) = depot.platform.ledger.schemas.changes(table.name)
    assert [str(change) for change in changes_between(before, after)] == expected


def test_a_key_that_comes_after_the_upgrade_is_no_change_of_what_is_on_record(tmp_path: Path) -> None:
    table = an_ods_table()
    depot = Depot.build(tmp_path, [table])
    put(depot, table, "LOAD00000001", "ID", "INT4", key=["ID"])
    depot.settle()
    forget_keys(depot)
    put(depot, table, "LOAD00000002", "ID", "INT4", key=["ID"])
    (report,) = depot.ingest()
    assert report.schema_changes == []
    ledger = depot.platform.ledger
    assert [changes_between(before, after) for before, after in ledger.schemas.changes(table.name)] == [[]]
    assert ledger.schemas.keys(table.name) == [("id",)]


def forget_keys(depot: Depot) -> None:
    """Leave the schemas as they are right after the upgrade of a ledger from before keys were recorded."""
    columns = '[["id", "int64", "INT4"]]'
    forgotten = update(CubicTableSchema).values(
        fingerprint=hashlib.sha256(columns.encode()).hexdigest(), columns=columns, primary_key=None, header_columns=None
    )
    depot.platform.ledger.schemas.database.write(lambda connection: connection.execute(forgotten))


def put_times(depot: Depot, table: Table, name: str, time: str) -> None:
    columns = [{"ordinal": 1, "name": "AT", "type": "DATETIME", "scale": 0}]
    depot.put(f"{table.prefix}{name}.dfm", a_dfm(columns, record_count=1, started_at="2022-03-01T00:00:00.000"))
    depot.put(f"{table.prefix}{name}.csv.gz", csv_gz(f"AT\n{time}"))


def types_of(depot: Depot, table: Table) -> list[str]:
    files = sorted((depot.root / "springboard" / table.prefix).rglob("*.parquet"))
    return [str(pq.read_schema(path).field("at").type) for path in files]


def test_files_agree_on_the_unit_that_one_before_needed(tmp_path: Path) -> None:
    table = an_ods_table()
    depot = Depot.build(tmp_path, [table])
    for number, time in enumerate(("12:00:00.1234560", "12:00:00.1234567", "12:00:00.1234560"), 1):
        put_times(depot, table, f"LOAD0000000{number}", f"2022-03-04 {time}")
        depot.settle()
    assert types_of(depot, table) == ["timestamp[us]", "timestamp[ns]", "timestamp[ns]"]


def test_a_table_whose_files_need_different_units_reads_as_one_and_loses_nothing(tmp_path: Path) -> None:
    table = an_ods_table()
    depot = Depot.build(tmp_path, [table])
    times = ("2022-03-04 12:00:00.1234567", "9999-12-31 00:00:00.0000000", "9999-12-31 23:59:59.9999999")
    for number, time in enumerate(times, 1):
        put_times(depot, table, f"LOAD0000000{number}", time)
        depot.settle()
    assert types_of(depot, table) == ["timestamp[ns]", "timestamp[us]", "string"]
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        rows = catalog.sql(f'select "at" from {table.catalog_name} order by load_id').fetchall()
    assert [at for (at,) in rows] == ["2022-03-04 12:00:00.1234567", "9999-12-31 00:00:00", times[2]]
    assert depot.platform.ledger.schemas.changes(table.name)  # on record
    changed = [schema_changes(a.columns, b.columns) for a, b in depot.platform.ledger.schemas.changes(table.name)]
    assert changed == [[], []]  # but none of the vendor's
