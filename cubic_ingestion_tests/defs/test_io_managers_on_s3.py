"""What comes back from a Springboard in S3, and what goes there, below a prefix of a shared bucket."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from cubic_ingestion.domain.table import Table
from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.defs.conftest import BASE_TABLE
from cubic_ingestion_tests.defs.test_io_managers import FORMS, SNAPSHOT, ingested, read_back, run
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, enter
from cubic_ingestion_tests.s3 import name_s3, new_bucket, s3

__all__ = ["s3"]


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket that all zones are prefixes of."""
    return new_bucket(s3)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: Any, bucket: str) -> Path:
    """An empty home that the environment names, with its zones in S3."""
    home = enter(tmp_path, monkeypatch)
    name_s3(s3, monkeypatch)
    monkeypatch.setenv("CUBIC_CATALOG", "glue")
    monkeypatch.setenv("CUBIC_GLUE_DATABASE", "springboard")
    for zone in ("incoming", "archive", "error", "springboard"):
        monkeypatch.setenv(f"CUBIC_{zone.upper()}_URL", f"s3://{bucket}/dev/{zone}")
    return home


def put_load(s3: Any, bucket: str, counter: int, kind: str, value: str) -> None:
    files = {
        "csv.gz": csv_gz(f"X\n{value}"),
        "dfm": a_dfm([{"name": "X", "type": kind}], started_at=f"2022-03-01T00:0{counter - 1}:00.000"),
    }
    for ending, body in files.items():
        s3.put_object(Bucket=bucket, Key=f"dev/incoming/{BASE}LOAD{counter}.{ending}", Body=body)


@pytest.mark.parametrize("form", FORMS)
def test_an_input_is_read_from_s3_in_the_form_its_annotation_names(
    s3: Any, bucket: str, depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance, form: type
) -> None:
    put_load(s3, bucket, 1, "INT4", "1")
    put_load(s3, bucket, 2, "INT8", "9007199254740993")
    ingested(depot, tables[BASE_TABLE])
    ids = {load.version.file_name: load.id for load in depot.loads()}

    read_as, rows = read_back(instance, tables[BASE_TABLE], SNAPSHOT, form)

    assert issubclass(read_as, form)
    assert sorted(rows, key=lambda row: row["identifier"]) == [
        {"x": value, "load_id": ids[name], "snapshot": SNAPSHOT, "identifier": name}
        for name, value in (("LOAD1.csv.gz", 1), ("LOAD2.csv.gz", 9007199254740993))
    ]


def test_what_an_asset_returns_goes_below_the_prefix_and_is_read_by_another(
    s3: Any, bucket: str, depot: Depot, instance: dg.DagsterInstance
) -> None:
    @dg.asset(key_prefix="reports", io_manager_key="springboard")
    def totals():  # noqa: ANN202 - annotated, Dagster would check the type in the IO manager's place
        return pa.table({"x": [1, 2]})

    read: list[list[dict[str, Any]]] = []

    @dg.asset(ins={"totals": dg.AssetIn(["reports", "totals"], input_manager_key="springboard")})
    def reader(totals: pa.Table) -> None:
        read.append(totals.to_pylist())

    result = run(instance, [totals])
    run(instance, [totals, reader])

    [entry] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["Key"] == "dev/springboard/reports/totals/part-0.parquet"
    assert [row["x"] for row in read[0]] == [1, 2]
    [event] = result.asset_materializations_for_node("reports__totals")
    assert event.metadata["dagster/uri"].value == f"s3://{bucket}/{entry['Key']}"
    assert depot.platform.stores.springboard.uri("") == f"s3://{bucket}/dev/springboard/"
