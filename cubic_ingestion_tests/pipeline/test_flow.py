"""Scan to archive, through all three streams."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, StreamName
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.scan import undeclared_prefixes
from cubic_ingestion_tests.builders import NOON, a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot

BASE = "cubic/ods_qlik/EDW.SAMPLE/"
CHANGES = "cubic/ods_qlik/EDW.SAMPLE__ct/"
DMAP = "cubic/dmap/agg_sample/"
MARCH = "2022-03-01T00:00:00.000"
MAY = "2022-05-01T00:00:00.000"


def put_ods(depot: Depot, key: str, text: str, *, started_at: str = "", n_rows: int | None = None) -> None:
    depot.put(key, csv_gz("SAMPLE_ID,SAMPLE_NAME\n" + text))
    n_rows = len(text.splitlines()) if n_rows is None else n_rows
    depot.put(key.removesuffix(".csv.gz") + ".dfm", a_dfm(record_count=n_rows, started_at=started_at))


def put_dmap(depot: Depot, name: str, text: str = '1,"Sample 1",5\n') -> None:
    depot.put(DMAP + name, ("sample_id,sample_name,sample_count\n" + text).encode())


def test_o7_a_file_of_each_stream_is_parquet_and_archived(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD001.csv.gz", '1,"a"\n2,"b"', started_at=MARCH)
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz", '1,"c"')
    put_dmap(depot, "20220304.csv")
    depot.put("cubic/kafka/sample/id.json", b'{"event_id": "e", "amount": 1.10, "rider": {"n": 1.0}}\n')
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert depot.files("incoming") == []
    assert depot.files("archive") == [
        "cubic/dmap/agg_sample/20220304.csv",
        "cubic/kafka/sample/id.json",
        "cubic/ods_qlik/EDW.SAMPLE/snapshot=20220301T000000Z/LOAD001.csv.gz",
        "cubic/ods_qlik/EDW.SAMPLE/snapshot=20220301T000000Z/LOAD001.dfm",
        "cubic/ods_qlik/EDW.SAMPLE__ct/snapshot=20220301T000000Z/20220304-134556444.csv.gz",
        "cubic/ods_qlik/EDW.SAMPLE__ct/snapshot=20220301T000000Z/20220304-134556444.dfm",
    ]
    assert depot.files("springboard") == [
        "cubic/dmap/agg_sample/identifier=20220304.csv/part-0.parquet",
        "cubic/kafka/sample/identifier=id.json/part-0.parquet",
        "cubic/ods_qlik/EDW.SAMPLE/snapshot=20220301T000000Z/identifier=LOAD001.csv.gz/part-0.parquet",
        "cubic/ods_qlik/EDW.SAMPLE__ct/snapshot=20220301T000000Z/identifier=20220304-134556444.csv.gz/part-0.parquet",
    ]
    ids = {load.version.file_name: load.id for load in depot.loads()}
    assert depot.rows(a_table()) == [
        {"sample_id": 1, "sample_name": "Sample 1", "sample_count": 5, "load_id": ids["20220304.csv"]}
    ]
    [event] = depot.rows(KAFKA_TABLE)
    assert event["amount"] == Decimal("1.10")
    assert json.loads(str(event["rider"])) == {"n": 1.0}


def test_a_second_pass_finds_nothing_and_doubles_nothing(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv")
    depot.settle()
    before = depot.loads(), depot.rows(a_table())
    depot.settle()
    assert (depot.loads(), depot.rows(a_table())) == before


def test_one_bad_file_stops_no_other(depot: Depot) -> None:
    for day in range(10, 20):
        put_dmap(depot, f"202203{day}.csv", "1,a,5\n" if day != 15 else "1,a,5\n2,b,many\n")
    depot.settle()
    assert [name for name, status in depot.statuses().items() if status is not LoadStatus.ARCHIVED] == ["20220315.csv"]
    [bad] = [load for load in depot.loads() if load.status is LoadStatus.ERRORED]
    assert bad.error is not None
    assert (bad.error.code, bad.error.row, bad.error.column) == ("bad_value", 2, "sample_count")
    folder = f"cubic/dmap/agg_sample/timestamp={bad.version.modified_at:%Y%m%dT%H%M%SZ}/"
    assert depot.files("error") == [folder + "20220315.csv", folder + "20220315.csv.error.json"]
    reason = json.loads((depot.root / "error" / folder / "20220315.csv.error.json").read_text())
    assert reason | {"message": ""} == {
        "code": "bad_value",
        "message": "",
        "row": 2,
        "column": "sample_count",
        "bad_cells": [{"row": 2, "column": "sample_count", "value": "many", "type": "int64"}],
        "load_id": bad.id,
    }
    assert len(depot.rows(a_table())) == 9


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("20220304.csv", b"", "empty_file"),
        ("readme.txt", b"hello", "unrecognised_name"),
        ("x" * 201 + ".csv", b"hello", "unusable_name"),
        ("a=b.csv", b"hello", "unusable_name"),
        ("a%20b.csv", b"hello", "unusable_name"),
        ("a\nb.csv", b"hello", "unusable_name"),
        ("20220304.csv", b"sample_id,load_id\n1,2\n", "reserved_column"),
        ("20220304.csv.gz", gzip.compress(b"sample_id\n1\n", mtime=0)[:-9], "gzip_damaged"),
    ],
)
def test_what_cannot_be_a_load_goes_to_error_with_its_reason(depot: Depot, name: str, data: bytes, code: str) -> None:
    depot.put(DMAP + name, data)
    depot.settle()
    [load] = depot.loads()
    assert load.status is LoadStatus.ERRORED
    assert load.error is not None
    assert load.error.code == code
    assert depot.files("incoming") == []
    assert depot.rows(a_table()) == []


def test_a_wrong_record_count_rejects_the_load_and_leaves_no_rows(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,a\n2,b", started_at=MARCH, n_rows=3)
    depot.settle()
    [load] = depot.loads()
    assert load.error is not None
    assert load.error.code == "record_count_mismatch"
    assert depot.rows(an_ods_table()) == []


@pytest.mark.parametrize("order", list(permutations(["LOAD1", "LOAD2", "change"])))
def test_the_order_of_arrival_never_matters(depot: Depot, order: tuple[str, ...]) -> None:
    for name in order:
        if name == "change":
            put_ods(depot, CHANGES + "20220304-134556444.csv.gz", "1,c")
        else:
            put_ods(depot, f"{BASE}{name}.csv.gz", f"{name[-1]},a", started_at=MARCH.replace(":00.", f":0{name[-1]}."))
        depot.settle()
        depot.clock.advance(minutes=10)
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert {load.snapshot for load in depot.loads()} == {datetime(2022, 3, 1, 0, 0, 1, tzinfo=UTC)}
    assert len(depot.rows(an_ods_table())) == 2
    assert len(depot.rows(a_change_table())) == 1


def test_a_late_snapshot_takes_over_changes_that_were_ingested(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,a", started_at=MARCH)
    put_ods(depot, CHANGES + "20220601-000000000.csv.gz", "1,c")
    depot.settle()
    assert "snapshot=20220301T000000Z" in depot.files("springboard")[1]
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,b", started_at=MAY)
    depot.settle()
    assert [key for key in depot.files("springboard") if "__ct" in key] == [
        f"{CHANGES}snapshot=20220501T000000Z/identifier=20220601-000000000.csv.gz/part-0.parquet"
    ]
    assert [key for key in depot.files("archive") if "__ct" in key] == [
        f"{CHANGES}snapshot=20220501T000000Z/20220601-000000000.csv.gz",
        f"{CHANGES}snapshot=20220501T000000Z/20220601-000000000.dfm",
    ]
    assert len(depot.rows(an_ods_table())) == 2  # one a snapshot
    change = depot.loads()[1]
    assert change.partition_key == "20220501T000000Z_2022-06-01"
    assert change.archive_key == f"{CHANGES}snapshot=20220501T000000Z/20220601-000000000.csv.gz"


@pytest.mark.slow
def test_a_full_load_file_seen_before_its_restart_gives_back_the_place_it_took(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,old", started_at=MARCH)
    put_ods(depot, BASE + "LOAD2.csv.gz", "2,old", started_at="2022-03-01T00:10:00.000")
    depot.settle()
    put_ods(depot, BASE + "LOAD2.csv.gz", "2,new", started_at="2022-05-01T00:10:00.000")
    depot.settle()
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,new", started_at=MAY)
    depot.settle()
    depot.settle()
    names = {(row["sample_id"], row["sample_name"]) for row in depot.rows(an_ods_table())}
    assert names == {(1, "old"), (2, "old"), (1, "new"), (2, "new")}
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert len([key for key in depot.files("archive") if key.endswith(".csv.gz")]) == 4


def test_an_empty_start_time_means_the_files_own_to_the_second(depot: Depot) -> None:
    depot.put(BASE + "LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"), modified_at=NOON + timedelta(microseconds=7))
    depot.put(BASE + "LOAD1.dfm", a_dfm(started_at=""))
    depot.settle()
    assert depot.loads()[0].snapshot == NOON


def test_a_restated_file_is_archived_beside_its_elder_and_replaces_its_rows(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv", "1,first,5\n")
    depot.settle()
    put_dmap(depot, "20220304.csv", "1,second,5\n")
    depot.settle()
    assert [row["sample_name"] for row in depot.rows(a_table())] == ["second"]
    newest = depot.loads()[-1]
    assert depot.files("archive") == [f"{DMAP}20220304.csv", f"{DMAP}version={newest.id}/20220304.csv"]
    assert b"first" in (depot.root / "archive" / DMAP / "20220304.csv").read_bytes()


def test_a_file_replaced_before_it_was_read_ends_as_superseded(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv", "1,first,5\n")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    put_dmap(depot, "20220304.csv", "1,second,5\n")
    depot.settle()
    old, new = depot.loads()
    assert old.error is not None
    assert (old.status, old.error.code) == (LoadStatus.ERRORED, "superseded")
    assert new.status is LoadStatus.ARCHIVED
    assert [row["sample_name"] for row in depot.rows(a_table())] == ["second"]


def test_a_replay_reads_archived_loads_again(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv")
    depot.settle()
    before = depot.rows(a_table())
    for path in (depot.root / "springboard").rglob("*.parquet"):
        path.unlink()
    reports = depot.ingest(partition_keys=["2022-03-04"])
    assert [load.version.file_name for report in reports for load, _ in report.ingested] == ["20220304.csv"]
    assert depot.rows(a_table()) == before[:1]
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}


def test_a_replay_of_a_restated_day_shows_the_newest_version(depot: Depot) -> None:
    for text in ("1,first,5\n", "1,second,5\n"):
        put_dmap(depot, "20220304.csv", text)
        depot.settle()
    depot.ingest(partition_keys=["2022-03-04"])
    assert [row["sample_name"] for row in depot.rows(a_table())] == ["second"]


def test_a_replay_that_no_longer_fits_leaves_rows_and_archive_alone(depot: Depot, tmp_path: Path) -> None:
    put_dmap(depot, "20220304.csv", "1,first,5\n")
    depot.settle()
    stricter = a_table(columns=(Column("sample_name", "int64"),))
    changed = Depot(tmp_path, replace(depot.platform, tables={stricter.name: stricter}), depot.clock)
    [report] = changed.ingest(partition_keys=["2022-03-04"])
    assert [error.code for _, error in report.rejected] == ["bad_value"]
    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED}
    assert len(depot.rows(a_table())) == 1


def test_a_column_that_is_not_declared_is_kept_as_text(depot: Depot) -> None:
    depot.put(DMAP + "20220304.csv", b"added,sample_id,sample_name\nx,1,a\n")
    depot.settle()
    [row] = depot.rows(a_table())
    assert row | {"load_id": 0} == {
        "sample_id": 1,
        "sample_name": "a",
        "sample_count": None,
        "added": "x",
        "load_id": 0,
    }


def test_a_raw_table_keeps_text_in_a_place_of_its_own(tmp_path: Path) -> None:
    table = a_table(is_raw=True)
    depot = Depot.build(tmp_path, [table])
    put_dmap(depot, "20220304.csv", "01,a,many\n")
    depot.settle()
    assert depot.files("springboard") == ["raw/cubic/dmap/agg_sample/identifier=20220304.csv/part-0.parquet"]
    assert depot.rows(table)[0] | {"load_id": 0} == {
        "sample_id": "01",
        "sample_name": "a",
        "sample_count": "many",
        "load_id": 0,
    }


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (("2021-12-01 11:20:30.4444444",), "timestamp[ns]"),
        (("9999-12-31 00:00:00.25", "2021-12-01 11:20:30.444444"), "timestamp[us]"),
        (("9999-12-31 00:00:00.25", "2021-12-01 11:20:30.4444444"), "string"),
    ],
)
def test_a_time_keeps_its_digits_and_its_year(depot: Depot, values: tuple[str, ...], type_: str) -> None:
    columns = [{"name": "A", "type": "DATETIME", "scale": 0}]
    depot.put(BASE + "LOAD1.csv.gz", csv_gz("A\n" + "\n".join(values)))
    depot.put(BASE + "LOAD1.dfm", a_dfm(columns, record_count=len(values), started_at=MARCH))
    depot.settle()
    [path] = (depot.root / "springboard").rglob("*.parquet")
    column = pq.ParquetFile(path).read().column("a")
    assert str(column.type) == type_
    texts = pc.strftime(column, format="%Y-%m-%d %H:%M:%S") if type_ != "string" else column
    assert [str(text).rstrip("0").rstrip(".") for text in texts.to_pylist()] == [
        v.rstrip("0").rstrip(".") for v in values
    ]


def test_far_dates_in_one_file_and_near_ones_in_another_are_queried_together(depot: Depot) -> None:
    for name, value in (("LOAD1", "9999-12-31 00:00:00"), ("LOAD2", "2022-01-01 00:00:00.5")):
        depot.put(f"{BASE}{name}.csv.gz", csv_gz(f"A\n{value}\n"))
        depot.put(f"{BASE}{name}.dfm", a_dfm([{"name": "A", "type": "DATETIME", "scale": 0}], started_at=MARCH))
    depot.settle()
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        rows = catalog.table(an_ods_table().name).order("a").select("a::varchar").fetchall()
    assert rows == [("2022-01-01 00:00:00.5",), ("9999-12-31 00:00:00",)]


def test_undeclared_prefixes_are_left_alone_and_named(depot: Depot) -> None:
    depot.put("cubic/dmap/unknown/1.csv", b"a\n1\n")
    depot.settle()
    assert depot.loads() == []
    assert depot.files("incoming") == ["cubic/dmap/unknown/1.csv"]
    assert undeclared_prefixes(depot.platform.stores.incoming, depot.platform.tables) == ["cubic/dmap/unknown/"]


def test_a_file_in_a_folder_below_a_tables_own_is_left_alone(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "sub/20220304.csv")
    depot.settle()
    assert depot.files("incoming") == [DMAP + "sub/20220304.csv"]
    assert len(depot.rows(a_table())) == 1


def test_a_restated_file_that_keeps_an_older_time_is_still_the_newer_one(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv", "1,first,5\n")
    depot.settle()
    text = "sample_id,sample_name,sample_count\n1,second,5\n"
    depot.put(DMAP + "20220304.csv", text.encode(), modified_at=NOON)
    depot.settle()
    assert [row["sample_name"] for row in depot.rows(a_table())] == ["second"]


def test_o10_an_inactive_table_is_untouched(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [a_table(is_active=False)])
    put_dmap(depot, "20220304.csv")
    depot.settle()
    assert depot.loads() == []
    assert depot.files("incoming") == [DMAP + "20220304.csv"]


def test_a_header_alone_is_an_empty_table(depot: Depot) -> None:
    put_dmap(depot, "20220304.csv", "")
    depot.settle()
    [load] = depot.loads()
    assert (load.status, load.n_rows) == (LoadStatus.ARCHIVED, 0)
    assert depot.rows(a_table()) == []
