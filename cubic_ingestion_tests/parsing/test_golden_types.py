"""One real-shaped full load for each family of types, on its whole way, against values put down by hand."""

from pathlib import Path

import pyarrow as pa
import pytest

from cubic_ingestion_tests.golden import FOLDER
from cubic_ingestion_tests.golden.families import FAMILIES
from cubic_ingestion_tests.parsing.passage import Passage

NANOSECONDS, MICROSECONDS, LONG = "timestamp[ns]", "timestamp[us]", "int64"
EXPECTED: dict[str, dict[str, tuple[str, list[str | None]]]] = {
    "whole_numbers": {
        "tiny": (LONG, ["127", "-128", None]),
        "small": (LONG, ["32767", "-32768", None]),
        "middle": (LONG, ["8388607", "-8388608", None]),
        "plain": (LONG, ["2147483647", "-2147483648", None]),
        "large": (LONG, ["9223372036854775807", "-9223372036854775808", None]),
        "u_tiny": (LONG, ["255", "0", None]),
        "u_small": (LONG, ["65535", "0", None]),
        "u_plain": (LONG, ["4294967295", "0", None]),
        "u_large": ("uint64", ["18446744073709551615", "9223372036854775808", None]),
    },
    "decimals": {
        "fare": ("decimal128(10, 2)", ["2.40", "-99999999.99", None]),
        "serial": ("decimal128(38, 0)", ["9" * 38, "-12345678901234567890123456789012345678", None]),
        "share": ("decimal128(38, 38)", ["0." + "9" * 38, "0E-38", None]),
        "bare_number": ("decimal128(38, 0)", ["12345678901234567890", "0", None]),
        "wide": ("decimal128(38, 4)", ["1.5000", "-1234567890123456789012345678901234.5678", None]),
        "fine": ("decimal128(5, 5)", ["0.00012", "-0.00099", None]),
        "hundreds": ("decimal128(6, 0)", ["1200", "-999900", None]),
        "finest": ("string", ["0." + "0" * 39 + "1", "1", None]),
    },
    "moments": {
        "day": ("date32[day]", ["2024-02-29", "9999-12-31", "0001-01-01"]),
        "clock": ("time64[ns]", ["23:59:59.000000000", "00:00:00.000000100", "01:02:03.123456789"]),
        "unstated": (NANOSECONDS, ["2022-03-04 10:12:13.765432100", "1970-01-01 00:00:00.000000000", None]),
        "millis": (
            MICROSECONDS,
            ["2022-03-04 10:12:13.765000", "9999-12-31 23:59:59.999000", "0001-01-01 00:00:00.000000"],
        ),
        "micros": (
            MICROSECONDS,
            ["2022-03-04 10:12:13.765432", "9999-12-31 23:59:59.999999", "0001-01-01 00:00:00.000001"],
        ),
        "ticks": (NANOSECONDS, ["2022-03-04 10:12:13.444444400", "1969-12-31 23:59:59.999999900", None]),
        "nanos": (NANOSECONDS, ["2022-03-04 10:12:13.123456789", "1700-01-01 00:00:00.000000000", None]),
        "end_dtm": (
            MICROSECONDS,
            ["9999-12-31 00:00:00.000000", "2022-03-04 10:12:13.765432", "0001-01-01 00:00:00.000000"],
        ),
    },
    "texts": {
        "header__change_seq": ("string", ["0" * 34 + "7", "20220304101112130000000000000000007", None]),
        "name": ("string", ["Zoë 🚋🚋", "", None]),
        "wide_name": ("string", ["地下鉄", 'say "hi", she said', None]),
        "note": ("string", ["line one\nline two", " padded ", "\n"]),
        "wide_note": ("string", ["a\r\nb", "007", '"']),
        "token": ("string", ["00ff", None, None]),
        "picture": ("string", ["", "cafe", None]),
        "shape": ("string", ["POINT (1 2)", "NULL", None]),
    },
    "flags_and_floats": {
        "is_open": ("bool", ["true", "false", None]),
        "is_paid": ("bool", ["true", "false", None]),
        "ratio": ("float", ["3.4028235e+38", "1.1754944e-38", "0.1"]),
        "exact_ratio": ("double", ["1.7976931348623157e+308", "5e-324", "0.1"]),
    },
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_types_comes_out_to_the_last_digit(tmp_path: Path, family: str) -> None:
    data, sidecar = ((FOLDER / f"{family}{end}").read_bytes() for end in (".csv.gz", ".dfm"))
    rows = Passage(tmp_path).take_ods(data, sidecar).rows
    assert rows is not None
    columns = zip(rows.schema, rows.columns, strict=True)
    found = {field.name: (str(field.type), column.cast(pa.string()).to_pylist()) for field, column in columns}
    assert found == EXPECTED[family]
