"""``.dfm`` sidecars."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cubic_ingestion.domain.table import Column, ColumnRoles
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing import dfm as dfm_module
from cubic_ingestion.parsing.dfm import parse_dfm
from cubic_ingestion.parsing.dialect import Dialect
from cubic_ingestion_tests.builders import a_dfm


def changed(**parts: Any) -> bytes:
    """Build a sidecar with top-level parts replaced."""
    return json.dumps(json.loads(a_dfm()) | parts).encode()


def options(**stated: Any) -> bytes:
    return changed(formatInfo={"options": stated})


def test_columns_have_lower_case_names_and_both_types() -> None:
    data = a_dfm([{"name": "FARE", "type": "NUMERIC", "precision": 19, "scale": 4}, {"name": "ID", "type": "int4"}])
    assert parse_dfm(data).columns == (
        Column("fare", "decimal128(19, 4)", source_type="NUMERIC(19,4)"),
        Column("id", "int64", source_type="INT4"),
    )


def test_the_change_sequence_stays_text_whatever_its_type() -> None:
    data = a_dfm([{"name": "header__change_seq", "type": "NUMERIC", "precision": 35}])
    assert parse_dfm(data).columns[0].type == "string"


def test_the_key_is_in_key_order() -> None:
    data = a_dfm([{"name": name, "type": "INT4", "primaryKeyPos": at} for name, at in (("A", 2), ("B", 0), ("C", 1))])
    assert parse_dfm(data).roles.primary_key == ("c", "a")


def test_the_columns_that_describe_a_change_are_known_by_their_names() -> None:
    names = ("header__change_seq", "HEADER__CHANGE_MASK", "ID", "ITS_HEADER__ID")
    assert parse_dfm(a_dfm([{"name": name, "type": "STRING"} for name in names])).roles == ColumnRoles(
        (), ("header__change_seq", "header__change_mask")
    )


def test_a_column_of_unknown_type_is_kept_as_text_and_noted() -> None:
    parsed = parse_dfm(a_dfm([{"name": "SHAPE", "type": "GEOMETRY"}]))
    assert (parsed.columns[0].type, parsed.notes) == ("string", {"unknown_types": "shape (GEOMETRY)"})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", None),
        (None, None),
        ("2022-03-01T10:11:12.345Z", datetime(2022, 3, 1, 10, 11, 12, 345_000, UTC)),
        ("2022-03-01T10:11:12", datetime(2022, 3, 1, 10, 11, 12, tzinfo=UTC)),
        ("2022-03-01T05:11:12-05:00", datetime(2022, 3, 1, 10, 11, 12, tzinfo=UTC)),
    ],
)
def test_the_start_of_writing_is_utc_or_unknown(text: str | None, moment: datetime | None) -> None:
    assert parse_dfm(changed(fileInfo={"startWriteTimestamp": text})).started_at == moment


def test_counts_are_read_and_may_be_absent() -> None:
    assert parse_dfm(a_dfm(record_count=5)).record_count == 5
    assert parse_dfm(changed(fileInfo={"errorCount": 3})).error_count == 3
    bare = parse_dfm(changed(fileInfo={}))
    assert (bare.record_count, bare.error_count) == (None, 0)


def test_the_wrong_file_name_does_not_matter() -> None:
    assert parse_dfm(changed(fileInfo={"name": "another.csv", "recordCount": 1})).record_count == 1


def test_the_dialect_is_the_one_stated_and_else_the_usual() -> None:
    assert parse_dfm(changed(formatInfo=None)).dialect == Dialect()
    assert parse_dfm(a_dfm()).dialect == Dialect()
    stated = options(fieldDelimiter="\t", recordDelimiter="\r\n", nullValue="NULL", quoteChar="", escapeChar="\\")
    assert parse_dfm(stated).dialect == Dialect("\t", "\r\n", "NULL", "", "\\")
    assert parse_dfm(options(nullValue="\\N")).dialect == Dialect(null_value="\\N")


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert parse_dfm(b"\xef\xbb\xbf" + a_dfm()) == parse_dfm(a_dfm())


@pytest.mark.parametrize(
    ("data", "culprit"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (changed(dataInfo={}), "dataInfo.columns"),
        (changed(dataInfo=[]), "dataInfo"),
        (a_dfm([]), "dataInfo.columns"),
        (changed(dataInfo={"columns": ["A"]}), "dataInfo.columns[0]"),
        (a_dfm([{"type": "INT4"}]), "dataInfo.columns[0].name"),
        (a_dfm([{"name": "A"}]), "dataInfo.columns[0].type"),
        (a_dfm([{"name": "A", "type": "NUMERIC", "scale": "2"}]), "dataInfo.columns[0].scale"),
        (a_dfm([{"name": "A", "type": "INT4"}, {"name": "a", "type": "INT4"}]), "names a more than once"),
        (changed(fileInfo={"recordCount": -1}), "fileInfo.recordCount"),
        (changed(fileInfo={"recordCount": "2"}), "fileInfo.recordCount"),
        (changed(fileInfo={"errorCount": True}), "fileInfo.errorCount"),
        (changed(fileInfo={"startWriteTimestamp": "yesterday"}), "fileInfo.startWriteTimestamp"),
        (changed(fileInfo={"startWriteTimestamp": 5}), "fileInfo.startWriteTimestamp"),
        (changed(formatInfo={"format": "parquet"}), "formatInfo.format"),
        (changed(formatInfo={"format": ["delimited"]}), "formatInfo.format"),
        (options(fieldDelimiter="'", quoteChar="'"), "two meanings"),
        (options(fieldDelimiter="|", escapeChar="|"), "two meanings"),
        (options(fieldDelimiter="||"), "fieldDelimiter"),
        (options(nullValue="\\N", escapeChar="\\"), "nullValue is '\\\\N', and '\\\\' has a meaning of its own"),
        (options(nullValue='""'), "nullValue"),
        (options(nullValue="a,b"), "nullValue"),
        (options(nullValue="\n"), "nullValue"),
        (options(fieldDelimiter="é"), "fieldDelimiter"),
        (options(recordDelimiter=";"), "recordDelimiter"),
        (options(quoteChar="''"), "quoteChar"),
        (options(escapeChar=5), "escapeChar"),
    ],
)
def test_a_sidecar_that_cannot_be_used_says_why(data: bytes, culprit: str) -> None:
    with pytest.raises(RejectedLoadError, match="sidecar cannot be used") as caught:
        parse_dfm(data)
    assert caught.value.code == "sidecar_invalid"
    assert culprit in caught.value.message


def test_a_sidecar_of_a_size_no_real_one_has_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dfm_module, "MAX_DFM_BYTES", 10)
    with pytest.raises(RejectedLoadError, match="more than the 10"):
        parse_dfm(a_dfm())
