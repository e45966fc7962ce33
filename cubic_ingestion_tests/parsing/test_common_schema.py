"""Types of several files, brought to one that loses nothing."""

from decimal import Decimal
from itertools import combinations, permutations

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
        ((pa.uint8(), pa.int8()), pa.int16()),
        ((pa.uint8(), pa.int32()), pa.int32()),
        ((LONG, pa.uint64()), pa.decimal128(20, 0)),
        ((pa.float32(), pa.float64()), pa.float64()),
        ((pa.null(), pa.date32()), pa.date32()),
        ((pa.null(), pa.null()), pa.null()),
        ((pa.decimal128(10, 0), pa.decimal128(19, 0)), pa.decimal128(19, 0)),
        ((pa.decimal128(19, 0), pa.decimal128(10, 4)), pa.decimal128(23, 4)),
        ((pa.decimal128(38, 0), pa.decimal128(38, 10)), STRING),  # 48 digits fit no decimal
        ((LONG, pa.decimal128(10, 0)), pa.decimal128(19, 0)),
        ((LONG, pa.decimal128(19, 0)), pa.decimal128(19, 0)),
        ((LONG, pa.decimal128(19, 4)), pa.decimal128(23, 4)),
        ((LONG, pa.decimal128(38, 19)), pa.decimal128(38, 19)),
        ((LONG, pa.decimal128(38, 20)), STRING),
        ((pa.uint64(), pa.decimal128(19, 0)), pa.decimal128(20, 0)),
        ((LONG, pa.uint64(), pa.decimal128(19, 4)), pa.decimal128(24, 4)),
        ((pa.int8(), pa.decimal128(2, 1)), pa.decimal128(4, 1)),
        ((LONG, pa.float64()), STRING),  # 2**53 + 1 is no float
        ((pa.decimal128(10, 2), pa.float64()), STRING),
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


NUMBERS = [pa.int8(), pa.uint8(), pa.int32(), LONG, pa.uint64(), *(pa.decimal128(19, scale) for scale in (0, 4, 19))]


def extremes(kind: pa.DataType) -> list[Decimal]:
    """Name the ends of a number type, written out by hand."""
    if isinstance(kind, pa.Decimal128Type):
        return [sign * Decimal("9" * kind.precision).scaleb(-kind.scale) for sign in (-1, 1)]
    signed = pa.types.is_signed_integer(kind)
    return [Decimal(-(2 ** (kind.bit_width - 1)) * signed), Decimal(2 ** (kind.bit_width - signed) - 1)]


@pytest.mark.parametrize(("one", "other"), list(combinations(NUMBERS, 2)), ids=str)
def test_the_wider_type_holds_the_ends_of_both(one: pa.DataType, other: pa.DataType) -> None:
    wider = common_schema([pa.schema([("x", kind)]) for kind in (one, other)]).field("x").type
    for kind in (one, other):
        ends = pa.array([int(end) if pa.types.is_integer(kind) else end for end in extremes(kind)], kind)
        assert [Decimal(str(value)) for value in ends.cast(wider).to_pylist()] == extremes(kind)


def test_columns_come_in_the_order_in_which_they_are_first_seen() -> None:
    schemas = [pa.schema([("b", LONG), ("a", LONG)]), pa.schema([("a", LONG), ("c", STRING)])]

    assert common_schema(schemas) == pa.schema([("b", LONG), ("a", LONG), ("c", STRING)])


def test_no_files_have_no_columns() -> None:
    assert common_schema([]) == pa.schema([])
