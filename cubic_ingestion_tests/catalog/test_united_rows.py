"""A column that reads as text because its type changed: the same text in the view and in a Dagster input."""

from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.catalog.united_rows import reads_as_text, united_rows
from cubic_ingestion.parsing.common_schema import common_schema

VALUES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int64(), [-(2**63), 0, 5]),
    (pa.uint64(), [2**64 - 1]),
    (pa.float64(), [1.0, 0.1, 1e15, 1e16, 1e-5, 1e-7, -0.0, 2.0**53, 1.5e300, 5e-324]),
    (pa.float32(), [1.0, 1e10, 3.4e38, 16_777_216.0]),
    (pa.decimal128(38, 20), [Decimal("0.00000000000000000001"), Decimal("1E-10"), Decimal(100)]),
    (pa.decimal128(19, 4), [Decimal("1.5"), Decimal("-0.0001")]),
    (pa.bool_(), [True, False]),
    (pa.date32(), [date(1, 1, 1), date(2022, 3, 4), date(9999, 12, 31)]),
    (pa.time64("us"), [time(10, 11, 12), time(10, 11, 12, 120_000), time(0, 0, 0, 5)]),
    (pa.timestamp("us"), [datetime(2022, 3, 4, 10, 11, 12), datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 5)]),  # noqa: DTZ001 - as files have them
    (pa.timestamp("ns"), [1_646_388_672_000_000_001, 1_646_388_672_120_000_000, -1]),
    (pa.binary(), [b"abc", b"\x00\xff"]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_a_value_has_the_text_that_the_view_shows(tmp_path: Path, kind: pa.DataType, values: list[Any]) -> None:
    before = pa.table({"value": pa.array([*values, None], kind)})
    after = pa.table({"value": ["text"], "further": [7]})
    path = tmp_path / "before.parquet"
    pq.write_table(before, path)
    schema = common_schema([before.schema, after.schema])

    assert reads_as_text([before.schema, after.schema], schema)
    found = united_rows([before, after], schema)

    with duckdb.connect() as connection:
        shown = connection.execute(f"select cast(value as varchar) from '{path}'").fetchall()
    assert found.schema == schema
    assert found["value"].to_pylist() == [*(text for (text,) in shown), "text"]
    assert found["further"].to_pylist() == [None] * before.num_rows + [7]


def test_columns_that_a_wider_type_holds_are_no_text() -> None:
    schemas = [pa.schema([("n", pa.int8()), ("t", pa.string())]), pa.schema([("n", pa.int64()), ("t", pa.null())])]

    assert not reads_as_text(schemas, common_schema(schemas))
