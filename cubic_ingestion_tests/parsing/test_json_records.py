"""JSON records to rows of text."""

import gzip
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing import json_fields, json_parser, json_slices
from cubic_ingestion.parsing.json_plain import plain_records
from cubic_ingestion.pipeline.convert import Converter
from cubic_ingestion_tests.parsing.reading import columns, json_records, json_rows

RECORD = (
    '{"n": 1.50, "big": 123456789012345678901234567890, "s": "caf\\u00e9 🔥", "t": true, "x": null, '
    '"o": {"a": [1, 2.0]}}'
)
ROW = {
    "n": "1.50",
    "big": "123456789012345678901234567890",
    "s": "café 🔥",
    "t": "true",
    "x": None,
    "o": '{"a": [1, 2.0]}',
}


@pytest.mark.parametrize(
    "text",
    [
        f"[{RECORD},{RECORD}]",
        f"\ufeff\n [\n{RECORD},\n{RECORD}\n]\n\n",
        f"{RECORD}\n{RECORD}",
        f"\ufeff{RECORD}\r\n\r\n  \r\n {RECORD} \r\n",
        gzip.compress(f"{RECORD}\n{RECORD}\n".encode(), mtime=0),
    ],
    ids=["array", "array over lines", "lines", "blank lines", "gzip"],
)
def test_an_array_and_lines_are_read_alike(text: str | bytes) -> None:
    assert json_rows(text) == [ROW, ROW]


def test_a_column_of_type_json_keeps_every_value_as_json() -> None:
    text = '{"j": "a\\n"}\n{"j": {"b":  1}}\n{"j": null}\n{"j": 1.0}\n{}'
    assert [row["j"] for row in json_rows(text, [Column("j", "json")])] == ['"a\\n"', '{"b":  1}', None, "1.0", None]


def test_the_text_null_is_not_null() -> None:
    assert json_rows('{"a": "null", "b": ""}') == [{"a": "null", "b": ""}]


def test_fields_are_matched_in_any_case_and_order() -> None:
    assert json_rows('{"B": 1, "A": 2}\n{"a": 3}', columns("a", "b")) == [{"a": "2", "b": "1"}, {"a": "3", "b": None}]


def test_fields_that_are_not_declared_are_kept_for_all_rows_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "SLICE_RECORDS", 2)
    records = json_records('{"a": 1}\n{"a": 2}\n{"Z": 3, "y": 4}\n', columns("a", "m"))
    batches = list(records.batches)
    assert [column.name for column in records.columns] == ["a", "m", "z", "y"]
    assert records.notes == {"undeclared_columns": "z, y", "missing_columns": "m"}
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert [row for batch in batches for row in batch.to_pylist()] == [
        {"a": "1", "m": None, "z": None, "y": None},
        {"a": "2", "m": None, "z": None, "y": None},
        {"a": None, "m": None, "z": "3", "y": "4"},
    ]


@pytest.mark.parametrize("text", ["[]", " [ ] ", "\n\n", "\ufeff"])
def test_no_records_are_a_file_of_no_rows(text: str) -> None:
    records = json_records(text, columns("a"), missing="reject")
    assert (list(records.batches), records.columns, records.notes) == ([], columns("a"), {})


@pytest.mark.parametrize(
    ("text", "code", "row", "column"),
    [
        ("", "empty_file", None, None),
        ('{"a": 1}\n{"a": }', "json_invalid", 2, None),
        ('{"a": 1} {"a": 2}', "json_invalid", 1, None),
        ('{\n"a": 1\n}', "json_invalid", 1, None),
        ('[{"a": 1}, {"a": 2}, {"a": }]', "json_invalid", 3, None),
        ('[{"a": 1}', "json_invalid", 2, None),
        ('[{"a": 1}]]', "json_invalid", 2, None),
        ('{"a": NaN}', "json_invalid", 1, None),
        ('{"a": 01}', "json_invalid", 1, None),
        ('{"": 1}', "json_invalid", 1, None),
        ('{"a": "\\ud83d x"}', "json_invalid", 1, None),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "json_invalid", 1, None),
        ("[" + "[" * 100_000 + "]" * 100_000 + "]", "json_invalid", 1, None),
        (b'{"a": 1}\n{"a": "\xff"}', "not_utf8", 2, None),
        ('{"a": 1}\n5', "json_not_object", 2, None),
        ('[{"a": 1}, null]', "json_not_object", 2, None),
        ('[["a"]]', "json_not_object", 1, None),
        ('{"a": 1}\n{"a": 1, "b": 2, "A": 3}', "duplicate_field", 2, "a"),
        ('{"a": 1, "b": {"c": 1}, "b": 2}', "duplicate_field", 1, "b"),
        ('{"a": 1, "\\u0061": 2}', "duplicate_field", 1, "a"),
    ],
)
def test_a_file_that_is_not_sound_is_rejected_with_its_place(
    text: str | bytes, code: str, row: int | None, column: str | None
) -> None:
    with pytest.raises(RejectedLoadError) as caught:
        json_rows(text)
    assert (caught.value.code, caught.value.row, caught.value.column) == (code, row, column)


ROW_OF_TWO = {"a": "1", "é": " x "}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,", " : ")], ids=["compact", "spaced", "loose"])
@pytest.mark.parametrize("name", ["a", "A", "\\u0061", "é", "\\u00e9"])
def test_a_field_twice_is_found_however_the_file_is_written(name: str, separators: tuple[str, str]) -> None:
    comma, colon = separators
    sound = f'{{"a"{colon}1{comma}"é"{colon}" x "}}'
    broken = f'{{"a"{colon}1{comma}"é"{colon}2{comma}"{name}"{colon}3}}'
    assert json_rows(f"{sound}\n{{}}\n{sound}") == [ROW_OF_TWO, {"a": None, "é": None}, ROW_OF_TWO]
    with pytest.raises(RejectedLoadError) as caught:
        json_rows(f"{sound}\n{broken}")
    assert (caught.value.code, caught.value.row) == ("duplicate_field", 2)


def test_names_with_escapes_and_blanks_are_names() -> None:
    assert json_rows('{"\\u0061": 1, "b c": 2}\n{"B C": 3, "a": "  "}') == [
        {"a": "1", "b c": "2"},
        {"a": "  ", "b c": "3"},
    ]


def test_escapes_are_undone_only_where_a_text_has_them() -> None:
    assert json_rows(
        r'{"a": "x\ny"}{"a": "\\"}{"a": "z"}{"a": 5}{"a": "\ud83d\udd25"}{"a": null}'.replace("}{", "}\n{")
    ) == [{"a": text} for text in ("x\ny", "\\", "z", "5", "🔥", None)]


def test_a_name_twice_in_a_nested_object_stays_and_is_noted_with_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "SLICE_RECORDS", 2)
    monkeypatch.setattr(json_fields, "_VALUES_AT_ONCE", 1)
    sound, broken = '{"a": [{"b": 1}, {"b": 1.0}]}', '{"a": [{"b": 1, "c": {}, "b": 2}]}'
    records = json_records(f"{sound}\n{sound}\n{sound}\n{broken}\n{broken}")
    rows = [row["a"] for batch in records.batches for row in batch.to_pylist()]
    assert rows == ['[{"b": 1}, {"b": 1.0}]'] * 3 + ['[{"b": 1, "c": {}, "b": 2}]'] * 2
    assert records.notes["duplicate_keys"] == "a ('b' in record 4)"


def test_a_name_twice_is_found_beside_an_escaped_text_that_looks_like_a_name() -> None:
    assert _notes(r'{"a": {"b": "\u0022:", "c": 1, "c": 2}}')["duplicate_keys"] == "a ('c' in record 1)"
    assert _notes(r'{"a": {"b": "\"\u003a", "c": 1, "c": 2}}')["duplicate_keys"] == "a ('c' in record 1)"


def test_a_number_that_no_float_holds_keeps_its_digits_beside_a_name_twice() -> None:
    assert json_rows('{"a": {"b": 1e999, "c": 0.10000000000000000000001}}') == [
        {"a": '{"b": 1e999, "c": 0.10000000000000000000001}'}
    ]
    assert _notes('{"a": {"b": 1e999, "b": 2}}')["duplicate_keys"] == "a ('b' in record 1)"


def test_values_of_several_json_types_in_one_column_are_noted() -> None:
    text = '{"a": 1, "b": true, "c": null, "d": {}}\n{"a": "1", "b": false, "c": 2.5, "d": []}\n{"a": -1}'
    assert _notes(text) == {"mixed_types": "a (number, string), d (array, object)", "undeclared_columns": "a, b, c, d"}


def test_a_number_of_any_length_is_text() -> None:
    digits = "9" * (sys.get_int_max_str_digits() + 1)
    assert json_rows(f'{{"a": {digits}}}') == [{"a": digits}]


def test_a_file_too_large_to_hold_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "MAX_JSON_BYTES", 10)
    assert json_rows('{"a": 123}') == [{"a": "123"}]
    with pytest.raises(RejectedLoadError) as caught:
        json_rows('{"a": 1234}')
    assert caught.value.code == "file_too_large"


def test_fields_are_rejected_where_the_declaration_has_to_be_met() -> None:
    with pytest.raises(RejectedLoadError, match="not declared"):
        json_records('{"a": 1, "b": 2}', columns("a"), undeclared="reject")
    with pytest.raises(RejectedLoadError, match="lacks"):
        json_records('{"a": 1}', columns("a", "b"), missing="reject")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
PAIRS = st.recursive(
    st.sampled_from(["1", "null", '"\\":"', '":"', '"\\u0022:"', "[]"]),
    lambda inner: (
        st.lists(st.tuples(st.sampled_from(["x", "y", "\\u0078"]), inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
        )
        | st.lists(inner, max_size=2).map(lambda values: f"[{','.join(values)}]")
    ),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), max_size=5)


@settings(max_examples=80, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS, st.booleans(), st.booleans())
def test_what_pythons_json_writes_is_read_back(records: list[dict[str, Any]], is_array: bool, is_ascii: bool) -> None:  # noqa: FBT001 - Hypothesis hands them over
    texts = [json.dumps(record, ensure_ascii=is_ascii) for record in records]
    text = f"[{','.join(texts)}]" if is_array else "\n".join([*texts, ""])
    if not text:
        return
    kept = [Column(name, "json") for name in "abc"]
    rows = [{name: value and json.loads(value) for name, value in row.items()} for row in json_rows(text, kept)]
    assert rows == [{name: record.get(name) for name in "abc"} for record in records]


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_a_name_twice_is_noted_where_python_finds_one_and_nowhere_else(values: list[str]) -> None:
    found: list[bool] = []
    for value in values:
        json.loads(value, object_pairs_hook=lambda pairs: found.append(len({name for name, _ in pairs}) < len(pairs)))
    notes = _notes("\n".join(f'{{"a":{value}}}' for value in values))
    assert ("duplicate_keys" in notes) == any(found)


TYPES = {"a": "string", "B": "int32", "c": "json", "d": "decimal128(20, 4)", "e": "bool", "f": "timestamp[us]"}
TEXTS = st.sampled_from(
    [
        "null",
        "0",
        "-0",
        "1.50",
        "1e2",
        "2147483648",
        "true",
        '"x"',
        '"caf\\u00e9 \\n"',
        '"2024-03-01"',
        '{"k":1,"k":2}',
        "[{}]",
    ]
)
FIELDS = st.lists(st.tuples(st.sampled_from(["a", "b", "B", "c", "d", "e", "f", "other"]), TEXTS), max_size=4)


@settings(max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FIELDS, min_size=1, max_size=4))
@example([[("a", '"x"'), ("b", "1")], [("a", '"y"'), ("a", '"z"')]])
@example([[("c", '"x"'), ("B", "1"), ("b", "2")]])
@example([[("e", "true"), ("f", '"2024-03-01"')], [("d", "1.50")]])
def test_plain_records_are_what_they_are_field_by_field(records: list[list[tuple[str, str]]]) -> None:
    text = "\n".join("{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}" for fields in records)
    declared = [Column(name.lower(), kind) for name, kind in TYPES.items()]
    plain = _converted(text, declared, typed=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_parser, "plain_records", lambda *_: None)
        assert plain == _converted(text, declared, typed=False)


def test_records_as_programs_write_them_are_plain() -> None:
    text = b'{"A":"x","n":1,"t":true,"o":{"k":[1.50]}}\n{"n":2,"A":null}'
    records = plain_records(
        _slice(text), [Column("a", "string"), Column("n", "int64"), Column("t", "bool"), Column("z", "int8")]
    )
    assert records is not None
    assert {name: [*map(str, values)] for name, values in records.values.items() if not isinstance(values, list)} == {
        "A": ["x", "None"],
        "n": ["1", "2"],
        "t": ["True", "None"],
    }
    assert [bytes(value) for value in records.values["o"]] == [b'{"k":[1.50]}', b"null"]


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '{"a":1,"a":2}', '{"a":1}\r\n{"a":2}', '[{"a":1}]', '{"a":1', '{"a":1,"A":1}']
)
def test_anything_else_is_not(text: str) -> None:
    assert plain_records(_slice(text.encode()), ()) is None


def _slice(text: bytes) -> json_slices.Slice:
    [piece] = json_slices.slices(io.BytesIO(text))
    return piece


def _converted(text: str, declared: list[Column], *, typed: bool) -> object:
    """Return rows, notes and failures, or the rejection."""
    try:
        records = json_records(text, declared, typed=typed)
        conversions = [Converter(records.columns).convert(batch, 1) for batch in records.batches]
    except RejectedLoadError as error:
        return (error.code, error.row, error.column)
    rows = [(conversion.rows.to_pylist(), conversion.failures) for conversion in conversions]
    return (rows, records.columns, records.notes)


def _notes(text: str) -> dict[str, str]:
    records = json_records(text)
    assert list(records.batches)
    return records.notes
