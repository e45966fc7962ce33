"""The commands that read, on a home in which the sample was ingested."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from cubic_ingestion.cli import loads as loads_module
from cubic_ingestion.cli import output
from cubic_ingestion.ledger.upgrade import NEWEST
from cubic_ingestion.tables import load_tables
from cubic_ingestion_tests.cli.conftest import Cubic

pytestmark = pytest.mark.usefixtures("ingested_home")

SAMPLE = {
    "cubic__dmap__agg_sample": (4, 8),
    "cubic__kafka__sample": (2, 4),
    "cubic__ods_qlik__edw_sample": (2, 5),
    "cubic__ods_qlik__edw_sample__ct": (2, 2),
}
"""Loads and rows of the sample by table."""


def test_status_tells_loads_and_rows_by_table(cubic: Cubic) -> None:
    outcome = cubic("status", "--json")

    assert outcome.exit_code == 0
    assert outcome.json["undeclared_prefixes"] == []
    rows = {row["table"]: row for row in outcome.json["tables"]}
    assert {name: (row["archived"], row["rows"]) for name, row in rows.items()} == SAMPLE
    assert {(row["under_way"], row["errored"], row["oldest_under_way"]) for row in rows.values()} == {(0, 0, None)}
    assert [rows[name]["stream"] for name in SAMPLE] == ["dmap", "kafka", "ods", "ods"]


def test_status_for_people_has_the_same(cubic: Cubic) -> None:
    text = cubic("status").text
    for name, (n_loads, n_rows) in SAMPLE.items():
        assert f"{name} 0 {n_loads} 0 {n_rows}" in text


def test_a_prefix_that_no_table_declares_is_named(cubic: Cubic, ingested_home: Path) -> None:
    stray = ingested_home / "incoming" / "cubic" / "dmap" / "[red]unknown" / "1.csv"
    stray.parent.mkdir(parents=True)
    stray.write_text("a\n1\n")
    try:
        assert cubic("status", "--json").json["undeclared_prefixes"] == ["cubic/dmap/[red]unknown/"]
        assert "Left alone, no table declares it: cubic/dmap/[red]unknown/" in cubic("status").out
    finally:
        stray.unlink()
        stray.parent.rmdir()


def test_loads_are_listed_newest_first(cubic: Cubic) -> None:
    loads = cubic("loads", "list", "--json").json

    assert len(loads) == 10
    assert [load["id"] for load in loads] == sorted((load["id"] for load in loads), reverse=True)
    assert {load["status"] for load in loads} == {"archived"}


def test_many_loads_are_read_and_printed_page_by_page(cubic: Cubic, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("loads", "list", "--limit", "8")
    expected, as_text = cubic(*options, "--json").out, cubic(*options).text
    assert [load["id"] for load in json.loads(expected)] == list(range(10, 2, -1))
    assert expected == json.dumps(json.loads(expected), indent=2, ensure_ascii=False) + "\n"
    monkeypatch.setattr(loads_module, "_PAGE_LOADS", 3)
    monkeypatch.setattr(output, "_MAX_TABLE_ROWS", 5)

    assert cubic(*options, "--json").out == expected
    paged = cubic(*options).text
    assert paged.count("partition") == as_text.count("partition") + 1
    assert all(load["key"].rpartition("/")[2] in paged for load in json.loads(expected))


@pytest.mark.parametrize(
    ("options", "n_loads"),
    [
        (("--table", "cubic__kafka__sample"), 2),
        (("--table", "cubic__kafka__sample", "--table", "cubic__dmap__agg_sample"), 6),
        (("--status", "errored"), 0),
        (("--status", "errored", "--status", "archived"), 10),
        (("--limit", "3"), 3),
        (("--table", "cubic__dmap__agg_sample", "--status", "archived", "--limit", "9223372036854775807"), 4),
    ],
)
def test_loads_are_selected(cubic: Cubic, options: Sequence[str], n_loads: int) -> None:
    assert len(cubic("loads", "list", *options, "--json").json) == n_loads


def test_loads_for_people_say_so_when_there_are_none(cubic: Cubic) -> None:
    assert cubic("loads", "list", "--status", "errored").text.startswith("No such loads. Looked in: home ")
    assert "LOAD001.csv.gz archived 20220301T000000Z 3" in cubic("loads", "list").text


def test_a_loads_whole_story_is_shown(cubic: Cubic, ingested_home: Path) -> None:
    [load] = [load for load in cubic("loads", "list", "--json").json if load["key"].endswith("LOAD001.csv.gz")]

    story = cubic("loads", "show", load["id"], "--json").json

    assert story == load
    assert story["key"] == "cubic/ods_qlik/EDW.SAMPLE/LOAD001.csv.gz"
    assert (ingested_home / "archive" / story["archive_key"]).is_file()
    assert (ingested_home / "springboard" / story["location"]).is_file()
    assert (story["status"], story["n_rows"], story["partition_key"]) == ("archived", 3, "20220301T000000Z")
    assert datetime.fromisoformat(story["snapshot"]).isoformat() == "2022-03-01T00:00:00+00:00"
    text = cubic("loads", "show", load["id"]).out
    assert all(str(story[name]) in text for name in ("key", "archive_key", "location", "etag", "n_rows"))


def test_a_load_that_is_not_there_is_exit_code_1(cubic: Cubic) -> None:
    outcome = cubic("loads", "show", 4711, "--json")
    assert (outcome.exit_code, outcome.out) == (1, "")
    assert "There is no load 4711" in outcome.error


def test_tables_are_listed(cubic: Cubic) -> None:
    rows = {row["name"]: row for row in cubic("tables", "list", "--json").json}

    assert rows.keys() == load_tables().keys()
    assert rows["cubic__dmap__agg_sample"] == {
        "name": "cubic__dmap__agg_sample",
        "stream": "dmap",
        "prefix": "cubic/dmap/agg_sample/",
        "columns": 3,
        "is_raw": False,
        "is_active": True,
        "on_bad_value": "reject",
        "on_schema_change": "evolve",
    }
    assert "cubic__dmap__agg_sample dmap cubic/dmap/agg_sample/ 3 False True" in cubic("tables", "list").text


def test_what_was_put_and_ingested_before_is_not_again(cubic: Cubic, ingested_home: Path) -> None:
    before = cubic("loads", "list", "--json").json
    assert cubic("demo").text == "The sample was put into Incoming before."

    outcome = cubic("ingest", "--json")

    assert outcome.exit_code == 0
    report = outcome.json
    assert [(row["product"], row["waiting"]) for row in report.pop("products")] == [
        ("cubic__kafka__sample__events", 0),
        ("cubic__ods_qlik__edw_sample__current", 0),
        ("cubic__ods_qlik__edw_sample__changes", 0),
    ]
    assert report == {"tables": [], "held": [], "left_alone": 0, "failures": []}
    assert cubic("loads", "list", "--json").json == before
    assert len(list((ingested_home / "springboard").rglob("*.parquet"))) == 10
    assert "Nothing to ingest in Incoming." in cubic("ingest").out


def test_upgrading_again_changes_nothing(cubic: Cubic) -> None:
    first, second = cubic("db", "upgrade"), cubic("db", "upgrade")
    assert first == second
    assert f"is at revision {NEWEST}" in first.out
