"""Strategies that draw generations of a table: the files that Cubic might deliver, in any order and in any cut.

The pools of keys, sequences and times are small, so that what is rare in production happens in most examples: equal
sequences, pairs cut into two files, moves onto live keys and from keys that have no row, orphans, late deletes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from cubic_ingestion_tests.products.interpreter import ChangeFile, Generation, LoadFile, Row

DAY = datetime(2022, 3, 4)  # noqa: DTZ001 - times in Springboard have no zone
LONG = "x" * 40
HEADER = ("header__change_seq", "header__change_oper", "header__timestamp")
VALUES: dict[str, pa.DataType] = {"amount": pa.int64(), "note": pa.string()}
KEYS: Sequence[dict[str, tuple[pa.DataType, Sequence[Any]]]] = (
    {"id": (pa.int64(), [1, 2, 3, 4])},
    {"id": (pa.int64(), [1, 2, 3, None])},
    {"id": (pa.decimal128(38, 0), [Decimal(10**38 - 1), Decimal(10**38 - 2), Decimal(-(10**38) + 1), None])},
    {"id": (pa.string(), [LONG + "a", LONG + "b", LONG, "", None])},
    {"id": (pa.int64(), [1, None]), "part": (pa.string(), ["a", "b", None])},
)
"""Key columns with their types and the values that occur in them."""


@dataclass(frozen=True)
class Stream:
    """A generation, the types of its columns, and the order in which its files come and go."""

    generation: Generation
    types: dict[str, pa.DataType]
    """Types of the columns of the base table."""
    steps: Sequence[Sequence[LoadFile | ChangeFile]]
    """Files that arrive together. A file that arrives a second time leaves then."""


def moment(number: int) -> datetime:
    """Return one of few times."""
    return DAY + timedelta(minutes=number)


def sequence(number: int) -> str:
    """Return a sequence as Qlik writes it: 35 digits."""
    return f"2022030400000000{number:019d}"


def mask_of(columns: Sequence[str], supplied: Sequence[str]) -> str:
    """Return the mask in which the bits of some columns are set."""
    bits = sum(1 << list(columns).index(column) for column in supplied)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex().upper()


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Draw a stream in which every file is there at the end, except those that leave."""
    pools = draw(st.sampled_from(KEYS))
    key = tuple(pools)
    columns = (*key, *VALUES)
    keys = st.fixed_dictionaries({name: st.sampled_from(pool) for name, (_, pool) in pools.items()})
    loads = draw(_load_files(keys))
    changes = draw(_change_files(keys, key))
    leaving = draw(st.lists(st.sampled_from(changes), max_size=2, unique_by=id)) if changes else []
    generation = Generation(
        key,
        columns,
        loads,
        [file for file in changes if not any(file is each for each in leaving)],
        is_full_image=draw(st.booleans()),
        snapshot_at=draw(st.sampled_from([None, None, moment(0), moment(2)])),
    )
    types = {name: kind for name, (kind, _) in pools.items()} | VALUES
    files = draw(st.permutations([*loads, *changes]))
    cuts = sorted(draw(st.sets(st.integers(1, max(len(files) - 1, 1)), max_size=4)))
    steps = [files[start:end] for start, end in zip([0, *cuts], [*cuts, len(files)], strict=True)]
    return Stream(generation, types, [*steps, *([file] for file in leaving)])


def long_stream(random: Random) -> Stream:
    """Make a stream of thousands of events on hundreds of keys, which arrives in some ten steps."""
    layout = (*HEADER, "id", *VALUES)
    loads = [LoadFile(moment(0), 1, 0, [_event(random, key) for key in random.sample(range(200), 100)])]
    changes: list[ChangeFile] = []
    for number in range(40):
        rows: list[Row] = []
        while len(rows) < 100:
            seq = sequence(number * 50 + random.randrange(100))
            for operation in random.choice(["I", "U", "U", "D", "BU", "BU", "BBUU", "B"]):
                header = (seq, operation, moment(random.randrange(60)))
                rows.append(dict(zip(HEADER, header, strict=True)) | _event(random, random.randrange(200)))
        changes.append(ChangeFile(moment(number // 2), f"{number}.csv.gz", 10 + number, layout, rows))
    files = [*loads, *changes]
    random.shuffle(files)
    generation = Generation(("id",), ("id", *VALUES), loads, changes)
    return Stream(generation, {"id": pa.int64()} | VALUES, [files[start : start + 4] for start in range(0, 41, 4)])


def _event(random: Random, key: int) -> Row:
    return {"id": key, "amount": random.choice([None, 1, 2, 3]), "note": random.choice([None, "a", "b"])}


def _values() -> dict[str, st.SearchStrategy[Any]]:
    return {"amount": st.sampled_from([None, 1, 2]), "note": st.sampled_from([None, "", "a"])}


@st.composite
def _load_files(draw: st.DrawFn, keys: st.SearchStrategy[Row]) -> list[LoadFile]:
    files: list[LoadFile] = []
    for load_id in range(draw(st.integers(0, 2))):
        names = draw(st.sets(st.sampled_from(list(VALUES))))
        values = st.fixed_dictionaries({name: each for name, each in _values().items() if name in names})
        rows = draw(st.lists(st.tuples(keys, values).map(lambda parts: parts[0] | parts[1]), max_size=4))
        files.append(LoadFile(moment(draw(st.integers(0, 1))), load_id + 1, load_id, rows))
    return files


@st.composite
def _change_files(draw: st.DrawFn, keys: st.SearchStrategy[Row], key: Sequence[str]) -> list[ChangeFile]:
    n_files = draw(st.integers(1, 5))
    contents: list[list[Row]] = [[] for _ in range(n_files)]
    layouts = [draw(_layouts(key)) for _ in range(n_files)]
    file = st.integers(0, n_files - 1)
    for _ in range(draw(st.integers(3, 12))):
        seq = sequence(draw(st.integers(1, 4)))
        what = draw(st.sampled_from("IUUDDBMMMM"))
        for operation in "BU" if what == "M" else what:  # M moves a row, or only updates it, with a pair
            number = draw(file)
            contents[number].append(draw(_changes(keys, layouts[number], operation, seq)))
    if draw(st.sampled_from([False] * 9 + [True])):
        unknown = draw(st.sampled_from([("T", sequence(1)), ("I", None), ("L", sequence(2))]))
        contents[0].append(draw(_changes(keys, layouts[0], *unknown)))
    times, prefixes = st.integers(0, 4).map(moment), st.integers(0, 9)
    return [
        ChangeFile(draw(times), f"{draw(prefixes)}-{number}.csv.gz", 10 + number, layouts[number], contents[number])
        for number in range(n_files)
    ]


@st.composite
def _layouts(draw: st.DrawFn, key: Sequence[str]) -> tuple[str, ...]:
    """Draw the columns of a change file, in any order after the header."""
    mask = draw(st.sampled_from([(), (), ("header__change_mask",)]))
    values = draw(st.sets(st.sampled_from(list(VALUES)))) if draw(st.booleans()) else set(VALUES)
    return (*HEADER, *mask, *draw(st.permutations([*key, *sorted(values)])))


@st.composite
def _changes(
    draw: st.DrawFn, keys: st.SearchStrategy[Row], layout: Sequence[str], operation: str, seq: str | None
) -> Row:
    times = st.sampled_from([None, *map(moment, range(5))])
    row = {"header__change_seq": seq, "header__change_oper": operation, "header__timestamp": draw(times)} | draw(keys)
    row |= {name: draw(values) for name, values in _values().items() if name in layout}
    if "header__change_mask" in layout:
        supplied = draw(st.sets(st.sampled_from(layout)))
        row["header__change_mask"] = draw(st.sampled_from([None, mask_of(layout, sorted(supplied))]))
    return row
