"""Values that pyarrow parses at once are what the casts make of their text."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing import delimited_parser, delimited_text
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.delimited_watch import SuspectError, Watch
from cubic_ingestion.parsing.dialect import Dialect
from cubic_ingestion.pipeline.convert import Converter, TimestampUnitError

TYPES = (
    "int8",
    "int64",
    "uint8",
    "uint64",
    "float32",
    "float64",
    "decimal128(6, 2)",
    "decimal128(18, 4)",
    "decimal128(38, 4)",
    "decimal128(38, 37)",
    "decimal128(38, 38)",
    "bool",
    "date32",
    "time32[s]",
    "time32[ms]",
    "time64[us]",
    "time64[ns]",
    "timestamp[s]",
    "timestamp[ms]",
    "timestamp[us]",
    "timestamp[ns]",
    "binary",
    "string",
)
BORDERS = (
    *("42", " 42", "\t42 ", "+5", "-0", "0x1F", "0X1f", '0"x1', "1.", ".5", "1e3", "1e999", "-1e-999", "NaN", "inf"),
    *(
        "12345",
        "1234.5",
        "0.10000000",
        "1" * 37,
        "9" * 38,
        "1" * 39,
        "1e37",
        "1e38",
        "1e-1",
        "1e-41",
        "1e-9999999",
        "0." + "0" * 45,
        "-",
        ".",
    ),
    *(
        "true",
        "TRUE",
        "tRuE",
        "1",
        "0",
        "01",
        " true",
        "255",
        "256",
        "9223372036854775808",
        "7589108825487875564399" * 2,
    ),
    *("2022-03-04", " 2022-03-04", "2022-02-29", "0000-01-01", "0001-01-01", "9999-12-31", "20220304", "1677-09-21"),
    *("2022-03-04 10", "2022-03-04T10:11", "2022-03-04 10:11:12", "2022-03-04 10:11:12.1", "2022-03-04 10:11:12Z"),
    *("2022-03-04 10:11:12.1234567", "2022-03-04 10:11:12.123456000", "2022-03-04 10:11:12.1234567890"),
    *("9999-12-31 23:59:59", "9999-12-31 00:00:00.0000000", "0000-01-01 00:00:00", "2262-04-11 23:47:16.854775808"),
    *(
        "2022-03-04 24:00:00",
        "2022-03-04 ",
        "10:11",
        "10:11.",
        "10:11:12",
        "10:11:12.",
        " 10:11:12.5",
        "10",
        "24:00:00",
        "10:11:12.1234567",
    ),
)
NEAR = st.one_of(
    st.sampled_from(BORDERS),
    st.text(st.sampled_from("0123456789+-.eExX :TZ\t\"'"), max_size=8),
    st.from_regex(r"[ \t]?[+-]?[0-9]{0,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?[ \t]?", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]([ T][0-2][0-9](:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,10})?)?)?)?Z?"),
    st.from_regex(r"[ \t]?[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,10})?)?[ \t]?", fullmatch=True),
    st.text(max_size=5),
)
OPEN = Column("a", "timestamp[us]", source_type="DATETIME")


def field(text: str) -> str:
    """Write a field as it stands if it can, else in quotes."""
    return text if not set(text) & set(',"\r\n') or text == '0"x1' else '"{}"'.format(text.replace('"', '""'))


def outcome(
    data: bytes, columns: Sequence[Column], targets: Sequence[Column] = (), *, typed: bool, **options: Any
) -> object:
    """Read and convert a file to its end, and return all there is to tell."""
    try:
        records = read_delimited(io.BytesIO(data), columns=columns, typed=typed, **options)
        n_rows, values, failures = 0, [], []
        for batch in records.batches:
            conversion = Converter(targets or columns).convert(batch, n_rows + 1)
            n_rows += batch.num_rows
            failures += conversion.failures
            values += zip(*(plain(column) for column in conversion.rows.columns), strict=True)
    except RejectedLoadError as error:
        return error.code, error.row, error.column
    except TimestampUnitError as error:
        return error.types
    return values, failures


def plain(values: "pa.Array[Any]") -> list[Any]:
    """Return values to compare, those of floats by their bits."""
    if pa.types.is_temporal(values.type) or pa.types.is_floating(values.type):
        is_wide = values.type.bit_width == 64
        return values.view(pa.int64() if is_wide else pa.int32()).to_pylist()
    return values.to_pylist()


@pytest.mark.parametrize("type_text", TYPES)
@settings(max_examples=150, derandomize=True)
@given(texts=st.lists(NEAR, max_size=4), borders=st.lists(st.sampled_from(BORDERS), max_size=1))
@pytest.mark.slow
def test_a_column_parsed_at_once_is_what_its_text_is_cast_to(
    type_text: str, texts: list[str], borders: list[str]
) -> None:
    data = "\n".join(["a,z", *(f"{field(text)},1" for text in texts + borders)]).encode()
    columns = (Column("a", type_text), Column("z", "int64"))
    assert outcome(data, columns, typed=True) == outcome(data, columns, typed=False)


@pytest.mark.parametrize("text", BORDERS)
@pytest.mark.parametrize("type_text", TYPES)
def test_a_value_at_a_grammars_border_is_the_same_either_way(type_text: str, text: str) -> None:
    data, columns = f"a,z\n{field(text)},1\n".encode(), (Column("a", type_text), Column("z", "string"))
    assert outcome(data, columns, typed=True) == outcome(data, columns, typed=False)


@pytest.mark.parametrize("text", [text for text in BORDERS if text[:1].isdigit()])
def test_a_timestamp_without_stated_digits_is_the_same_either_way(text: str) -> None:
    data = f"a\n2022-03-04 10:11:12.123456\n{field(text)}\n".encode()
    assert outcome(data, (OPEN,), typed=True) == outcome(data, (OPEN,), typed=False)


@pytest.mark.parametrize("text", [text for text in BORDERS if text[:1].isdigit()])
def test_a_timestamp_found_to_need_nanoseconds_is_the_same_either_way(text: str) -> None:
    data = f"a\n2022-03-04 10:11:12.123456\n{field(text)}\n".encode()
    finer = (Column("a", "timestamp[ns]", source_type="DATETIME"),)
    assert outcome(data, (OPEN,), finer, typed=True) == outcome(data, (OPEN,), finer, typed=False)


def types_read(text: str, *columns: Column, **options: Any) -> list[list[str]]:
    """Return the types in which each batch comes."""
    records = read_delimited(io.BytesIO(text.encode()), columns=columns, typed=True, **options)
    return [[str(type_) for type_ in batch.schema.types] for batch in records.batches]


def test_only_the_column_that_needs_it_is_read_as_text() -> None:
    columns = (Column("a", "int64"), Column("b", "timestamp[ns]"), Column("c", "decimal128(6, 2)"))
    text = "a,b,c\n1,9999-12-31 00:00:00,1.5\n"
    assert types_read(text, *columns) == [["int64", "string", "decimal128(6, 2)"]]


def test_a_date_far_away_is_parsed_in_microseconds() -> None:
    assert types_read("a\n9999-12-31 00:00:00\n", Column("a", "timestamp[us]")) == [["timestamp[us]"]]


@pytest.mark.parametrize("text", ["0x1F", '0"x1F', "ab0x1"])
def test_integers_are_read_as_text_if_anything_looks_hexadecimal(text: str) -> None:
    assert types_read(f"a,b\n{text},1.5\n", Column("a", "int64"), Column("b", "float64")) == [["string", "double"]]


def test_integers_are_read_as_text_where_a_character_may_be_escaped() -> None:
    dialect = Dialect(escape="\\")
    assert outcome(b"a,z\n0\\x1F,1\n", (Column("a", "int64"), Column("z", "int64")), typed=True, dialect=dialect) == (
        outcome(b"a,z\n0\\x1F,1\n", (Column("a", "int64"), Column("z", "int64")), typed=False, dialect=dialect)
    )


def looked(*blocks: bytes) -> bool:
    """Say whether a watch lets blocks pass."""
    watch = Watch(",", '"', integers=True, decimals=True)
    try:
        return [watch.look(block) for block in blocks] == list(blocks)
    except SuspectError:
        return False


SUSPECT = [
    b"0x1",
    b"-0X1",
    b'0"x1',
    b"\t 0x1",
    b'""0x1',
    b"1e-41",
    b"0" * 400 + b"1e-41",
    b"1.5E-999",
    b'"1"e-41',
    b'"1e"-41',
    b'"1e-"41',
    b'"1e-4"1"',
]
FINE = [
    b"ab0x",
    b"10x",
    b"x0",
    b'"x',
    b"0.x",
    b'""x',
    b"",
    b"x",
    b"0",
    b"1e5",
    b"1e-5",
    b"1e+41",
    b"e-41",
    b"the-41",
    b"1e-41d4",
]


@pytest.mark.parametrize("text", SUSPECT)
def test_what_typed_parsing_must_not_be_given_is_seen_wherever_a_block_ends(text: bytes) -> None:
    for around in (b"", b"," * 100):
        whole = around + text + b",1" + around
        assert not any(looked(whole[:at], whole[at:]) for at in range(len(whole)))
        assert not looked(*(whole[at : at + 1] for at in range(len(whole))))


@pytest.mark.parametrize(
    "text", [*FINE, b"1234567e-e29b-41d4-a716-446655440000", b"550e8400-e29b-41d4-a71e-446655440000"]
)
def test_what_is_no_number_is_let_pass(text: bytes) -> None:
    assert looked(b"," * 100 + text + b",1" + b"," * 100)


def test_a_number_longer_than_what_is_looked_at_is_suspect() -> None:
    assert not looked(b"," * 100 + b"0" * 100 + b"1e-41,1")


@pytest.mark.parametrize("n_zeros", [0, 100, 5000])
def test_an_exponent_that_pyarrow_would_crash_on_is_read_by_our_own_rules(n_zeros: int) -> None:
    data = f"a,z\n1.5,1\n{'0' * n_zeros}1e-9999999,1\n".encode()
    columns = (Column("a", "decimal128(6, 2)"), Column("z", "int64"))
    assert outcome(data, columns, typed=True) == outcome(data, columns, typed=False)


@pytest.mark.parametrize("null_value", ["", "NULL", "\\N", " ", "0"])
@pytest.mark.parametrize("columns", [(Column("a", "int64"),), (Column("a", "int64"), Column("z", "string"))])
def test_nulls_are_the_same_either_way(null_value: str, columns: tuple[Column, ...]) -> None:
    dialect = Dialect(null_value=null_value)
    header = ",".join(column.name for column in columns)
    for line in ("1", "", null_value, f"{null_value},{null_value}", f'1,"{null_value}"', ",", "5,6"):
        data = f"{header}\n{line}\n".encode()
        found = [outcome(data, columns, typed=typed, dialect=dialect) for typed in (True, False)]
        assert found[0] == found[1]


@pytest.mark.parametrize("columns", [(Column("a", "int64"),), (Column("a", "int64"), Column("z", "bool"))])
@pytest.mark.parametrize("line", ['"1', '1,"0', '1,"', '"', '1,"\n,\n', '"1\n,"\n"'])
def test_a_quote_that_never_closes_is_found_where_no_column_is_text(line: str, columns: tuple[Column, ...]) -> None:
    data = f"{','.join(column.name for column in columns)}\n1,1\n{line}\n".encode()
    found = outcome(data, columns, typed=True)
    assert found == outcome(data, columns, typed=False)
    assert isinstance(found, tuple)
    assert found[0] in {"unclosed_quote", "ragged_row"}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a short text be a large file."""
    monkeypatch.setattr(delimited_text, "HEAD_BYTES", 12)
    monkeypatch.setattr(delimited_parser, "BLOCK_BYTES", (64, 128, 256))


BAD = {"a": "0x1", "b": "1e999", "c": "99999", "d": "0000-01-01", "e": "9999-12-31"}
WIDE = (
    Column("a", "int64"),
    Column("b", "float64"),
    Column("c", "decimal128(6, 2)"),
    Column("d", "date32"),
    Column("e", "timestamp[us]"),
)


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=60, derandomize=True)
@given(bad=st.lists(st.tuples(st.sampled_from(sorted(BAD)), st.integers(0, 39)), max_size=5))
@pytest.mark.slow
def test_a_large_file_that_is_read_otherwise_midway_has_each_row_once(bad: list[tuple[str, int]]) -> None:
    rows = [{"a": f"{at}", "b": "1.5", "c": "2", "d": "2022-03-04", "e": "2022-03-04 10:11:12"} for at in range(40)]
    for name, at in bad:
        rows[at][name] = BAD[name]
    data = "\n".join(["a,b,c,d,e", *(",".join(row.values()) for row in rows)]).encode()
    found = outcome(data, WIDE, typed=True)
    assert found == outcome(data, WIDE, typed=False)
    assert isinstance(found, tuple)
    assert len(found[0]) == len(rows)


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_is_read_otherwise_again_and_again_is_read_as_text_in_the_end() -> None:
    lines = ["a,b,c,d,e", *["1,1.5,2,2022-03-04,2022-03-04 10:11:12"] * 4]
    for line in ("1,NaN,2,2022-03-04,", "1,1,99999,2022-03-04,", "1,1,2,0000-01-01,", "1,1,2,2022-03-04,"):
        lines += [line] * 4
    found = types_read("\n".join(lines), *WIDE)
    assert found[0] == ["int64", "double", "decimal128(6, 2)", "date32[day]", "timestamp[us]"]
    assert found[-1] == ["string"] * 5
