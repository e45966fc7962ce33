"""Files shaped as the vendor's real ones are, with all that is odd about those, through ``cubic ingest``.

What is odd: no ``startWriteTimestamp``; a sidecar that names another file, and calls changes ``data``; no last
newline; seven fractional digits; emoji; one change number used twice.
"""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pytest

from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, DMAP, depot_of, enter
from local_servers.environment import clean_environment

CUBIC = str(Path(sys.executable).with_name("cubic"))
ARRIVED_AT = datetime(2021, 12, 1, 11, 22, 33, 987_654, tzinfo=UTC)
SNAPSHOT = "20211201T112233Z"

HEADER = (("header__change_seq", "STRING"), ("header__change_oper", "STRING"), ("header__timestamp", "DATETIME"))
COLUMNS = (
    ("SAMPLE_ID", "INT4"),
    ("SAMPLE_NAME", "STRING"),
    ("EDW_INSERTED_DTM", "DATETIME"),
    ("EDW_UPDATED_DTM", "DATETIME"),
)
TIMES = "2021-12-01 11:20:30.4444444,2021-12-01 11:20:31.4444444"
SEQUENCE = "20210915031230320000000000000000041"


def a_sidecar(name: str, columns: tuple[tuple[str, str], ...], n_rows: int) -> bytes:
    """Build a ``.dfm`` with its fields as empty as the vendor leaves them."""
    task = ("name", "sourceEndpoint", "sourceEndpointType", "sourceEndpointUser", "replicationServer", "operation")
    options = {"fieldDelimiter": ",", "recordDelimiter": "\n", "nullValue": "", "quoteChar": '"', "escapeChar": ""}
    file_info: dict[str, Any] = {
        "name": name,
        "extension": "gz",
        "location": "incoming/cubic/ods_qlik/EDW.SAMPLE",
        "startWriteTimestamp": "",
        "endWriteTimestamp": "",
        "firstTransactionTimestamp": None,
        "lastTransactionTimestamp": None,
        "content": "data",
        "recordCount": n_rows,
        "errorCount": 0,
    }
    sidecar = {
        "dfmVersion": "1.1",
        "taskInfo": dict.fromkeys(task, ""),
        "fileInfo": file_info,
        "formatInfo": {"format": "delimited", "options": options},
        "dataInfo": {
            "sourceSchema": "EDW",
            "sourceTable": "SAMPLE",
            "targetSchema": "EDW",
            "targetTable": "SAMPLE",
            "tableVersion": 1,
            "columns": [
                {"ordinal": n, "name": name, "type": kind, "length": 0, "precision": 0, "scale": 0, "primaryKeyPos": 0}
                for n, (name, kind) in enumerate(columns, 1)
            ],
        },
    }
    return json.dumps(sidecar, indent=4).encode()


def put(depot: Depot, key: str, columns: tuple[tuple[str, str], ...], *rows: str, name: str, ending: str = "") -> None:
    """Let a file and its sidecar land, at a time that its name does not tell."""
    text = "\n".join([",".join(column for column, _ in columns), *rows]) + ending
    depot.put(key + ".csv.gz", gzip.compress(text.encode()), modified_at=ARRIVED_AT)
    depot.put(key + ".dfm", a_sidecar(name, columns, len(rows)), modified_at=ARRIVED_AT)


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Depot:
    """A depot in which ``cubic ingest`` did all there was to do."""
    with pytest.MonkeyPatch.context() as patch:
        depot = depot_of(enter(tmp_path_factory.mktemp("shapes"), patch))
    put(
        depot,
        BASE + "LOAD1",
        COLUMNS,
        f'1,"Sample 1 🔥",{TIMES}',
        f'2,"Sample 2",{TIMES}',
        name="LOAD1.csv",
        ending="\n",
    )
    put(depot, BASE + "LOAD2", COLUMNS, f'3,"Sample 3",{TIMES}', name="LOAD2.csv")
    for stamp, oper, sample_id, ending in (("20211201-112233444", "I", 4, ""), ("20211201-122433444", "U", 4, "\n")):
        row = f'{SEQUENCE},{oper},2021-10-08 13:12:31.320000,{sample_id},"Sample 4 🔥🔥🔥🔥",{TIMES}'
        put(depot, CHANGES + stamp, HEADER + COLUMNS, row, name="20211201-112233444.csv", ending=ending)
    for day, first in ((20220517, 1), (20220518, 3)):
        text = f'sample_id,sample_name,sample_count\n{first},"Sample {first}",5\n{first + 1},"Sample {first + 1}",5\n'
        depot.put(f"{DMAP}agg_sample_{day}.csv.gz", gzip.compress(text.encode()))
    environment = clean_environment() | {"CUBIC_HOME": str(depot.root)}
    done = subprocess.run(
        [CUBIC, "ingest", "--json"], cwd=depot.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return depot


def test_every_load_is_archived_with_its_sidecar_in_the_snapshot_of_its_arrival(depot: Depot) -> None:
    assert {load.status.value for load in depot.loads()} == {"archived"}
    assert depot.files("incoming") == depot.files("error") == []
    assert depot.files("archive") == [
        f"{DMAP}agg_sample_20220517.csv.gz",
        f"{DMAP}agg_sample_20220518.csv.gz",
        *(f"{BASE}snapshot={SNAPSHOT}/LOAD{n}.{end}" for n in (1, 2) for end in ("csv.gz", "dfm")),
        *(
            f"{CHANGES}snapshot={SNAPSHOT}/20211201-{time}.{end}"
            for time in ("112233444", "122433444")
            for end in ("csv.gz", "dfm")
        ),
    ]


def test_values_are_what_stood_in_the_files(depot: Depot) -> None:
    rows = ds.dataset(depot.root / "springboard" / BASE, format="parquet", partitioning="hive").to_table().to_pylist()

    rows.sort(key=lambda row: row["sample_id"])
    assert [(row["sample_id"], row["sample_name"], row["identifier"]) for row in rows] == [
        (1, "Sample 1 🔥", "LOAD1.csv.gz"),
        (2, "Sample 2", "LOAD1.csv.gz"),
        (3, "Sample 3", "LOAD2.csv.gz"),
    ]
    assert {str(row["edw_inserted_dtm"]) for row in rows} == {"2021-12-01 11:20:30.444444400"}
    assert {str(row["edw_updated_dtm"]) for row in rows} == {"2021-12-01 11:20:31.444444400"}


def test_changes_keep_their_number_as_text_even_if_it_comes_twice(depot: Depot) -> None:
    with duckdb.connect(str(depot.root / "catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.sql(
            "select header__change_seq, header__change_oper, sample_id, sample_name, snapshot, identifier "
            "from cubic__ods_qlik__edw_sample__ct order by identifier"
        ).fetchall()
    assert rows == [
        (SEQUENCE, "I", 4, "Sample 4 🔥🔥🔥🔥", SNAPSHOT, "20211201-112233444.csv.gz"),
        (SEQUENCE, "U", 4, "Sample 4 🔥🔥🔥🔥", SNAPSHOT, "20211201-122433444.csv.gz"),
    ]


def test_data_sets_of_the_api_are_in_the_catalog(depot: Depot) -> None:
    with duckdb.connect(str(depot.root / "catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.sql("from cubic__dmap__agg_sample select columns('sample_') order by sample_id").fetchall()
    assert rows == [(n, f"Sample {n}", 5) for n in (1, 2, 3, 4)]
