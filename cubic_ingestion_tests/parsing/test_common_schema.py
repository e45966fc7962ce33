"""Types of several files, brought to one that loses nothing."""

from itertools import permutations

import pyarrow as pa
import pytest

from cubic_ingestion.parsing.common_schema import common_schema

STRING, LONG = pa.string(), pa.int64()


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((LONG, LONG), LONG),
        ((pa.int32(), LONG), LONG),
        ((pa.uint8(), pa.uint64()), pa.uint64()),
        ((pa.float32(), pa.float64()), pa.float64()),
        ((pa.null(), pa.date32()), pa.date32()),
        ((pa.decimal128(19, 0), pa.decimal128(10, 4)), pa.decimal128(23, 4)),
        ((pa.decimal128(38, 0), pa.decimal128(38, 10)), STRING),  # 48 digits fit no decimal
        ((LONG, pa.uint64()), STRING),
        ((LONG, pa.float64()), STRING),  # 2**53 + 1 is no float
        ((LONG, STRING), STRING),
        ((pa.bool_(), LONG), STRING),
        ((pa.date32(), pa.timestamp("us")), STRING),
        ((pa.timestamp("ns"), pa.timestamp("us")), STRING),  # 2262 ends the one, microseconds the other
        ((pa.int32(), LONG, STRING), STRING),
    ],
)
def test_differing_types_become_one_that_holds_all_in_whatever_order(
    types: tuple[pa.DataType, ...], expected: pa.DataType
) -> None:
    for order in permutations(types):
        assert common_schema([pa.schema([("x", kind)]) for kind in order]).field("x").type == expected


def test_columns_come_in_the_order_in_which_they_are_first_seen() -> None:
    schemas = [pa.schema([("b", LONG), ("a", LONG)]), pa.schema([("a", LONG), ("c", STRING)])]

    assert common_schema(schemas) == pa.schema([("b", LONG), ("a", LONG), ("c", STRING)])


def test_no_files_have_no_columns() -> None:
    assert common_schema([]) == pa.schema([])
