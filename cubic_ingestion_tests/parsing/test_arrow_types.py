"""Types by name."""

import pyarrow as pa
import pytest

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import TYPE_TEXTS, arrow_schema, arrow_type
from cubic_ingestion.parsing.qlik_types import is_known, qlik_source_type, qlik_type_text
from cubic_ingestion_tests.golden.type_page import type_text

PLAIN = [text for text in TYPE_TEXTS if not text.startswith("decimal128")]


@pytest.mark.parametrize("text", [*PLAIN, "decimal128(19, 4)", "decimal128(38, 38)", "decimal128(1, 0)"])
def test_every_type_has_one_name(text: str) -> None:
    assert type_text(arrow_type(text)) == ("string" if text == "json" else text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "INT64",
        "decimal128",
        "decimal128(39, 0)",
        "decimal128(0, 0)",
        "decimal128(4, 5)",
        "timestamp",
        "time64",
    ],
)
def test_a_text_that_names_no_type_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(ValueError, match="Use one of: string, json"):
        arrow_type(text)


def test_a_type_that_no_column_may_have_has_no_name() -> None:
    with pytest.raises(ValueError, match="Use one of"):
        type_text(pa.list_(pa.string()))


def test_a_schema_has_the_columns_in_order() -> None:
    columns = (Column("b", "int64"), Column("a", "json"))
    assert arrow_schema(columns) == pa.schema([("b", pa.int64()), ("a", pa.string())])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("BOOLEAN",), "bool"),
        *[((name,), "int64") for name in ("INT1", "INT2", "INT3", "INT4", "INT8", "UINT1", "UINT2", "UINT4")],
        (("UINT8",), "uint64"),
        (("REAL4",), "float32"),
        (("REAL8",), "float64"),
        (("DATE",), "date32"),
        (("TIME",), "time64[ns]"),
        *[((name,), "string") for name in ("STRING", "WSTRING", "CLOB", "NCLOB", "BYTES", "BLOB", "GEOMETRY")],
        (("DATETIME", 0, 0), "timestamp[us]"),
        (("DATETIME", 0, 1), "timestamp[us]"),
        (("DATETIME", 0, 6), "timestamp[us]"),
        (("DATETIME", 0, 7), "timestamp[ns]"),
        (("DATETIME", 0, 9), "timestamp[ns]"),
        (("DATETIME", 27, 6), "timestamp[us]"),  # the precision says nothing of the fraction
        (("NUMERIC", 10, 0), "decimal128(10, 0)"),
        (("NUMERIC", 19, 4), "decimal128(19, 4)"),
        (("NUMERIC", 0, 0), "decimal128(38, 0)"),
        (("NUMERIC", 0, 4), "decimal128(38, 4)"),
        (("NUMERIC", 0, -4), "decimal128(38, 0)"),
        (("NUMERIC", 40, 10), "decimal128(38, 10)"),
        (("NUMERIC", 2, 5), "decimal128(5, 5)"),
        (("NUMERIC", 4, -2), "decimal128(6, 0)"),
        (("NUMERIC", 20, -30), "decimal128(38, 0)"),
        (("NUMERIC", -5, -3), "decimal128(38, 0)"),
        (("NUMERIC", -5, 2), "decimal128(38, 2)"),
        (("NUMERIC", 38, 40), "string"),
        (("NUMERIC", 0, 39), "string"),
    ],
)
def test_each_of_qliks_types_has_a_column_type(arguments: tuple[str, int, int], text: str) -> None:
    assert qlik_type_text(*arguments) == text
    assert arrow_type(text)
    assert is_known(arguments[0]) == (arguments[0] != "GEOMETRY")


def test_qliks_types_are_written_with_the_arguments_that_matter() -> None:
    assert qlik_source_type("DATETIME", scale=7) == "DATETIME(7)"
    assert qlik_source_type("DATETIME", precision=27) == "DATETIME"
    assert qlik_source_type("STRING", length=0) == "STRING"
