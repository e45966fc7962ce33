"""Delimited text to rows of text."""

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing import delimited_parser, delimited_text
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.dialect import Dialect
from cubic_ingestion_tests.parsing.reading import columns, csv_rows, delimited


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a short text be a large file."""
    monkeypatch.setattr(delimited_text, "HEAD_BYTES", 8)
    monkeypatch.setattr(delimited_parser, "BLOCK_BYTES", (32, 64, 128))


def test_columns_are_matched_by_name_in_any_order_and_case() -> None:
    assert csv_rows("B,a\n1,2\n", columns("a", "b")) == [{"a": "2", "b": "1"}]


def test_an_empty_field_is_null_and_a_quoted_one_is_text() -> None:
    assert csv_rows('a,b\n,""\n') == [{"a": None, "b": ""}]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_understood_and_the_last_may_lack(line_end: str) -> None:
    assert csv_rows(line_end.join(["a,b", "1,2", "3,4"])) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_a_byte_order_mark_and_blank_lines_before_the_header_are_no_part_of_it() -> None:
    assert csv_rows(b"\xef\xbb\xbf\r\n\na,b\n1,2\n", columns("a")) == [{"a": "1", "b": "2"}]


def test_quoted_line_ends_commas_and_quotes_are_text() -> None:
    assert csv_rows('a,b\n"x\r\ny,""z""",2\n') == [{"a": 'x\r\ny,"z"', "b": "2"}]


def test_text_after_a_closing_quote_belongs_to_the_field() -> None:
    assert csv_rows('a,b\n"b"x,2\n') == [{"a": "bx", "b": "2"}]


def test_a_quote_inside_an_unquoted_field_is_a_character() -> None:
    assert csv_rows('a,b\n5" pipe,2\n') == [{"a": '5" pipe', "b": "2"}]


def test_blanks_around_a_field_are_kept() -> None:
    assert csv_rows("a,b\n x , y\n") == [{"a": " x ", "b": " y"}]


def test_a_blank_line_is_no_record() -> None:
    assert csv_rows("a,b\n\n1,2\n\n") == [{"a": "1", "b": "2"}]


def test_a_blank_line_is_a_null_where_there_is_one_column() -> None:
    assert csv_rows('a\n\n1\n""\n') == [{"a": None}, {"a": "1"}, {"a": ""}]


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\r\n", "a\n", "a"])
def test_a_header_alone_is_a_file_of_no_rows(text: str) -> None:
    records = delimited(text)
    assert list(records.batches) == []
    assert records.columns[0] == Column("a", "string")


def test_columns_that_are_not_declared_are_kept_after_the_others_and_noted() -> None:
    records = delimited("new,a,newer\n1,2,3\n", columns("a"))
    assert [column.name for column in records.columns] == ["a", "new", "newer"]
    assert records.notes == {"undeclared_columns": "new, newer"}


def test_declared_columns_that_the_file_lacks_are_null_and_noted() -> None:
    records = delimited("b\n1\n", columns("a", "b"))
    assert [batch.to_pylist() for batch in records.batches] == [[{"a": None, "b": "1"}]]
    assert records.notes == {"missing_columns": "a"}


def test_the_vendors_record_count_is_handed_on() -> None:
    assert delimited("a\n1\n", expected_rows=7).expected_rows == 7


def test_gzip_is_told_by_its_bytes() -> None:
    assert csv_rows(gzip.compress(b"a\n1\n")) == [{"a": "1"}]


def test_the_stated_dialect_is_followed() -> None:
    dialect = Dialect(delimiter="|", quote="'", escape="\\", null_value="NULL", record_delimiter="\r\n")
    text = "a|b|c\r\nNULL|'NULL'|\r\n'x|y'|z\\|z|'it\\'s'\r\n"
    assert csv_rows(text, dialect=dialect) == [
        {"a": None, "b": "NULL", "c": ""},
        {"a": "x|y", "b": "z|z", "c": "it's"},
    ]


def test_without_a_quote_character_quotes_are_text() -> None:
    assert csv_rows('a,b\n"1,2\n', dialect=Dialect(quote="")) == [{"a": '"1', "b": "2"}]


REJECTED = [
    ("", "empty_file", None, None),
    (gzip.compress(b"", mtime=0), "empty_file", None, None),
    ("\n\n", "header_invalid", None, None),
    ("a,\n1,2\n", "header_invalid", None, None),
    ('"a\nb",c\n1,2\n', "header_invalid", None, None),
    ("a,A\n1,2\n", "duplicate_column", None, "a"),
    (b"a,\xff\n1,2\n", "not_utf8", None, None),
    ("a,b\n1,2\n3\n", "ragged_row", 2, None),
    ("a,b\n1,2,3\n", "ragged_row", 1, None),
    ("a,b\nstraddling invalid UTF8 Row #9: \n", "ragged_row", 1, None),
    ('a,b\n"1\n\n1",2\n\n3\n', "ragged_row", 2, None),
    ("a,b\n1,2\n  \n", "ragged_row", 2, None),
    (b"a,b\n1,2\n3,\xff\n", "not_utf8", 2, "b"),
    ('a,b\n1,2\n3,"4\n5,6\n', "unclosed_quote", 2, None),
    ('a,b\n1,"', "unclosed_quote", 1, None),
    ('a\n"', "unclosed_quote", 1, None),
    ('"a,b\n1,2\n', "header_invalid", None, None),
]


@pytest.mark.parametrize(("text", "code", "row", "column"), REJECTED)
def test_a_file_that_is_not_sound_is_rejected_with_its_place(
    text: str | bytes, code: str, row: int | None, column: str | None
) -> None:
    with pytest.raises(RejectedLoadError) as caught:
        csv_rows(text)
    assert (caught.value.code, caught.value.row, caught.value.column) == (code, row, column)


@pytest.mark.parametrize(("text", "code", "row", "column"), [case for case in REJECTED if case[2]])
@pytest.mark.usefixtures("small_blocks")
def test_a_large_file_that_is_not_sound_is_rejected_alike(
    text: str | bytes, code: str, row: int, column: str | None
) -> None:
    with pytest.raises(RejectedLoadError) as caught:
        csv_rows(text)
    assert (caught.value.code, caught.value.row, caught.value.column) == (code, row, column)


def test_columns_are_rejected_where_the_declaration_has_to_be_met() -> None:
    with pytest.raises(RejectedLoadError) as undeclared:
        delimited("a,b\n", columns("a"), undeclared="reject")
    with pytest.raises(RejectedLoadError) as missing:
        delimited("a\n", columns("a", "b"), missing="reject")
    assert (undeclared.value.code, missing.value.code) == ("undeclared_column", "missing_column")
    assert (undeclared.value.column, missing.value.column) == ("b", "b")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.usefixtures("small_blocks")
def test_a_field_larger_than_a_block_is_read_with_a_larger_one_and_no_row_twice(pack: type[bytes]) -> None:
    values = [str(number) for number in range(20)] + ["x" * 90] + [str(number) for number in range(20)]
    text = "\n".join(["\ufeffa,b", *(f"{value},1" for value in values)])
    assert [row["a"] for row in csv_rows(pack(text.encode()))] == values


@pytest.mark.usefixtures("small_blocks")
def test_a_field_larger_than_the_largest_block_rejects_the_load() -> None:
    with pytest.raises(RejectedLoadError) as caught:
        csv_rows("a,b\n1,2\n" + "x" * 300 + ",1\n" + "3,4\n" * 50)
    assert caught.value.code == "field_too_large"


def test_damage_in_a_large_gzip_file_is_found_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_text, "HEAD_BYTES", 8)
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000)
    with pytest.raises(RejectedLoadError) as caught:
        csv_rows(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert caught.value.code == "gzip_damaged"


@pytest.mark.usefixtures("small_blocks")
def test_a_quoted_line_end_is_kept_wherever_a_block_ends() -> None:
    for n_before in range(40):
        text = f'a,b\n{"x" * n_before},"1\r\n2"\r\n3,4\r\n'
        assert csv_rows(text) == [{"a": "x" * n_before or None, "b": "1\r\n2"}, {"a": "3", "b": "4"}]


def test_a_reader_that_was_given_up_takes_no_more_of_the_file() -> None:
    rest = io.BytesIO(b"5,6\n")
    stream = delimited_text.source(delimited_text.Text(b"a,b\n1,2\n", rest), end=b",\n")
    assert stream.read(4) == b"a,b\n"
    stream.close()
    assert (stream.read(100), rest.tell()) == (b"", 0)


FIELDS = st.text(st.sampled_from("ab,\"'\n\r 0é🔥\t\\"), max_size=6)


@settings(max_examples=60, derandomize=True)
@given(table=st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=8), line_end=st.sampled_from(["\n", "\r\n"]))
def test_what_pythons_csv_writes_is_read_back(table: list[tuple[str, str, str]], line_end: str) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows([("a", "b", "c"), *table])
    assert [tuple(row.values()) for row in csv_rows(text.getvalue())] == table


@settings(max_examples=60, derandomize=True)
@given(table=st.lists(st.tuples(FIELDS, FIELDS), min_size=30, max_size=40))
def test_a_large_file_reads_like_a_small_one(table: list[tuple[str, str]]) -> None:
    lines = [",".join('"{}"'.format(field.replace('"', '""')) if field else "" for field in row) for row in table]
    text = "\n".join(["a,b", *lines])
    whole = csv_rows(text)
    assert len(whole) == len(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_text, "HEAD_BYTES", 8)
        patch.setattr(delimited_parser, "BLOCK_BYTES", (80,))
        assert csv_rows(text) == whole


def test_a_header_larger_than_what_is_read_for_it_is_named() -> None:
    header = ",".join(f"column_{number:04}_{'x' * 250}" for number in range(5_000))
    with pytest.raises(RejectedLoadError, match="has more than") as raised:
        read_delimited(io.BytesIO(f"{header}\n{','.join('1' for _ in range(5_000))}\n".encode()), columns=())
    assert raised.value.code == "header_invalid"
