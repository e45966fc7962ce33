"""What went wrong in the systems before this one, each by its number in docs/pitfalls.md, and not again here."""

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.pipeline import plan as planning
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.parallel import LARGE_BYTES
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion.pipeline.scan import undeclared_prefixes
from cubic_ingestion.pipeline.write import Written
from cubic_ingestion_tests.builders import NOON, a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.troubled import troubled

pytestmark = pytest.mark.slow

BASE = "cubic/ods_qlik/EDW.SAMPLE/"
CHANGES = "cubic/ods_qlik/EDW.SAMPLE__ct/"
DMAP = "cubic/dmap/agg_sample/"
HEADER = "sample_id,sample_name,sample_count\n"
MARCH = "2022-03-01T00:00:00.000"
MAY = "2022-05-01T00:00:00.000"
TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "pitfalls.md").read_text(encoding="utf-8")
WITHOUT_A_TEST = "no CDC merge in this platform"


def put_ods(depot: Depot, key: str, text: str = "1,a\n", *, started_at: str = MARCH, n_rows: int = 1) -> None:
    """Let an ODS file and its sidecar land."""
    depot.put(key, csv_gz("SAMPLE_ID,SAMPLE_NAME\n" + text))
    depot.put(key.removesuffix(".csv.gz") + ".dfm", a_dfm(record_count=n_rows, started_at=started_at))


def put_typed(depot: Depot, key: str, columns: list[dict[str, Any]], text: str, n_rows: int) -> None:
    """Let an ODS file of some types land."""
    depot.put(key, csv_gz(text))
    depot.put(key.removesuffix(".csv.gz") + ".dfm", a_dfm(columns, record_count=n_rows, started_at=MARCH))


def code(load: Load) -> str | None:
    """Return why a load was rejected."""
    return load.error.code if load.error else None


def shown(depot: Depot) -> list[str]:
    """Return what the catalog shows of the DMAP sample."""
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        return [
            value for (value,) in catalog.table(a_table().name).select("sample_name").order("sample_name").fetchall()
        ]


def archived_bytes(depot: Depot) -> set[bytes]:
    """Return the originals in Archive."""
    return {(depot.root / "archive" / key).read_bytes() for key in depot.files("archive")}


def test_o1_files_of_one_second_and_those_older_than_the_newest_are_recorded(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz")
    assert register(depot.platform, StreamName.ODS).n_new == 1
    for number in range(1_200):  # more than a page of a listing, all older than the full load or of one second
        moment = NOON - timedelta(days=number % 3)
        depot.put(f"{CHANGES}20220304-{number:09}.csv.gz", b"x", modified_at=moment)
    assert register(depot.platform, StreamName.ODS).n_new == 1_200
    assert register(depot.platform, StreamName.ODS).n_new == 0
    assert len({(load.version.key, load.version.etag) for load in depot.loads()}) == 1_201


@pytest.mark.parametrize(("rows", "zone"), [("5", "archive"), ("many", "error")])
def test_o2_both_versions_of_a_restated_data_set_are_kept_and_the_newer_is_shown(
    depot: Depot, rows: str, zone: str
) -> None:
    moment = depot.clock.now().replace(microsecond=0)
    originals = [f"{HEADER}1,{name},{rows}\n".encode() for name in ("first", "second")]
    for number, data in enumerate(originals):
        depot.put(DMAP + "20220517.csv", data, modified_at=moment + timedelta(microseconds=number))
        depot.settle()
    kept = [key for key in depot.files(zone) if not key.endswith(".error.json")]
    assert sorted((depot.root / zone / key).read_bytes() for key in kept) == originals
    assert depot.files("incoming") == []
    if zone == "archive":
        assert shown(depot) == ["second"]


def test_o3_a_full_load_overwritten_between_recording_and_reading_goes_to_its_own_snapshot(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,old\n", started_at=MARCH)
    register(depot.platform, StreamName.ODS)
    plan(depot.platform, StreamName.ODS)
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,new\n", started_at=MAY)
    for _ in range(2):
        depot.settle()
        depot.clock.advance(minutes=10)
    old, new = depot.loads()
    assert (old.status, code(old)) == (LoadStatus.ERRORED, "superseded")
    assert (new.status, new.snapshot) == (LoadStatus.ARCHIVED, datetime(2022, 5, 1, tzinfo=UTC))
    assert [row["sample_name"] for row in depot.rows(an_ods_table())] == ["new"]


def test_o5_of_a_worker_that_outlives_its_claim_and_its_successor_one_publishes(depot: Depot) -> None:
    depot.put(DMAP + "20220304.csv", f"{HEADER}1,a,5\n".encode())
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    successors: list[int] = []

    def slow(
        claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        depot.clock.advance(seconds=2 * depot.platform.limits.claim_timeout_seconds)
        quick = ingest(depot.platform, a_table(), depot.write_load, run_id="quick")
        successors.append(len(quick.ingested))
        return depot.write_load(claim, load, key, schema, batches)

    report = ingest(depot.platform, a_table(), slow, run_id="slow")
    assert (successors, report.ingested) == ([1], [])
    assert [why for _, why in report.released] == ["its claim was lost to another worker"]
    assert len(depot.rows(a_table())) == 1


@pytest.mark.parametrize(
    ("n_stated", "n_cut", "expected"),
    [(2, 0, None), (1, 0, "record_count_mismatch"), (3, 0, "record_count_mismatch"), (2, 9, "gzip_damaged")],
)
def test_o8_a_file_that_is_not_whole_is_rejected(depot: Depot, n_stated: int, n_cut: int, expected: str | None) -> None:
    data = csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n2,b\n")
    depot.put(BASE + "LOAD1.csv.gz", data[: len(data) - n_cut])
    depot.put(BASE + "LOAD1.dfm", a_dfm(record_count=n_stated, started_at=MARCH))
    depot.settle()
    assert [code(load) for load in depot.loads()] == [expected]
    assert len(depot.rows(an_ods_table())) == (0 if expected else 2)


@pytest.mark.parametrize("first", ["LOAD_1_0001", "LOAD00000001", "LOAD1", "LOAD0000000A"])
def test_o9_a_full_load_of_any_counter_in_any_order_is_one_snapshot(depot: Depot, first: str) -> None:
    others = {"LOAD_1_0001": ("LOAD_1_0002", "LOAD_2_0001"), "LOAD0000000A": ("LOAD00000001", "LOAD0000000B")}
    names = [first, *others.get(first, (first[:-1] + "2", first[:-1] + "3"))]
    for number, name in enumerate(reversed(names)):
        started_at = MARCH.replace(":00.", f":0{0 if name in (names[0], 'LOAD00000001') else 5}.")
        put_ods(depot, f"{BASE}{name}.csv.gz", f"{number},a\n", started_at=started_at)
        depot.settle()
        depot.clock.advance(minutes=10)
    depot.settle()
    assert {load.snapshot for load in depot.loads()} == {datetime(2022, 3, 1, tzinfo=UTC)}
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert len(depot.rows(an_ods_table())) == 3


def test_o11_a_large_first_file_makes_no_empty_chunk(depot: Depot) -> None:
    line = b"1," + b"x" * 1000 + b",5\n"
    depot.put(DMAP + "20220301.csv", HEADER.encode() + line * (LARGE_BYTES // len(line) + 1))
    depot.put(DMAP + "20220302.csv", HEADER.encode() + line)
    depot.put(DMAP + "20220303.csv", HEADER.encode() + line)
    reports = [report for report in depot.ingest() if report.ingested or report.released]
    assert [[load.version.file_name for load, _ in report.ingested] for report in reports] == [
        ["20220301.csv", "20220302.csv", "20220303.csv"]
    ]


def test_o17_plain_files_are_taken_and_nothing_is_dropped_in_silence(depot: Depot) -> None:
    depot.put(DMAP + "20220304.csv", b"added,sample_id\nx,1\n")
    depot.put("cubic/kafka/sample/a.json", b'{"amount": 12345678.91, "extra": 0.1000000000000000055511}\n')
    depot.put("cubic/dmap/unregistered/1.csv", b"a\n1\n")
    reports = depot.ingest()
    depot.archive()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    [row] = depot.rows(a_table())
    assert (row["added"], row["sample_id"], row["sample_count"]) == ("x", 1, None)
    [event] = depot.rows(KAFKA_TABLE)
    assert (event["amount"], event["extra"]) == (Decimal("12345678.91"), "0.1000000000000000055511")
    notes = [report.notes for report in reports if "missing_columns" in report.notes]
    assert {"undeclared_columns": "added", "missing_columns": "sample_name, sample_count"} in notes
    unknown = undeclared_prefixes(depot.platform.stores.incoming, depot.platform.tables)
    assert unknown == ["cubic/dmap/unregistered/"]


@pytest.mark.slow
def test_d5_changes_in_any_order_of_arrival_end_as_in_order(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz")
    names = [f"202203{day:02}-10150012{day % 10}" for day in range(1, 13)]
    shuffled = random.Random(5).sample(names, len(names))  # noqa: S311 - the same shuffle each time
    assert shuffled != names
    for name in shuffled:
        put_ods(depot, f"{CHANGES}{name}.csv.gz", f"{int(name[6:8])},a\n")
        depot.settle()
    assert {row["sample_id"] for row in depot.rows(a_change_table())} == set(range(1, 13))
    assert len(depot.rows(a_change_table())) == 12
    assert {load.partition_key for load in depot.loads()} == {"20220301T000000Z"} | {
        f"20220301T000000Z_2022-03-{day:02}" for day in range(1, 13)
    }


def test_d6_a_later_file_of_a_full_load_opens_no_snapshot(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD00100001.csv.gz", started_at="2022-03-01T00:10:00.000")
    depot.settle()
    assert [load.waits_for is not None for load in depot.loads()] == [True]
    assert depot.platform.ledger.plans.snapshots(an_ods_table().name) == []
    put_ods(depot, BASE + "LOAD00000001.csv.gz", started_at=MARCH)
    depot.settle()
    assert {load.snapshot for load in depot.loads()} == {datetime(2022, 3, 1, tzinfo=UTC)}


def test_d7_line_ends_order_digits_and_types_are_each_files_own(depot: Depot) -> None:
    number, text = {"name": "A", "type": "INT4"}, {"name": "A", "type": "STRING"}
    moment = {"name": "B", "type": "DATETIME", "scale": 7}
    put_typed(depot, BASE + "LOAD1.csv.gz", [number, moment], "B,A\n2022-03-04 01:02:03.1234567,7", 1)
    put_typed(depot, BASE + "LOAD2.csv.gz", [text, text | {"name": "B"}], 'A,B\n"x\ny",07', 1)
    put_typed(depot, BASE + "LOAD3.csv.gz", [number, text | {"name": "B"}], "A,B\n1,b\n2", 2)
    depot.settle()
    first, second = depot.rows(an_ods_table())
    assert (first["a"], str(first["b"])) == (7, "2022-03-04 01:02:03.123456700")
    assert (second["a"], second["b"]) == ("x\ny", "07")
    assert [code(load) for load in depot.loads()] == [None, None, "ragged_row"]


def test_d8_a_type_that_widens_or_turns_to_text_stops_nothing(depot: Depot) -> None:
    for name, type_, value in (
        ("LOAD1", {"type": "NUMERIC", "precision": 10, "scale": 2}, "12345678.91"),
        ("LOAD2", {"type": "NUMERIC", "precision": 19, "scale": 2}, "12345678901234567.91"),
        ("LOAD3", {"type": "STRING"}, "none"),
    ):
        put_typed(depot, f"{BASE}{name}.csv.gz", [{"name": "A", **type_}], f"A\n{value}\n", 1)
        depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        rows = catalog.table(an_ods_table().name).order("load_id").select("a::varchar").fetchall()
    assert rows == [("12345678.91",), ("12345678901234567.91",), ("none",)]


def test_d12_more_orphans_than_a_page_hold_nothing_up(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PAGE_SIZE", 20)
    other = an_ods_table(name="cubic__ods_qlik__edw_zone", prefix="cubic/ods_qlik/EDW.ZONE/")
    tables = {**depot.platform.tables, other.name: other}
    crowded = replace(depot, platform=replace(depot.platform, tables=tables))
    for number in range(70):
        put_ods(crowded, f"{CHANGES}20220304-1015{number:05}.csv.gz")
    put_ods(crowded, f"{other.prefix}LOAD1.csv.gz")
    crowded.settle()
    by_table = {load.table: load.status for load in crowded.loads()}
    assert by_table == {other.name: LoadStatus.ARCHIVED, a_change_table().name: LoadStatus.READY}
    assert {load.waits_for is None for load in crowded.loads() if load.status is LoadStatus.READY} == {False}


def test_m4_d10_a_data_set_restated_without_records_replaces_its_rows_and_both_are_kept(depot: Depot) -> None:
    originals = [f"{HEADER}1,a,5\n2,b,6\n".encode(), HEADER.encode()]
    for data in originals:
        depot.put(DMAP + "20220304.csv", data)
        depot.settle()
    assert depot.rows(a_table()) == []
    assert archived_bytes(depot) == set(originals)
    assert [load.n_rows for load in depot.loads()] == [2, 0]


def test_m5_a_full_load_in_error_names_no_snapshot_but_its_own(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,a\n", started_at=MARCH)
    put_ods(depot, BASE + "LOAD2.csv.gz", "x,b\n", started_at="2022-03-01T00:10:00.000")
    depot.settle()
    assert [key for key in depot.files("error") if "timestamp=" not in key] == []
    put_ods(depot, CHANGES + "20220304-101500123.csv.gz")
    depot.settle()
    march = datetime(2022, 3, 1, tzinfo=UTC)
    assert [snapshot.started_at for snapshot in depot.platform.ledger.plans.snapshots(an_ods_table().name)] == [march]
    [errored] = [load for load in depot.loads() if load.status is LoadStatus.ERRORED]
    assert len(retry(depot.platform, [errored]).retried) == 1
    depot.settle()
    assert {load.snapshot for load in depot.loads()} == {march}


def test_m6_a_change_file_that_failed_is_not_passed_over_for_a_later_one(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz")
    put_ods(depot, CHANGES + "20220304-101500123.csv.gz", "1,early\n")
    put_ods(depot, CHANGES + "20220305-101500123.csv.gz", "1,late\n")
    reset = partial(StoreUnavailableError, CHANGES, "connection reset")
    troubled(depot, "incoming", r"20220304.*\.gz$", reading=reset).settle()
    assert [row["sample_name"] for row in depot.rows(a_change_table())] == ["late"]
    assert depot.statuses()["20220304-101500123.csv.gz"] is LoadStatus.READY
    depot.clock.advance(minutes=10)
    depot.settle()
    assert [row["sample_name"] for row in depot.rows(a_change_table())] == ["early", "late"]


def test_m7_a_replay_doubles_nothing_and_every_digit_and_hour_is_kept(depot: Depot) -> None:
    columns = [
        {"name": "AMOUNT", "type": "NUMERIC", "precision": 20, "scale": 4},
        {"name": "AT", "type": "DATETIME", "scale": 6},
        {"name": "SMALL", "type": "UINT2"},
        {"name": "LARGE", "type": "UINT8"},
    ]
    text = (
        "AMOUNT,AT,SMALL,LARGE\n"
        "123456789012345.6789,2022-03-04 16:18:23,65535,18446744073709551615\n"
        "-0.0001,2022-03-04 04:18:23,0,0\n"
    )
    put_typed(depot, BASE + "LOAD1.csv.gz", columns, text, 2)
    depot.settle()
    before = depot.rows(an_ods_table())
    for _ in range(2):
        depot.ingest(partition_keys=["20220301T000000Z"])
    assert depot.rows(an_ods_table()) == before
    assert [(row["amount"], row["small"], row["large"]) for row in before] == [
        (Decimal("123456789012345.6789"), 65535, 18446744073709551615),
        (Decimal("-0.0001"), 0, 0),
    ]
    assert [str(row["at"]) for row in before] == ["2022-03-04 16:18:23", "2022-03-04 04:18:23"]


def entries() -> dict[str, str]:
    """Return the cell with the tests of each entry of the page."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [ODM]\d", line)]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[-1].removeprefix("| ") for row in rows}


def test_every_entry_is_on_the_page_with_a_test_named_after_it_or_the_reason_why_there_is_none() -> None:
    numbers = {"O": 17, "D": 14, "M": 7}
    assert list(entries()) == [f"{letter}{number + 1}" for letter, last in numbers.items() for number in range(last)]
    tested = {entry: tests for entry, tests in entries().items() if tests != WITHOUT_A_TEST}
    assert [entry for entry, tests in tested.items() if not re.search(rf"::test_\w*{entry.lower()}_", tests)] == []


def test_every_test_that_the_page_names_is_there_and_every_named_one_is_on_the_page() -> None:
    named = set(re.findall(r"`([\w/.]+\.py)::(\w+)`", PAGE))
    assert len(named) > 30
    missing = {(path, name) for path, name in named if name not in functions(TESTS / path)}
    assert missing == set()
    after_entries = {
        (f"{path.relative_to(TESTS)}", name)
        for path in TESTS.rglob("test_*.py")
        for name in functions(path)
        if re.match(r"test_[odm]\d", name)
    }
    assert after_entries - named == set()


def functions(path: Path) -> set[str]:
    """Return the names of a module's functions."""
    module = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
