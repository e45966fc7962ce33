"""JSON files slice by slice: the same rows as at once, in little memory, and up to limits that are told before that."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError, RetriableError
from cubic_ingestion.parsing import json_fields, json_parser, json_records, json_slices, matching
from cubic_ingestion.parsing.json_records import read_json
from cubic_ingestion_tests.parsing.reading import columns, json_rows, rows

DECLARED = (Column("a", "int64"), Column("b", "json"), Column("c", "string"))
TEXTS = st.sampled_from(
    [
        "1",
        "null",
        "1.50",
        '"x"',
        '"1"',
        '"\\n}],[{"',
        '"\\\\"',
        '"é🔥"',
        "[]",
        '[[{"k":[1,{"k":[2]}]}],{}]',
        '{"k":1,"k":2}',
    ]
)
FIELDS = st.lists(st.tuples(st.sampled_from(["a", "A", "b", "c", "d", "é", "\\u0061"]), TEXTS), max_size=4)
RECORDS = FIELDS.map(lambda fields: "{" + ",".join(f'"{name}":{text}' for name, text in fields) + "}")
OTHERS = st.sampled_from(["{}", " {} ", "", " ", "5", "null", '{"a":1', '"', "]", "[1]", '{"a": 1,\t"b": {}}', "{}{}"])
JOINED = {"lines": "\n{}", "returns": "\r{}", "both": "\r\n{}", "array": ",{}", "loose": " ,\n {}"}


@dataclass(frozen=True)
class Sizes:
    """How a file is cut."""

    slice_bytes: int
    slice_records: int
    kept_bytes: int
    rows_cells: int


SIZES = st.builds(
    Sizes,
    st.sampled_from([1, 5, 20, 100]),
    st.sampled_from([1, 2, 100]),
    st.sampled_from([0, 200]),
    st.sampled_from([1, 5]),
)


def outcome(data: bytes, *, typed: bool) -> object:
    """Return the rows and what is noted of them, or why there are none."""
    try:
        records = read_json(io.BytesIO(data), columns=DECLARED, typed=typed)
        found = rows(records)
    except RejectedLoadError as error:
        return error.code
    return found, records.columns, records.notes


def cut(patch: pytest.MonkeyPatch, sizes: Sizes) -> None:
    """Have files cut otherwise."""
    patch.setattr(json_slices, "SLICE_BYTES", sizes.slice_bytes)
    patch.setattr(json_slices, "SLICE_RECORDS", sizes.slice_records)
    patch.setattr(json_records, "KEPT_BYTES", sizes.kept_bytes)
    patch.setattr(json_parser, "ROWS_CELLS", sizes.rows_cells)


@settings(max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=st.lists(st.one_of(RECORDS, RECORDS, RECORDS, OTHERS), max_size=7),
    joined=st.sampled_from([*JOINED]),
    sizes=SIZES,
    typed=st.booleans(),
)
@example(records=['{"a":1}', "", '{"a":2}'], joined="array", sizes=Sizes(1, 1, 0, 1), typed=True)
@example(records=['{"a":1}', ""], joined="array", sizes=Sizes(1, 1, 0, 1), typed=True)
@example(records=['{"a":1}', '{"A":2}', '{"d":2}'], joined="lines", sizes=Sizes(5, 1, 0, 1), typed=True)
def test_a_file_has_the_same_rows_however_it_is_cut(
    records: list[str],
    joined: str,
    sizes: Sizes,
    typed: bool,  # noqa: FBT001 - Hypothesis hands them over
) -> None:
    between = JOINED[joined]
    text = "".join(between.format(record) for record in records)
    is_array = "," in between
    data = (f" [{text.strip().removeprefix(',')}]\n" if is_array else text).encode()
    expected = outcome(data, typed=typed)
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, sizes)
        found = outcome(data, typed=typed)
    is_rejected = isinstance(expected, str)  # of several things that are wrong, the first slice's is told
    assert isinstance(found, str) if is_rejected else found == expected


@pytest.mark.parametrize("text", ['[{"a":1},{"a":2},{"a":}]', '{"a":1}\n{"a":2}\n{"a":}', '[{"a":1},{"a":2},,{"a":3}]'])
def test_a_record_that_is_not_sound_is_named_in_whichever_slice_it_is(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, Sizes(1, 1, 0, 1))
    with pytest.raises(RejectedLoadError) as caught:
        json_rows(text)
    assert (caught.value.code, caught.value.row) == ("json_invalid", 3)


def test_the_line_that_is_not_utf8_is_named_in_whichever_slice_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, Sizes(1, 1, 0, 1))
    for text in (b'\n\n{"a":1}\n\n{"a":"\xff"}\n', b'\n\n[{"a":1}\n,\n{"a":"\xff"}]\n'):
        with pytest.raises(RejectedLoadError) as caught:
            json_rows(text)
        assert (caught.value.code, caught.value.row) == ("not_utf8", 5)


def ordinary(number: int) -> str:
    fields = {
        "id": f"{number:032}",
        "number": number,
        "place": {"stop": number % 900, "name": "Park St"},
        "x": "y" * 300,
    }
    return json.dumps(fields, separators=(",", ":"))


def loose(number: int) -> str:
    return ordinary(number).replace(":", ": ", 1)


def wide(number: int) -> str:
    return json.dumps({f"name{number % 4}_{field}": field for field in range(100)}, separators=(",", ":"))


def tiny(number: int) -> str:
    return f'{{"a":{number % 10}}}'


@pytest.mark.slow
@pytest.mark.parametrize("record", [ordinary, loose, wide, tiny])
@pytest.mark.parametrize(("start", "between", "end"), [("", "\n", "\n"), ("[", ",", "]")], ids=["lines", "array"])
def test_a_file_takes_less_memory_than_it_has_bytes(
    record: Callable[[int], str], start: str, between: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_bytes = 2 << 20
    monkeypatch.setattr(json_slices, "SLICE_BYTES", 8 << 10)
    monkeypatch.setattr(json_records, "KEPT_BYTES", 8 << 10)
    n_records = n_bytes // (len(record(1)) + 1)
    body = io.BytesIO(f"{start}{between.join(map(record, range(n_records)))}{end}".encode())
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        n_rows = sum(batch.num_rows for batch in read_json(body, columns=DECLARED, typed=True).batches)
        peak_bytes = tracemalloc.get_traced_memory()[1] + (pool.max_memory() or 0)
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
    assert n_rows == n_records
    assert peak_bytes < n_bytes


def test_a_file_that_is_changed_between_its_two_readings_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, Sizes(1, 1, 0, 1))
    body = io.BytesIO(b'{"a":1}\n{"b":2}\n')
    records = read_json(body, columns=())
    body.getbuffer()[:] = b'{"a":1}\n{"c":2}\n'
    with pytest.raises(RetriableError, match="changed while it was read"):
        rows(records)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('{"a":1}\n{"a":"%s"}\n', 2),
        ('{"a":1}\n{"a":"%s"}', 2),
        ('[{"a":1},{"a":"%s"}]', 2),
        ('[{"a":1},{"a":"%s"},{}]', 2),
        ('{"a":"%s"}', 1),
    ],
)
def test_a_record_that_is_too_large_is_told_from_its_first_bytes(
    text: str, row: int, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, Sizes(16, 10, 0, 1))
    monkeypatch.setattr(json_slices, "MAX_RECORD_BYTES", 100)
    assert json_rows(pack((text % ("x" * 80)).encode()))[row - 1]["a"] == "x" * 80
    with pytest.raises(RejectedLoadError) as caught:
        json_rows(pack((text % ("x" * 10_000)).encode()))
    assert (caught.value.code, caught.value.row) == ("record_too_large", row)


def test_a_record_with_too_many_fields_is_never_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, Sizes(100, 10, 0, 1))
    monkeypatch.setattr(json_parser, "MAX_JSON_COLUMNS", 10)
    monkeypatch.setattr(matching, "MAX_JSON_COLUMNS", 10)
    sound = json.dumps({f"f{at}": {"a": [1, 2, "},{"], "b": "," * 20} for at in range(10)})
    assert len(json_rows(sound)[0]) == 10
    monkeypatch.setattr(json_parser, "record_fields", None)
    for text in (
        json.dumps(dict.fromkeys(map(str, range(20)), "x" * 20)),
        json.dumps([dict.fromkeys("abcdefghijk", ",{")]),
    ):
        with pytest.raises(RejectedLoadError) as caught:
            json_rows(text + " " * 100)
        assert (caught.value.code, caught.value.row) == ("too_many_columns", 1)


def test_a_wide_file_must_not_have_many_records_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "WIDE_COLUMNS", 2)
    monkeypatch.setattr(matching, "MAX_WIDE_CELLS", 6)
    assert len(json_rows('{"a":1}\n{"b":1}\n' * 10)) == 20
    assert len(json_rows('{"a":1}\n{"b":1,"c":1}')) == 2
    with pytest.raises(RejectedLoadError, match="3 columns; in 3 records that makes more than 6") as caught:
        json_rows('{"a":1}\n{"b":1}\n{"c":1}')
    assert caught.value.code == "too_many_columns"


def test_a_value_of_too_many_parts_is_kept_and_noted_as_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_fields, "_MAX_PARTS", 10)
    large = '{"k":[1,2,3,4,5,6,7,8,9],"k":1}'
    found, _, notes = _read(f'{{"a":{{"j":1}}}}\n{{"a":{large}}}\n{{"a":{{"j":1,"j":2}}}}', columns("a"))
    assert found[1] == {"a": large}
    assert notes == {"duplicate_keys": "a ('j' in record 3)", "too_large_to_look_into": "a (record 2)"}


def _read(text: str, declared: Sequence[Column]) -> tuple[list[dict[str, object]], Sequence[Column], dict[str, str]]:
    records = read_json(io.BytesIO(text.encode()), columns=declared)
    return rows(records), records.columns, records.notes
