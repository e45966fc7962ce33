"""Bad values: named up to a hundred with their total, and kept apart where a table's declaration says so."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, OnBadValue, StreamName, Table
from cubic_ingestion.errors import BadCell
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot

KEY = "cubic/dmap/agg_sample/20220304.csv"
HEADER = "sample_id,sample_name,sample_count\n"
MIXED = HEADER + '1,a,5\n2,"b, ""b""",five\n,,\nx,d,y\n5,e,6\n'
QUARANTINE = "quarantine/cubic__dmap__agg_sample/identifier=20220304.csv/part-0.parquet"


def lenient(**changes: Any) -> Table:
    """Build a table that keeps bad records in quarantine."""
    return a_table(on_bad_value=OnBadValue.QUARANTINE, **changes)


def kept(depot: Depot, key: str = QUARANTINE) -> list[dict[str, object]]:
    """Read what is in quarantine."""
    return pq.ParquetFile(depot.root / "springboard" / key).read().to_pylist()


def the_load(depot: Depot) -> Load:
    (load,) = depot.loads()
    return load


def test_a_rejected_load_names_a_hundred_cells_and_the_total(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [a_table()])
    depot.put(KEY, (HEADER + "".join(f"{row},a,bad {row}\n" for row in range(1, 251))).encode())
    depot.settle()
    load = the_load(depot)

    assert load.status is LoadStatus.ERRORED
    assert load.error is not None
    assert load.error.message == "Value 'bad 1' is no int64; 250 such values in the file."
    assert (load.error.row, load.error.column) == (1, "sample_count")
    assert load.error.bad_cells == tuple(BadCell(row, "sample_count", f"bad {row}", "int64") for row in range(1, 101))
    (reason,) = (tmp_path / "error").rglob("*.error.json")
    assert json.loads(reason.read_text())["bad_cells"][99] == {
        "row": 100,
        "column": "sample_count",
        "value": "bad 100",
        "type": "int64",
    }


def test_a_long_value_is_cut_in_the_reason(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [a_table()])
    depot.put(KEY, f"{HEADER}1,a,{'9' * 1000}\n".encode())
    depot.settle()
    error = the_load(depot).error
    assert error is not None
    assert [len(cell.value) for cell in error.bad_cells] == [200]


def test_a_load_without_a_good_record_is_archived_with_all_its_records_in_quarantine(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    depot.put(KEY, (HEADER + "1,a,bad\n2,b,worse\n").encode())
    depot.settle()
    load = the_load(depot)
    assert (load.status, load.n_rows, load.n_quarantined) == (LoadStatus.ARCHIVED, 0, 2)
    assert (depot.rows(lenient()), [record["row"] for record in kept(depot)]) == ([], [1, 2])


def test_a_json_timestamp_in_utc_fits_and_stays_as_it_came_in_quarantine(tmp_path: Path) -> None:
    columns = (Column("at", "timestamp[us]"), Column("amount", "int64"))
    table = lenient(name="cubic__kafka__sample", stream=StreamName.KAFKA, prefix="cubic/kafka/sample/", columns=columns)
    depot = Depot.build(tmp_path, [table])
    records = [
        {"at": "2022-03-04T01:02:03Z", "amount": 1},
        {"at": "2022-03-04T01:02:03.5+00:00", "amount": "much"},
        {"at": "2022-03-04T01:02:03-05:00", "amount": 3},
        {"at": "2022-03-04 01:02:03", "amount": 4},
    ]
    depot.put("cubic/kafka/sample/x.json", "\n".join(map(json.dumps, records)).encode())
    depot.settle()
    at = datetime(2022, 3, 4, 1, 2, 3)  # noqa: DTZ001 - the column has no zone
    assert [(row["at"], row["amount"]) for row in depot.rows(table)] == [(at, 1), (at, 4)]
    letters = kept(depot, "quarantine/cubic__kafka__sample/identifier=x.json/part-0.parquet")
    assert [(letter["row"], letter["column"]) for letter in letters] == [(2, "amount"), (3, "at")]
    assert json.loads(str(letters[0]["record"]))["at"] == "2022-03-04T01:02:03.5+00:00"


def test_a_zone_in_delimited_text_is_a_bad_value(tmp_path: Path) -> None:
    table = a_table(columns=(Column("at", "timestamp[us]"),))
    depot = Depot.build(tmp_path, [table])
    depot.put(KEY, b"at\n2022-03-04T01:02:03\n2022-03-04T01:02:03Z\n")
    depot.settle()
    error = the_load(depot).error
    assert error is not None
    assert (error.code, error.row) == ("bad_value", 2)


def test_good_records_are_written_and_bad_ones_are_kept_with_their_text(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    depot.put(KEY, MIXED.encode())
    depot.settle()
    load = the_load(depot)

    assert (load.status, load.n_rows, load.n_quarantined) == (LoadStatus.ARCHIVED, 3, 2)
    assert [row["sample_id"] for row in depot.rows(lenient())] == [1, None, 5]
    assert kept(depot) == [
        {
            "row": 2,
            "column": "sample_count",
            "reason": "sample_count: 'five' is no int64",
            "record": '{"sample_id": "2", "sample_name": "b, \\"b\\"", "sample_count": "five"}',
            "load_id": load.id,
        },
        {
            "row": 4,
            "column": "sample_id",
            "reason": "sample_id: 'x' is no int64; sample_count: 'y' is no int64",
            "record": '{"sample_id": "x", "sample_name": "d", "sample_count": "y"}',
            "load_id": load.id,
        },
    ]


def test_a_file_of_bad_records_alone_has_no_rows_and_holds_up_no_other(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    depot.put(KEY, f"{HEADER}1,a,many\n".encode())
    depot.put("cubic/dmap/agg_sample/20220305.csv", f"{HEADER}2,b,6\n".encode())
    depot.settle()

    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert [record["reason"] for record in kept(depot)] == ["sample_count: 'many' is no int64"]
    assert [row["sample_id"] for row in depot.rows(lenient())] == [2]


def test_rows_are_numbered_through_a_file_of_many_blocks(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    n_rows, bad = 200_000, {1, 99_999, 150_000, 200_000}
    lines = (f"{row},name {row},{'bad' if row in bad else row}\n" for row in range(1, n_rows + 1))
    depot.put(KEY, (HEADER + "".join(lines)).encode())
    depot.settle()

    assert (the_load(depot).n_rows, the_load(depot).n_quarantined) == (n_rows - len(bad), len(bad))
    assert [row["row"] for row in kept(depot)] == sorted(bad)
    ids = [row["sample_id"] for row in depot.rows(lenient())]
    assert ids == [row for row in range(1, n_rows + 1) if row not in bad]


def test_records_written_and_kept_are_those_that_the_vendor_counted(tmp_path: Path) -> None:
    table = an_ods_table(on_bad_value=OnBadValue.QUARANTINE)
    depot = Depot.build(tmp_path, [table])
    for name, count in (("LOAD00000001", 2), ("LOAD00000002", 3)):
        depot.put(f"{table.prefix}{name}.dfm", a_dfm(record_count=count, started_at="2022-03-01T00:00:00.000"))
        depot.put(f"{table.prefix}{name}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\nx,b"))
    depot.settle()

    right, wrong = depot.loads()
    assert (right.n_rows, right.n_quarantined) == (1, 1)
    assert wrong.error is not None
    assert (wrong.error.code, wrong.n_quarantined) == ("record_count_mismatch", None)
    folder = f"quarantine/{table.name}/snapshot=20220301T000000Z/identifier="
    assert [key for key in depot.files("springboard") if key.startswith("quarantine/")] == [
        f"{folder}LOAD00000001.csv.gz/part-0.parquet"
    ]


def test_a_replay_under_another_declaration_moves_what_now_fits(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    depot.put(KEY, MIXED.encode())
    depot.settle()
    columns = (Column("sample_id", "int64"), Column("sample_name", "string"), Column("sample_count", "string"))
    today = lenient(columns=columns)
    later = Depot.build(tmp_path, [today])

    for _ in range(2):
        later.ingest(partition_keys=["2022-03-04"])
        assert (the_load(later).n_rows, the_load(later).n_quarantined) == (4, 1)
        assert [row["row"] for row in kept(later)] == [4]
        assert [row["sample_count"] for row in later.rows(today)] == ["5", "five", None, "6"]


def test_a_replay_after_which_everything_fits_leaves_no_quarantine(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    depot.put(KEY, MIXED.encode())
    depot.settle()
    columns = tuple(Column(name, "string") for name in ("sample_id", "sample_name", "sample_count"))
    later = Depot.build(tmp_path, [a_table(columns=columns)])  # the quarantine is not asked for any longer either
    later.ingest(partition_keys=["2022-03-04"])

    assert (the_load(later).n_rows, the_load(later).n_quarantined) == (5, 0)
    assert not [key for key in later.files("springboard") if key.startswith("quarantine/")]


def test_a_raw_table_has_nothing_to_keep_apart(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient(is_raw=True)])
    depot.put(KEY, MIXED.encode())
    depot.settle()
    assert (the_load(depot).n_rows, the_load(depot).n_quarantined) == (5, 0)


def test_the_rows_of_an_overwritten_original_leave_quarantine_too(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [lenient()])
    depot.put(KEY, MIXED.encode())
    depot.ingest()
    depot.put(KEY, (HEADER + "7,g,7\n").encode())
    depot.archive()
    assert not [key for key in depot.files("springboard") if key.startswith("quarantine/")]
    depot.settle()
    assert [row["sample_id"] for row in depot.rows(lenient())] == [7]
