"""``cubic ingest``: what it makes of good and bad files, and what its exit code says."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import clean_environment, depot_of, put_dmap, put_kafka

CUBIC = str(Path(sys.executable).with_name("cubic"))


def sample_rows(home: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as catalog:
        return catalog.table("cubic__dmap__agg_sample").fetchall()


def test_good_and_bad_files_are_summed_up_and_the_exit_code_is_1_once(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv", "1,[red]a,many\n")
    put_kafka(depot, "x.json")

    outcome = cubic("ingest", "--json")

    assert outcome.exit_code == 1
    springboard = (home / "springboard").as_uri()
    assert outcome.json == {
        "tables": [
            {
                "table": "cubic__dmap__agg_sample",
                "loads": 1,
                "rows": 1,
                "errored": 1,
                "waiting": 0,
                "parquet": f"{springboard}/cubic/dmap/agg_sample/",
            },
            {
                "table": "cubic__kafka__sample",
                "loads": 1,
                "rows": 1,
                "errored": 0,
                "waiting": 0,
                "parquet": f"{springboard}/cubic/kafka/sample/",
            },
        ],
        "failures": [],
    }
    assert cubic("ingest", "--json").exit_code == 0
    assert "x.json" in cubic("loads", "list").out
    assert "20220305.csv errored 2022-03-05 bad_value" in cubic("loads", "list", "--status", "errored").text
    [errored] = cubic("loads", "list", "--status", "errored", "--json").json
    assert (errored["error_code"], errored["error_row"], errored["error_column"]) == ("bad_value", 1, "sample_count")
    assert "'many' is no int64" in cubic("loads", "show", errored["id"]).out


def test_the_summary_for_people_says_what_to_do_next(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv", "1,a,many\n")
    depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv.gz", b"x")

    outcome = cubic("ingest")

    assert outcome.exit_code == 1
    assert "See why: cubic loads list --status errored" in outcome.out
    assert "See what they wait for: cubic loads list --status ready" in outcome.out
    query = next(line for line in outcome.out.splitlines() if "duckdb.connect" in line)
    code = query.split('-c "')[1].rstrip('"')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "waits for its .dfm sidecar" in cubic("loads", "list", "--status", "ready").text


def test_a_failing_table_is_exit_code_2_and_the_rest_is_done(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")
    with closing(sqlite3.connect(home / "metadata.sqlite")) as connection, connection:
        connection.execute(
            "create trigger breaks before update on cubic_loads when new.attempts > old.attempts "
            "and new.s3_key like 'cubic/dmap/%' begin select raise(abort, 'this table is broken'); end"
        )

    outcome = cubic("ingest", "--json")

    assert outcome.exit_code == 2
    assert "this table is broken" in outcome.json["failures"][0]
    assert [row["table"] for row in outcome.json["tables"] if row["loads"]] == ["cubic__kafka__sample"]
    with closing(sqlite3.connect(home / "metadata.sqlite")) as connection, connection:
        connection.execute("drop trigger breaks")
    assert cubic("ingest", "--json").exit_code == 0
    assert [row["table"] for row in cubic("status", "--json").json["tables"] if row["archived"] == 1] == [
        "cubic__dmap__agg_sample",
        "cubic__kafka__sample",
    ]


@pytest.mark.parametrize(
    "removed",
    [("incoming", "archive", "error", "springboard", "catalog.duckdb", "dagster"), ("",)],
    ids=["all but the database", "everything"],
)
def test_what_a_person_removed_is_made_again(cubic: Cubic, home: Path, removed: tuple[str, ...]) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    assert cubic("ingest").exit_code == 0
    for path in (home / name for name in removed):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    put_dmap(depot, "20220305.csv", "2,b,6\n")
    outcome = cubic("ingest", "--json")

    assert outcome.exit_code == 0
    assert [(row["loads"], row["rows"]) for row in outcome.json["tables"]] == [(1, 1)]
    assert (2, "b", 6) in [row[:3] for row in sample_rows(home)]


def test_nothing_in_incoming_is_nothing_to_do(cubic: Cubic, home: Path) -> None:
    outcome = cubic("ingest")
    assert outcome.exit_code == 0
    assert "Nothing new in Incoming." in outcome.out
    assert cubic("status").text.startswith("No loads yet.")
    assert home.is_dir()


@pytest.mark.slow
def test_two_at_once_ingest_each_file_once(home: Path) -> None:
    depot = depot_of(home)
    for batch in range(16):
        put_kafka(depot, f"{batch}.json")
    environment = clean_environment() | {"CUBIC_HOME": str(home), "CUBIC_MAX_LOADS_PER_RUN": "4"}
    both = [
        subprocess.Popen([CUBIC, "ingest", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=100)[1], process.returncode) for process in both]

    assert [code for _, code in ended] == [0, 0], ended
    assert {load.status.value for load in depot.loads()} == {"archived"}
    assert len(depot.loads()) == len(depot.files("archive")) == len(depot.files("springboard")) == 16
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as catalog:
        assert catalog.table("cubic__kafka__sample").count("*").fetchall() == [(16,)]
