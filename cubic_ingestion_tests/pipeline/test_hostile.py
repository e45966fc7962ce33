"""Contents that mean harm, or are merely absurd: read exactly right or rejected, and nothing else is touched."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cubic_ingestion.domain.batch import DEAD_LETTERS, Position
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import MAX_COLUMNS, MAX_FIELDS
from cubic_ingestion.parsing import json_slices
from cubic_ingestion.pipeline.kafka import routing
from cubic_ingestion.pipeline.kafka.routing import Router
from cubic_ingestion.ports import Record
from cubic_ingestion_tests.builders import NOON, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.walled import DMAP, INJECTION, a_walled_depot, reason, settled

BASE = "cubic/ods_qlik/EDW.SAMPLE/"
KAFKA = "cubic/kafka/sample/"
A_SIDECAR = json.loads(a_dfm())
LARGE = 3_000_000
MEBIBYTE = 1 << 20


def an_ods_file(dfm: bytes, text: str = "SAMPLE_ID,SAMPLE_NAME\n1,a\n") -> dict[str, bytes]:
    return {f"{BASE}LOAD1.csv.gz": csv_gz(text), f"{BASE}LOAD1.dfm": dfm}


def a_sidecar(part: str, **changes: object) -> bytes:
    """Build a sidecar of which one part is changed."""
    return json.dumps(A_SIDECAR | {part: A_SIDECAR[part] | changes}).encode()


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return a_walled_depot(tmp_path)


@pytest.mark.parametrize(
    "key", [f"{DMAP}big.csv", f"{DMAP}big.csv.gz", f"{KAFKA}big.json"], ids=["plain", "gzip", "json"]
)
def test_a_cell_of_three_megabytes_comes_out_whole(depot: Depot, key: str) -> None:
    cell = ("0123456789,\"'\n" * (LARGE // 14 + 1))[:LARGE]
    quoted = '"' + cell.replace('"', '""') + '"'
    data = f"sample_id,sample_name,sample_count\n1,a,2\n3,{quoted},4\n5,b,6\n".encode()
    if key.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    if key.startswith(KAFKA):
        data = json.dumps([{"event_id": "a"}, {"event_id": cell}, {"event_id": "b"}]).encode()
    [load] = settled(depot, {key: data})
    assert (load.status, load.n_rows) == (LoadStatus.ARCHIVED, 3)
    table, column = (KAFKA_TABLE, "event_id") if key.startswith(KAFKA) else (a_table(), "sample_name")
    assert [row[column] for row in depot.rows(table) if row["load_id"] == load.id] == ["a", cell, "b"]


@pytest.mark.parametrize("cell", ["9" * LARGE, "z" * LARGE, "1e" + "9" * LARGE], ids=["digits", "letters", "exponent"])
def test_a_large_cell_that_does_not_fit_is_named_in_few_words(depot: Depot, cell: str) -> None:
    [load] = settled(depot, {f"{DMAP}big.csv": f"sample_id,sample_name,sample_count\n1,a,5\n{cell},b,6\n".encode()})
    found = reason(depot, load)
    assert (found["code"], found["row"], found["column"]) == ("bad_value", 2, "sample_id")
    assert len(json.dumps(found)) < 2_000


@pytest.mark.slow
def test_five_thousand_columns_are_read_each_under_its_name(depot: Depot) -> None:
    names = [f"C{number:04}" for number in range(5_000)]
    columns = [{"name": name, "type": "INT4"} for name in names]
    text = f"{','.join(names)}\n{','.join(map(str, range(5_000)))}\n"
    loads = settled(
        depot,
        an_ods_file(a_dfm(columns), text)
        | {f"{DMAP}wide.csv": text.encode(), f"{KAFKA}wide.json": json.dumps(dict.fromkeys(names, "7")).encode()},
    )
    assert [load.status for load in loads] == [LoadStatus.ARCHIVED] * 3
    [row] = depot.rows(an_ods_table())
    assert {name: value for name, value in row.items() if name != "load_id"} == {
        name.lower(): number for number, name in enumerate(names)
    }
    wide = next(row for row in depot.rows(a_table()) if "c4999" in row)
    assert (wide["c0000"], wide["c4999"]) == ("0", "4999")
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        assert catalog.table(an_ods_table().name).select("c0000, c4999").fetchall() == [(0, 4999)]


@pytest.mark.slow
def test_a_file_with_values_for_names_adds_no_column(depot: Depot) -> None:
    names = [f"c{number}" for number in range(MAX_COLUMNS + 1)]
    sidecar = a_dfm([{"name": name, "type": "INT4"} for name in names])
    text = f"{','.join(names)}\n{',' * MAX_COLUMNS}\n"
    loads = settled(
        depot,
        an_ods_file(sidecar, text)
        | {f"{DMAP}wide.csv": text.encode(), f"{KAFKA}wide.json": json.dumps(dict.fromkeys(names)).encode()},
    )
    assert [reason(depot, load)["code"] for load in loads] == ["too_many_columns"] * 3
    for table in (an_ods_table(), a_table(), KAFKA_TABLE):
        assert all(len(columns) < MAX_COLUMNS for columns in depot.platform.ledger.schemas.known(table.name))


def test_a_record_with_values_for_names_is_a_dead_letter_and_no_others_fate() -> None:
    def record(number: int, n_fields: int) -> Record:
        fields = {"topic": "sample"} | {f"f{field}": 1 for field in range(n_fields - 1)}
        return Record(Position(number), NOON, json.dumps(fields).encode())

    records = [record(1, 1), record(2, MAX_FIELDS), record(3, MAX_FIELDS + 1)]
    table = replace(KAFKA_TABLE, topic="sample")
    routed = Router([table]).lines("shard", records)
    assert [name for name, _ in routed] == [table.name, table.name, DEAD_LETTERS]
    assert json.loads(routed[-1][1].text)["reason"] == "too_many_fields"


def test_a_record_too_large_to_be_read_is_a_dead_letter_and_one_as_large_as_may_be_is_read(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (routing, json_slices):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr(json_slices, "SLICE_BYTES", 100)
    table = replace(KAFKA_TABLE, topic="sample")

    def routed(n_bytes: int) -> tuple[str, bytes]:
        data = json.dumps({"topic": "sample", "event_id": "x" * n_bytes}).encode()
        [(name, line)] = Router([table]).lines("shard", [Record(Position(1), NOON, data)])
        return name, line.text

    n_around = len(routed(1)[1]) - 1
    name, line = routed(1_000 - n_around)
    assert (name, len(line)) == (table.name, 1_000)
    settled(depot, {f"{KAFKA}full.json": line * 2})
    assert [len(str(row["event_id"])) for row in depot.rows(KAFKA_TABLE)] == [1_000 - n_around] * 2
    name, line = routed(1_001 - n_around)
    assert (name, json.loads(line)["reason"]) == (DEAD_LETTERS, "record_too_large")


@pytest.mark.parametrize("stream", ["dmap", "ods", "kafka"])
def test_sql_in_names_and_values_is_text(depot: Depot, stream: str) -> None:
    names = [f'x" {INJECTION}', f"a{INJECTION}", "select", "1=1", 'load_id", 1, "b']
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    text = f"{header}\n{','.join([f'{INJECTION}'] * 5)}\n"
    files, table = {
        "dmap": ({f"{DMAP}sql.csv": text.encode()}, a_table()),
        "ods": (an_ods_file(a_dfm([{"name": name, "type": "STRING"} for name in names]), text), an_ods_table()),
        "kafka": ({f"{KAFKA}sql.json": json.dumps(dict.fromkeys(names, INJECTION)).encode()}, KAFKA_TABLE),
    }[stream]
    [load] = settled(depot, files)
    assert load.status is LoadStatus.ARCHIVED
    lower = [name.lower() for name in names]
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        view = catalog.table(table.name).filter(f"load_id = {load.id}")
        selected = ", ".join('"' + name.replace('"', '""') + '"' for name in lower)
        assert view.select(selected).fetchall() == [(INJECTION,) * 5]
        views = catalog.sql("select view_name from duckdb_views() where not internal").fetchall()
    assert {name for (name,) in views} == {load.table for load in depot.loads()}
    assert len(depot.loads()) == 2


@pytest.mark.parametrize(
    ("dfm", "code"),
    [
        (b"<html>403 Forbidden</html>", "sidecar_invalid"),
        (gzip.compress(a_dfm(), mtime=0), "sidecar_invalid"),
        (a_dfm().decode().encode("utf-16"), "sidecar_invalid"),
        (a_dfm()[:-20], "sidecar_invalid"),
        (b"[]", "sidecar_invalid"),
        (b'{"dataInfo": ' + b"[" * MEBIBYTE, "sidecar_invalid"),
        (a_dfm() + b" " * (9 * MEBIBYTE), "sidecar_invalid"),
        (a_sidecar("fileInfo", recordCount=2), "record_count_mismatch"),
        (a_sidecar("fileInfo", recordCount=0), "record_count_mismatch"),
        (a_sidecar("fileInfo", recordCount=int("9" * 400)), "record_count_mismatch"),
        (a_sidecar("fileInfo", recordCount=-1), "sidecar_invalid"),
        (a_sidecar("fileInfo", recordCount=1.5), "sidecar_invalid"),
        (a_sidecar("fileInfo", recordCount=INJECTION), "sidecar_invalid"),
        (a_sidecar("fileInfo", startWriteTimestamp=INJECTION), "sidecar_invalid"),
        (a_sidecar("fileInfo", startWriteTimestamp="0001-01-01T00:00:00+14:00"), "sidecar_invalid"),
        (a_sidecar("formatInfo", format="parquet"), "sidecar_invalid"),
        (a_sidecar("formatInfo", options={"fieldDelimiter": '"'}), "sidecar_invalid"),
        (a_sidecar("formatInfo", options={"fieldDelimiter": ";"}), "undeclared_column"),
        (a_dfm([]), "sidecar_invalid"),
        (a_dfm([{"name": "SAMPLE_ID", "type": "INT4"}]), "undeclared_column"),
        (a_dfm([{"name": name, "type": "STRING"} for name in ("SAMPLE_ID", "SAMPLE_NAME", "X")]), "missing_column"),
        (a_dfm([{"name": name, "type": "STRING"} for name in ("SAMPLE_ID", "sample_id")]), "sidecar_invalid"),
        (a_dfm([{"name": "SAMPLE_ID", "type": "INT4"}, {"name": "SAMPLE_NAME", "type": "INT4"}]), "bad_value"),
    ],
)
@pytest.mark.slow
def test_a_sidecar_that_lies_or_is_none_ends_in_error_with_its_file(depot: Depot, dfm: bytes, code: str) -> None:
    files = an_ods_file(dfm)
    [load] = settled(depot, files)
    assert reason(depot, load)["code"] == code
    assert depot.rows(an_ods_table()) == []
    folder = depot.root / "error" / str(load.error_key).rpartition("/")[0]
    assert {path.name: path.read_bytes() for path in folder.glob("LOAD1.*") if path.suffix != ".json"} == {
        key.rpartition("/")[2]: data for key, data in files.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../../etc/passwd", "location": "/etc"},
        {"startWriteTimestamp": "9999-12-31T23:59:59.999"},
        {"recordCount": None},
    ],
)
def test_what_a_sidecar_says_of_other_places_and_times_leads_nowhere(depot: Depot, changes: dict[str, object]) -> None:
    [load] = settled(depot, an_ods_file(a_sidecar("fileInfo", **changes)))
    assert load.status is LoadStatus.ARCHIVED
    assert len(depot.rows(an_ods_table())) == 1


@pytest.mark.parametrize(
    "columns",
    [
        [{"name": "SAMPLE_ID", "type": "NUMERIC", "precision": 10**30, "scale": -5}],
        [{"name": "SAMPLE_ID", "type": "NUMERIC", "precision": 38, "scale": 100}],
        [{"name": "SAMPLE_ID", "type": "BYTES", "length": -1}],
        [{"name": "SAMPLE_ID", "type": INJECTION}],
    ],
)
def test_a_type_that_cannot_be_keeps_the_text(depot: Depot, columns: list[dict[str, Any]]) -> None:
    name = {"name": "SAMPLE_NAME", "type": "STRING"}
    settled(depot, an_ods_file(a_dfm([*columns, name])))
    [row] = depot.rows(an_ods_table())
    assert str(row["sample_id"]).rstrip("0").rstrip(".") in {"1", "b'\\x01'"}


PEAK = """
import gzip, resource, sys
from pathlib import Path
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table
from cubic_ingestion_tests.depot import Depot

kind, root, n_bytes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
depot = Depot.build(root, [an_ods_table(), a_table()])
depot.put("cubic/dmap/agg_sample/20220304.csv", b"sample_id,sample_name,sample_count\\n1,a,5\\n")
depot.settle()
path = depot.put("cubic/dmap/agg_sample/20220305.csv", b"")
if kind == "sidecar":
    path.rename(depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv", b"SAMPLE_ID,SAMPLE_NAME\\n1,a\\n"))
    depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv", b"SAMPLE_ID,SAMPLE_NAME\\n1,a\\n")
    path = depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.dfm", a_dfm())
    with path.open("r+b") as file:
        file.truncate(n_bytes)
else:
    row = {"rows": b"1,some text,5\\n", "cells": b"1," + b"x" * 3_000_000 + b",5\\n", "bad": b"1,a,bad\\n"}[kind]
    with path.open("wb") as file:
        file.write(b"sample_id,sample_name,sample_count\\n")
        for _ in range(n_bytes // len(row)):
            file.write(row)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
depot.settle()
[load] = [load for load in depot.loads() if load.id != 1]
print(load.status, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mebibytes", "status", "limit"),
    [
        ("rows", 128, "archived", 180),
        ("cells", 800, "archived", 650),
        ("bad", 8, "errored", 160),
        ("sidecar", 128, "errored", 40),
    ],
)
def test_memory_stays_bounded_whatever_the_file_holds(
    tmp_path: Path, kind: str, mebibytes: int, status: str, limit: int
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PEAK, kind, str(tmp_path), str(MEBIBYTE * mebibytes)],
        check=True,
        capture_output=True,
        text=True,
    )
    ended, peak = process.stdout.splitlines()[-1].split()
    assert ended == status
    assert int(peak) < limit


def test_a_reason_is_cut_to_what_people_read(depot: Depot) -> None:
    depot.put(DMAP + "20220304.csv", ("a,a" + "b" * 100_000 + ",a" + "b" * 100_000 + "\n1,2,3\n").encode())
    depot.settle()
    (load,) = depot.loads()
    assert load.error is not None
    assert load.error.code == "duplicate_column"
    assert len(load.error.message) <= 2_001
    assert load.error.column is not None
    assert len(load.error.column) <= 201
