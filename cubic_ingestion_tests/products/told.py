"""Short words for files of a table with the columns ``id``, ``amount`` and ``note``, and for what becomes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cubic_ingestion.products.law import TableLaw
from cubic_ingestion_tests.products.interpreter import ChangeFile, Generation, LoadFile, Row, interpret
from cubic_ingestion_tests.products.shelf import File, Shelf
from cubic_ingestion_tests.products.streams import HEADER, VALUES, moment, sequence

TYPES: dict[str, pa.DataType] = {"id": pa.int64(), **VALUES}
COMPOUND: dict[str, pa.DataType] = {"id": pa.int64(), "part": pa.string(), "amount": pa.int64()}


def change(oper: str, seq: int | None, minute: int | None = 0, **values: Any) -> Row:
    """Build a row of a change file. The minute is that of ``header__timestamp``."""
    return {
        "header__change_seq": None if seq is None else sequence(seq),
        "header__change_oper": oper,
        "header__timestamp": None if minute is None else moment(minute),
    } | values


def a_load(*rows: Row, minute: int = 0, counter: int = 1, load_id: int = 0) -> LoadFile:
    """Build a LOAD file."""
    return LoadFile(moment(minute), counter, load_id, rows)


def a_file(*rows: Row, minute: int = 1, name: str = "", load_id: int = 10, columns: Sequence[str] = ()) -> ChangeFile:
    """Build a change file. Unless its columns are given, they are those that its rows have."""
    columns = columns or list(dict.fromkeys([*HEADER, *(column for row in rows for column in row)]))
    return ChangeFile(moment(minute), name or f"{load_id}.csv.gz", load_id, columns, rows)


def become(
    *steps: File | Sequence[File],
    key: Sequence[str] = ("id",),
    types: Mapping[str, pa.DataType] = TYPES,
    **options: Any,
) -> Shelf:
    """Return the shelf after some steps, and make sure that it has the rows of the law.

    Args:
        steps: Files, each of which arrives alone, or lists of files that arrive together.
        key: Key columns.
        types: Types of the columns of the base table.
        options: ``is_full_image``, ``snapshot_at``.
    """
    merges = [step if isinstance(step, Sequence) else [step] for step in steps]
    law = TableLaw(key, list(types), is_full_image=options.get("is_full_image", False))
    shelf = Shelf(law, types, snapshot_at=options.get("snapshot_at"))
    for merge in merges:
        shelf.step(merge)
    files = [file for merge in merges for file in merge]
    loads = [file for file in files if isinstance(file, LoadFile)]
    changes = [file for file in files if isinstance(file, ChangeFile)]
    expected = interpret(Generation(key, list(types), loads, changes, **options))
    assert shelf.by_key() == expected.rows
    assert shelf.orphans() == expected.orphans
    assert shelf.refused == expected.refused_loads
    assert shelf.duplicate_keys() == expected.duplicate_keys
    return shelf


def values(shelf: Shelf, *columns: str) -> dict[Any, Any]:
    """Return some columns of the rows by key. A single column or key column is not wrapped."""
    return {
        _bare(key): _bare(tuple(row[column] for column in columns or ("amount",)))
        for key, row in shelf.by_key().items()
    }


def _bare(parts: tuple[Any, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts
