"""Text to types, exactly."""

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.parsing.arrow_types import arrow_type
from cubic_ingestion.parsing.casts import cast_text


def moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, us: int = 0) -> datetime:
    """Build a moment without a zone, as the vendor's are."""
    return datetime.combine(date(year, month, day), time(hour, minute, second, us))


WORKS = [
    ("int64", "42", 42),
    ("int64", "-9223372036854775808", -(2**63)),
    ("int64", "007", 7),
    ("int64", "-0", 0),
    ("int64", " \t-42 ", -42),
    ("int64", "+5", 5),
    ("uint8", " +5", 5),
    ("int8", "-128", -128),
    ("uint8", "255", 255),
    ("uint64", "18446744073709551615", 2**64 - 1),
    ("float64", "-1.5", -1.5),
    ("float64", ".5", 0.5),
    ("float64", "5.", 5.0),
    ("float64", "1e3", 1000.0),
    ("float64", "1E+3", 1000.0),
    ("float64", "1e-999", 0.0),
    ("float64", "\t1.5 ", 1.5),
    ("float64", " +1.5", 1.5),
    ("float32", "16777217", 16777216.0),
    ("decimal128(6, 2)", "1.5", Decimal("1.50")),
    ("decimal128(6, 2)", "-1.500", Decimal("-1.50")),
    ("decimal128(6, 2)", "1e3", Decimal("1000.00")),
    ("decimal128(6, 2)", "1E+3", Decimal("1000.00")),
    ("decimal128(6, 2)", " 1.5\t", Decimal("1.50")),
    ("decimal128(6, 2)", "+1.5", Decimal("1.50")),
    ("decimal128(6, 2)", " +1.50", Decimal("1.50")),
    ("decimal128(38, 0)", "9" * 38, Decimal("9" * 38)),
    ("bool", "TRUE", True),
    ("bool", "False", False),
    ("bool", "tRuE", True),
    ("bool", "1", True),
    ("bool", "0", False),
    ("date32", "0001-01-01", date(1, 1, 1)),
    ("date32", "9999-12-31", date(9999, 12, 31)),
    ("date32", "2024-02-29", date(2024, 2, 29)),
    ("date32", " 2024-02-29\t", date(2024, 2, 29)),
    ("time32[s]", "23:59:59. ", time(23, 59, 59)),
    ("time32[s]", " 23:59 ", time(23, 59)),
    ("time32[s]", "23:59:59", time(23, 59, 59)),
    ("time32[s]", "23:59:59.000", time(23, 59, 59)),
    ("time32[ms]", "01:02:03.0040", time(1, 2, 3, 4000)),
    ("time64[us]", "01:02:03.000004000", time(1, 2, 3, 4)),
    ("time64[ns]", "01:02:03", time(1, 2, 3)),
    ("timestamp[s]", "2022-03-04 01:02:03", moment(2022, 3, 4, 1, 2, 3)),
    ("timestamp[s]", "2022-03-04 01:02:03.0", moment(2022, 3, 4, 1, 2, 3)),
    ("timestamp[ms]", "2022-03-04T01:02:03.04", moment(2022, 3, 4, 1, 2, 3, 40_000)),
    ("timestamp[us]", "2022-03-04", moment(2022, 3, 4)),
    ("timestamp[us]", "2022-03-04T01", moment(2022, 3, 4, 1)),
    ("timestamp[us]", "2022-03-04 01:02", moment(2022, 3, 4, 1, 2)),
    ("timestamp[us]", "2022-03-04 01:02:03.123456", moment(2022, 3, 4, 1, 2, 3, 123_456)),
    ("timestamp[us]", "2022-03-04 01:02:03.123456000", moment(2022, 3, 4, 1, 2, 3, 123_456)),
    ("timestamp[us]", "0001-01-01 00:00:00", moment(1, 1, 1)),
    ("timestamp[us]", "9999-12-31 23:59:59.9999990", moment(9999, 12, 31, 23, 59, 59, 999_999)),
    ("string", "", ""),
    ("json", "{}", "{}"),
    ("binary", "é\n", "é\n".encode()),
]

FAILS = [
    *[
        ("int64", text)
        for text in (
            "",
            " ",
            "\v42",
            "42\n",
            "+",
            "+-5",
            "+ 5",
            "- 5",
            "0x1F",
            "0X1f",
            " 0x1F",
            "1.5",
            "1.0",
            "1e3",
            "1_0",
            "٣",
            "-",
            "NaN",
        )
    ],
    ("int64", "9223372036854775808"),
    ("int8", "128"),
    ("uint8", "256"),
    ("uint8", "-1"),
    ("uint8", "-0"),
    *[
        ("float64", text)
        for text in ("", " ", "1\xa0", "++1", "NaN", " NaN", "nan", "-nan", "inf", "Infinity", "-inf", "1e999")
    ],
    *[("float64", text) for text in ("0x1F", "0x1p3", "1,5", ".", "e3", "1d3", "1_0")],
    ("float32", "1e39"),
    *[
        ("decimal128(6, 2)", text)
        for text in ("", " ", "-+1.5", "NaN", "0x1F", "10000", "1.555", "1e-3", "12345.67", "1e999", ".")
    ],
    ("decimal128(38, 0)", "1" * 39),
    *[("bool", text) for text in ("", " true", "t", "yes", "Y", "2", "01")],
    *[
        ("date32", text)
        for text in ("", "0000-01-01", "2022-02-29", "2022-1-1", "20220101", "+2022-01-01", "10000-01-01")
    ],
    ("date32", "2022-01-01 00:00:00"),
    *[
        ("time64[ns]", text)
        for text in ("", "24:00:00", "23:59:60", "1:02:03", "01", "01:2", "+01:02", "01:02.", "01:02:03.1234567890")
    ],
    ("time64[ns]", "01:02:03Z"),
    ("time64[us]", "01:02:03.1234567"),
    ("time32[s]", "01:02:03.5"),
    *[
        ("timestamp[ns]", text)
        for text in ("", "2022-03-04Z", "2022-03-04 1", "2022-03-04 0102", "2022-03", "2022-03-04 01.5")
    ],
    *[
        ("timestamp[ns]", text)
        for text in ("2022-03-04 ", "2022-03-04 01:02Z", "2022-03-04 24:00:00", "2022-02-29 01:02:03")
    ],
    *[("timestamp[ns]", f"2022-03-04 01:02:03{end}") for end in ("Z", "+00:00", ".", ".1234567890", " ", ".12x")],
    ("timestamp[ns]", " 2022-03-04 01:02:03"),
    ("timestamp[ns]", "0000-01-01 00:00:00"),
    ("timestamp[ns]", "2022-03-04t01:02:03"),
    ("timestamp[us]", "0000-12-31"),
    ("timestamp[us]", "0000-12-31 00:00:00"),
    ("timestamp[us]", "2022-03-04 01:02:03.1234567"),
    ("timestamp[us]", "2022-03-04 01:02:03.1230000000"),
    ("timestamp[ms]", "2022-03-04 01:02:03.1234"),
    ("timestamp[s]", "2022-03-04 01:02:03.5"),
    ("timestamp[s]", "2022-03-04 01:02:03."),
]


def strings(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


@pytest.mark.parametrize(("type_text", "text", "value"), WORKS)
def test_a_value_that_fits_becomes_it(type_text: str, text: str, value: object) -> None:
    cast = cast_text(strings(text, None), arrow_type(type_text))
    assert cast.values.type == arrow_type(type_text)
    assert (cast.values.to_pylist(), cast.failures) == ([value, None], ())


@pytest.mark.parametrize(("type_text", "text"), FAILS)
def test_a_value_that_does_not_fit_is_named_and_no_other(type_text: str, text: str) -> None:
    fine = {type_: known for type_, known, _ in WORKS} | {"timestamp[ns]": "2022-03-04 01:02:03"}
    good = fine[type_text]
    cast = cast_text(strings(good, text, None, good, text), arrow_type(type_text))
    assert cast.failures == (1, 4)
    assert not cast.is_beyond_nanoseconds
    assert cast.values.is_null().to_pylist() == [False, True, True, False, True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_timestamp_may_state_utc_where_its_format_does(unit: Any) -> None:
    texts = ["2022-03-04T01:02:03Z", "2022-03-04 01:02:03+00:00", "2022-03-04T01:02:03.000Z", "2022-03-04T01Z", None]
    cast = cast_text(strings(*texts, "2022-03-04"), pa.timestamp(unit), may_state_utc=True)
    assert cast.failures == ()
    assert cast.values.cast(pa.timestamp("s")).to_pylist() == [
        *[moment(2022, 3, 4, 1, 2, 3)] * 3,
        moment(2022, 3, 4, 1),
        None,
        moment(2022, 3, 4),
    ]


@pytest.mark.parametrize(
    "end", ["z", "+01:00", "-00:00", "+0000", "+00", " Z", "ZZ", "Z+00:00", "Z ", " UTC", "+00:00:00", ".Z0"]
)
def test_another_zone_than_utc_is_named(end: str) -> None:
    good = "2022-03-04T01:02:03.5Z"
    cast = cast_text(strings(good, f"2022-03-04T01:02:03{end}"), pa.timestamp("us"), may_state_utc=True)
    assert (cast.failures, cast.values[0].as_py()) == ((1,), moment(2022, 3, 4, 1, 2, 3, 500_000))
    assert cast_text(strings("2022-03-04Z", good), pa.timestamp("us"), may_state_utc=True).failures == (0,)
    assert cast_text(strings(good), pa.timestamp("us")).failures == (0,)


def test_a_timestamp_in_utc_keeps_its_digits_and_reaches_every_year() -> None:
    texts = strings("2022-03-04T01:02:03.123456789Z", "9999-12-31T00:00:00Z")
    assert cast_text(texts.slice(0, 1), pa.timestamp("ns"), may_state_utc=True).values.cast(pa.int64()).to_pylist() == [
        1646355723123456789
    ]
    assert cast_text(texts.slice(0, 1), pa.timestamp("us"), may_state_utc=True).failures == (0,)
    assert cast_text(texts.slice(1), pa.timestamp("us"), may_state_utc=True).failures == ()
    assert cast_text(texts.slice(1), pa.timestamp("ns"), may_state_utc=True).is_beyond_nanoseconds


def test_nanoseconds_keep_nine_digits() -> None:
    cast = cast_text(strings("2022-03-04 01:02:03.123456789", "2022-03-04 01:02:03.4444444"), pa.timestamp("ns"))
    digits = [str(value)[-9:] for value in cast.values.view(pa.int64()).to_pylist()]
    assert digits == ["123456789", "444444400"]


@pytest.mark.parametrize(
    "text", ["9999-12-31 00:00:00", "0001-01-01 00:00:00.1234567", "2262-04-11 23:47:16.854775808"]
)
def test_a_date_that_nanoseconds_cannot_reach_is_no_failure_but_a_signal(text: str) -> None:
    cast = cast_text(strings("2022-03-04 01:02:03", text, None, "x"), pa.timestamp("ns"))
    assert cast.is_beyond_nanoseconds
    assert cast.failures == (3,)


def test_a_slice_is_looked_at_without_what_lies_around_it() -> None:
    cast = cast_text(strings("0x1", "5", None, "x").slice(1, 2), pa.int64())
    assert (cast.values.to_pylist(), cast.failures) == ([5, None], ())


@pytest.mark.parametrize("type_text", sorted({type_text for type_text, _, _ in WORKS} | {"timestamp[ns]"}))
def test_a_column_of_nulls_and_an_empty_one_fit_every_type(type_text: str) -> None:
    for nothing in (strings(None, None), strings()):
        cast = cast_text(nothing, arrow_type(type_text))
        assert (cast.values.type, cast.values.null_count, cast.failures) == (arrow_type(type_text), len(nothing), ())


def outcome(text: str, type_text: str) -> Any:
    """Return the one value, or None if it does not fit."""
    return cast_text(strings(text), arrow_type(type_text)).values[0].as_py()


NUMBER_LIKE = st.text(st.sampled_from("0123456789+-.eExXnaif _"), min_size=1, max_size=7)


@settings(max_examples=400, derandomize=True)
@given(NUMBER_LIKE)
def test_integers_are_what_the_grammar_says_and_no_more(text: str) -> None:
    assert outcome(text, "int64") == (int(text) if re.fullmatch(" *[+-]?[0-9]+ *", text) else None)


NUMBER = r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *"


@settings(max_examples=400, derandomize=True)
@given(NUMBER_LIKE)
def test_floats_are_what_the_grammar_says_and_no_more(text: str) -> None:
    expected = float(text) if re.fullmatch(NUMBER, text) else None
    assert outcome(text, "float64") == (None if expected is None or math.isinf(expected) else expected)


@settings(max_examples=400, derandomize=True)
@given(NUMBER_LIKE)
def test_decimals_are_what_the_grammar_says_and_no_more(text: str) -> None:
    expected = Decimal(text) if re.fullmatch(NUMBER, text) else None
    if expected is not None and (abs(expected) >= 10**8 or expected % Decimal("0.0001")):
        expected = None
    assert outcome(text, "decimal128(12, 4)") == expected


@settings(max_examples=400, derandomize=True)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**45), max_value=10**45))
def test_a_decimal_of_any_length_fits_or_is_named(value: Decimal) -> None:
    fits = abs(value) < 10**34
    assert outcome(f"{value:f}", "decimal128(38, 4)") == (value if fits else None)
    assert outcome(f"{value:E}", "decimal128(38, 4)") == (value if fits else None)


@settings(max_examples=400, derandomize=True)
@given(st.integers(0, 10**37))
def test_a_decimal_whose_scale_takes_it_beyond_38_digits_is_not_wrapped_around(value: int) -> None:
    text = f"{value:037}"
    assert outcome(text, "decimal128(38, 4)") == (value if value < 10**34 else None)


@pytest.mark.parametrize("text", ["9" * 39, "9" * 38 + "0", "1e38", "9" * 37 + ".9999", "1e999999999", "-" + "9" * 39])
def test_a_decimal_with_more_digits_than_38_is_named(text: str) -> None:
    assert outcome(text, "decimal128(38, 4)") is None
    assert outcome("9" * 38, "decimal128(38, 0)") == Decimal("9" * 38)


@settings(max_examples=60, derandomize=True)
@given(st.datetimes(), st.sampled_from(" T"))
def test_timestamps_of_every_year_are_read_back(moment: datetime, separator: str) -> None:
    assert outcome(moment.isoformat(separator), "timestamp[us]") == moment


@settings(max_examples=60, derandomize=True)
@given(st.dates(), st.times())
def test_dates_and_times_are_read_back(day: date, moment: time) -> None:
    assert outcome(day.isoformat(), "date32") == day
    assert outcome(moment.isoformat(), "time64[us]") == moment


@settings(max_examples=60, derandomize=True)
@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_nanoseconds_are_read_back(nanoseconds: int) -> None:
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = f"{moment(1970, 1, 1) + timedelta(seconds=seconds)}.{fraction:09}"
    cast = cast_text(strings(text), pa.timestamp("ns"))
    assert cast.is_beyond_nanoseconds or cast.values.view(pa.int64()).to_pylist() == [nanoseconds]
    assert not cast.failures
