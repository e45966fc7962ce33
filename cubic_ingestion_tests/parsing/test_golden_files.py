"""Real-shaped files, from their bytes to typed rows."""

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.dfm import parse_dfm
from cubic_ingestion.pipeline.convert import NANOSECONDS, Converter, TimestampUnitError
from cubic_ingestion_tests.golden import FILES, FOLDER


def contents(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_those_their_source_writes(name: str) -> None:
    assert contents((FOLDER / name).read_bytes()) == contents(FILES[name])


def test_a_change_file_with_its_sidecar() -> None:
    dfm = parse_dfm((FOLDER / "20220304-101500123.dfm").read_bytes())
    with (FOLDER / "20220304-101500123.csv.gz").open("rb") as body:
        records = read_delimited(
            body,
            columns=dfm.columns,
            dialect=dfm.dialect,
            undeclared="reject",
            missing="reject",
            expected_rows=dfm.record_count,
        )
        [batch] = records.batches
    columns = [replace(one, type=NANOSECONDS) if one.name.startswith("edw_") else one for one in records.columns]
    with pytest.raises(TimestampUnitError, match=NANOSECONDS.replace("[", r"\[")):
        Converter(records.columns).convert(batch, 1)  # its .dfm states no digits, and it has seven
    conversion = Converter(columns).convert(batch, 1)
    assert conversion.failures == ()
    rows = conversion.rows
    assert (dfm.roles.primary_key, records.expected_rows, rows.num_rows) == (("rider_id", "rider_name"), 3, 3)
    assert dfm.started_at == datetime(2022, 3, 4, 10, 14, 59, 500_000, UTC)
    assert rows.column("header__change_seq")[0].as_py() == "20220304101112130000000000000000007"
    assert rows.column("header__timestamp")[0].as_py().isoformat() == "2022-03-04T10:11:12.131313"
    assert rows.column("rider_id").to_pylist() == [11, 12, 13]
    assert rows.column("rider_name").to_pylist() == ["Zoë 🚋🚋", "", None]
    nanoseconds = rows.column("edw_inserted_dtm").view(pa.int64()).to_pylist()
    assert [value and value % 1_000_000_000 for value in nanoseconds] == [765_432_100, 100, None]


def test_a_plain_file_with_its_columns_in_another_order() -> None:
    declared = (
        Column("stop_id", "int64"),
        Column("stop_name", "string"),
        Column("fare", "decimal128(10, 2)"),
        Column("is_open", "bool"),
        Column("first_train", "time64[us]"),
        Column("opened_on", "date32"),
    )
    with (FOLDER / "stops_20220304.csv").open("rb") as body:
        [batch] = read_delimited(body, columns=declared).batches
    conversion = Converter(declared).convert(batch, 1)
    assert conversion.failures == ()
    assert [tuple(row.values()) for row in conversion.rows.to_pylist()] == [
        (7, "Wonderland, Upper Level", Decimal("2.40"), True, time(5, 4, 3, 250_000), date(1954, 1, 19)),
        (8, 'Line one\r\nline "two"', Decimal("-0.50"), False, time(23, 59, 59), date(1, 1, 1)),
        (9, None, None, None, None, date(9999, 12, 31)),
    ]
