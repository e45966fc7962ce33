"""``cubic ingest``: what it makes of good and bad files, and what its exit code says."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.claim import claim
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import BASE, CHANGES, depot_of, put_dmap, put_kafka, put_ods
from cubic_ingestion_tests.permissions import permissions_count
from local_servers.environment import clean_environment

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
    report = outcome.json
    (product,) = report.pop("products")
    assert (product["product"], product["loads"], product["waiting"]) == ("cubic__kafka__sample__events", 1, 0)
    assert report == {
        "tables": [
            {
                "table": "cubic__dmap__agg_sample",
                "loads": 1,
                "rows": 1,
                "quarantined": 0,
                "errored": 1,
                "held": 0,
                "waiting": 0,
                "parquet": f"{springboard}/cubic/dmap/agg_sample/",
            },
            {
                "table": "cubic__kafka__sample",
                "loads": 1,
                "rows": 1,
                "quarantined": 0,
                "errored": 0,
                "held": 0,
                "waiting": 0,
                "parquet": f"{springboard}/cubic/kafka/sample/",
            },
        ],
        "held": [],
        "left_alone": 0,
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
    assert "See what the waiting loads wait for: cubic loads list --status ready\n" in outcome.out
    query = next(line for line in outcome.out.splitlines() if "duckdb.connect" in line)
    code = query.split('-c "')[1].rstrip('"')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "waits for its .dfm sidecar" in cubic("loads", "list", "--status", "ready").text


def test_a_rejected_load_that_cannot_be_moved_to_error_is_named_by_everybody(cubic: Cubic, home: Path) -> None:
    put_dmap(depot_of(home), "20220304.csv", "1,a,many\n")
    (home / "error").mkdir()
    (home / "error").chmod(0o500)
    try:
        with permissions_count():
            ingest = cubic("ingest")
            status, audit, listed = cubic("status"), cubic("audit"), cubic("loads", "list")
    finally:
        (home / "error").chmod(0o700)

    assert ingest.exit_code != 0
    assert "cubic loads list --status errored --status ready_for_erroring" in ingest.out
    assert "errored cubic__dmap__agg_sample: 1 load was sent to Error" in status.out
    assert "1 original is not in Error yet" in status.out
    assert "cubic__dmap__agg_sample: 1 rejected load is not in Error yet" in audit.out
    assert "ready_for_erroring 2022-03-04 bad_value, not in Error yet" in listed.text


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


@pytest.mark.parametrize("step", ["ingesting", "archiving"])
def test_a_command_that_was_killed_is_finished_at_once_by_the_next(cubic: Cubic, home: Path, step: str) -> None:
    depot = depot_of(home)
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz")
    kill_in_the_midst(home, step)
    assert step in {load.status.value for load in depot.loads()}

    outcome = cubic("ingest", "--json")

    assert (outcome.exit_code, outcome.json["held"], outcome.json["failures"]) == (0, [], [])
    rows = [(row["loads"], row["rows"], row["held"], row["waiting"]) for row in outcome.json["tables"]]
    assert rows == [(1, 1, 0, 0)] * 2
    assert (len(depot.files("springboard")), len(depot.files("archive"))) == (2, 4)
    assert cubic("audit").exit_code == 0


_DIE_IN_THE_MIDST = """
import os, signal, sys
from cubic_ingestion.cli import main
from cubic_ingestion.ledger.outcomes import Outcomes

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Outcomes, {"ingesting": "complete_ingest", "archiving": "complete_archive"}[sys.argv.pop()], die)
main()
"""


def kill_in_the_midst(home: Path, step: str) -> None:
    """Run ``cubic ingest`` in a process that is killed after its files were written, before it puts that on record."""
    killed = subprocess.run(
        [sys.executable, "-c", _DIE_IN_THE_MIDST, "ingest", step],
        env=clean_environment() | {"CUBIC_HOME": str(home), "CUBIC_SETTLE_SECONDS": "0"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def test_loads_that_another_run_holds_are_told_apart_with_who_holds_them_until_when(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv")
    put_kafka(depot, "a.json")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    held = claim(depot.platform, ["cubic__dmap__agg_sample"], Work.INGEST, run_id="0ther-run", limit=1)
    [load] = held.loads
    assert load.claim_expires_at
    depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv.gz", b"x")

    outcome = cubic("ingest")

    assert outcome.exit_code == 0
    until = f"{load.claim_expires_at:%Y-%m-%d %H:%M:%S}"
    holder = f"1 load of cubic__dmap__agg_sample: run 0ther-run (process {os.getpid()} on {os.uname().nodename})"
    assert f"{holder}, until {until} UTC" in outcome.out
    assert "See them: cubic loads list --status ingesting --status archiving --status erroring\n" in outcome.out
    assert "See what the waiting loads wait for: cubic loads list --status ready\n" in outcome.out
    assert f"held by run 0ther-run until {until}" in cubic("loads", "list", "--status", "ingesting").text

    outcome = cubic("ingest", "--json")

    assert outcome.exit_code == 0
    rows = {row["table"]: (row["held"], row["waiting"]) for row in outcome.json["tables"]}
    assert rows == {"cubic__dmap__agg_sample": (1, 0), "cubic__ods_qlik__edw_sample": (0, 1)}
    [told] = outcome.json["held"]
    assert (told["name"], told["holder"], told["n_loads"]) == ("cubic__dmap__agg_sample", held.claimant, 1)


def test_what_a_worker_held_whose_clock_was_a_day_ahead_is_named_and_taken_over(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    depot.clock.advance(days=1)
    ahead = replace(depot.platform, clock=depot.clock)
    assert claim(ahead, ["cubic__dmap__agg_sample"], Work.INGEST, run_id="ahead").loads

    status, audit = cubic("status", "--check", "--ignore", "not_scanned"), cubic("audit")
    assert (status.exit_code, audit.exit_code) == (1, 1)
    assert "claim_ahead cubic__dmap__agg_sample: ahead/" in status.out
    assert "stuck, load 1, incoming: cubic/dmap/agg_sample/20220304.csv" in audit.out
    assert (
        'cubic_problems{code="claim_ahead",stream="dmap",table="cubic__dmap__agg_sample"} 1.0'
        in cubic("metrics", "--once").out
    )

    outcome = cubic("ingest", "--json")

    assert (outcome.exit_code, [row["loads"] for row in outcome.json["tables"]]) == (0, [1])
    assert "the clock that made it is ahead" in outcome.error
    assert cubic("status", "--check").exit_code == cubic("audit").exit_code == 0


def test_records_in_quarantine_are_summed_up(cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = home.parent / "tables"
    tables.mkdir()
    (tables / "more.toml").write_text(_QUARANTINING)
    monkeypatch.setenv("CUBIC_TABLES_DIR", str(tables))
    depot_of(home).put("cubic/dmap/quarantining/20220304.csv", b"sample_id\n1\nmany\n3\n")

    outcome = cubic("ingest")

    assert outcome.exit_code == 0
    assert "See the records in quarantine: cubic quarantine list" in outcome.out
    depot_of(home).put("cubic/dmap/quarantining/20220305.csv", b"sample_id\nmany\n")
    outcome = cubic("ingest", "--json")
    assert outcome.json["failures"] == []
    [row] = outcome.json["tables"]
    assert (row["loads"], row["rows"], row["quarantined"]) == (1, 0, 1)


_QUARANTINING = """
[[table]]
stream = "dmap"
name = "cubic__dmap__quarantining"
prefix = "cubic/dmap/quarantining/"
on_bad_value = "quarantine"
[table.columns]
sample_id = "int64"
"""


def test_nothing_in_incoming_is_nothing_to_do(cubic: Cubic, home: Path) -> None:
    outcome = cubic("ingest")
    assert outcome.exit_code == 0
    assert "Nothing to ingest in Incoming." in outcome.out
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
