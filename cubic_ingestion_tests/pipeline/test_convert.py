"""Batches of text to typed batches."""

import pyarrow as pa
import pytest

from cubic_ingestion.domain.table import Column
from cubic_ingestion.pipeline.convert import CastFailure, Converter, TimestampUnitError

COLUMNS = (Column("id", "int64"), Column("name", "string"), Column("at", "timestamp[ns]"))


def batch(*rows: tuple[str | None, str | None, str | None]) -> pa.RecordBatch:
    names = [column.name for column in COLUMNS]
    arrays = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)] or [pa.array([], pa.string())] * 3
    return pa.RecordBatch.from_arrays(arrays, names=names)


def test_rows_take_the_declared_types() -> None:
    conversion = Converter(COLUMNS).convert(batch(("1", "x", "2022-03-04 01:02:03.7"), (None, None, None)), 1)
    assert conversion.rows.schema == pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.timestamp("ns"))])
    assert conversion.rows.column("id").to_pylist() == [1, None]
    assert conversion.failures == ()


def test_a_batch_of_no_rows_has_its_types_all_the_same() -> None:
    assert Converter(COLUMNS).convert(batch(), 1).rows.schema.types[0] == pa.int64()


def test_each_value_that_does_not_fit_is_named_by_its_row_in_the_file() -> None:
    rows = batch(("1", "x", "never"), ("2", "", None), ("", "x", "2022-03-04Z"))
    assert Converter(COLUMNS).convert(rows, 101).failures == (
        CastFailure(101, "at", "never", "timestamp[ns]"),
        CastFailure(103, "id", "", "int64"),
        CastFailure(103, "at", "2022-03-04Z", "timestamp[ns]"),
    )


def test_a_date_beyond_nanoseconds_asks_for_microseconds() -> None:
    with pytest.raises(TimestampUnitError) as caught:
        Converter(COLUMNS).convert(batch(("1", "x", "9999-12-31 00:00:00")), 1)
    assert caught.value.types == {"at": "timestamp[us]"}


@pytest.mark.parametrize("source_type", ["DATETIME", "DATETIME(6)", ""])
def test_a_seventh_digit_asks_for_nanoseconds_only_where_no_digits_are_stated(source_type: str) -> None:
    columns = (*COLUMNS[:2], Column("at", "timestamp[us]", source_type=source_type))
    rows = batch(("1", "x", "2022-03-04 00:00:00.1234567"))
    if source_type == "DATETIME":
        with pytest.raises(TimestampUnitError) as caught:
            Converter(columns).convert(rows, 1)
        assert caught.value.types == {"at": "timestamp[ns]"}
    else:
        assert [failure.column for failure in Converter(columns).convert(rows, 1).failures] == ["at"]


def test_rows_of_other_columns_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="not those"):
        Converter(COLUMNS[::-1]).convert(batch(("1", "x", None)), 1)
