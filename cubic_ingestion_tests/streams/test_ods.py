"""Names and times of Qlik's files."""

import io
import json
from datetime import UTC, datetime

import pytest

from cubic_ingestion.streams.ods import OdsStream
from cubic_ingestion_tests.builders import NOON, a_change_table, a_dfm, a_version, an_ods_table

ODS = OdsStream()


@pytest.mark.parametrize(
    "name",
    ["LOAD1.csv.gz", "LOAD001.csv.gz", "LOAD00000001.csv.gz", "LOAD0000000A.csv.gz", "LOAD_1_0001.csv.gz", "LOAD2.csv"],
)
def test_full_load_names_of_every_kind_are_known(name: str) -> None:
    assert ODS.accepts(an_ods_table(), name)
    assert not ODS.accepts(a_change_table(), name)


@pytest.mark.parametrize("name", ["20220304-134556444.csv.gz", "20220304-1345564440.csv.gz", "20220304-134556444.csv"])
def test_change_names_have_nine_or_ten_digits_of_time(name: str) -> None:
    assert ODS.accepts(a_change_table(), name)
    assert not ODS.accepts(an_ods_table(), name)
    read = ODS.source_at(a_change_table(), a_version(name), a_dfm())
    assert read == datetime(2022, 3, 4, 13, 45, 56, 444_000, tzinfo=UTC)


@pytest.mark.parametrize("name", ["20221304-134556444.csv.gz", "20220304.csv.gz", "LOAD.csv.gz", "LOADX1.csv.gz", "x"])
def test_other_names_are_refused(name: str) -> None:
    assert not ODS.accepts(a_change_table(), name)
    assert not ODS.accepts(an_ods_table(), name)


@pytest.mark.parametrize(
    ("name", "opens"),
    [
        ("LOAD1.csv.gz", True),
        ("LOAD00000001.csv.gz", True),
        ("LOAD_1_0001.csv.gz", True),
        ("LOAD_2_0001.csv.gz", False),
        ("LOAD_1_0002.csv.gz", False),
        ("LOAD00100001.csv.gz", False),
        ("LOAD00000010.csv.gz", False),
        ("LOAD0000000A.csv.gz", False),
    ],
)
def test_only_the_first_counter_of_the_first_segment_opens_a_snapshot(name: str, *, opens: bool) -> None:
    assert ODS.opens_snapshot(an_ods_table(), name) is opens
    assert not ODS.opens_snapshot(a_change_table(), name)


def test_a_full_load_has_the_time_of_its_sidecar_or_else_its_own() -> None:
    load = a_version("LOAD1.csv.gz")
    started = ODS.source_at(an_ods_table(), load, a_dfm(started_at="2022-03-01T00:00:00.123"))
    assert started == datetime(2022, 3, 1, 0, 0, 0, 123_000, tzinfo=UTC)
    assert ODS.source_at(an_ods_table(), load, a_dfm(started_at="")) == NOON


def test_snapshot_and_day_of_changes_are_one_partition() -> None:
    snapshot = datetime(2022, 3, 1, tzinfo=UTC)
    assert ODS.partition_key(an_ods_table(), "LOAD1.csv.gz", NOON, snapshot) == "20220301T000000Z"
    assert ODS.partition_key(a_change_table(), "x.csv.gz", NOON, snapshot) == "20220301T000000Z_2022-03-04"


def test_the_sidecar_has_the_same_root_whether_the_file_is_compressed_or_not() -> None:
    assert ODS.sidecar_key("a/LOAD1.csv.gz") == ODS.sidecar_key("a/LOAD1.csv") == "a/LOAD1.dfm"


def test_what_the_sidecar_says_of_the_whole_file_goes_with_its_records() -> None:
    columns = [{"name": "ID", "type": "INT4"}, {"name": "SHAPE", "type": "GEOMETRY"}]
    sidecar = json.loads(a_dfm(columns, record_count=2))
    sidecar["fileInfo"]["errorCount"] = 3
    records = ODS.decode(an_ods_table(), io.BytesIO(b"id,shape\n1,x\n2,y\n"), json.dumps(sidecar).encode())
    assert (records.expected_rows, records.n_source_errors) == (2, 3)
    assert records.notes == {"unknown_types": "shape (GEOMETRY)"}
