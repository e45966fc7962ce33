"""Columns are added, widened and replaced in the commit that needs them, and nothing old is read wrongly."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from cubic_ingestion.errors import CommitConflictError
from cubic_ingestion.ports import PartitionField, UnpromotableError, Warehouse, WarehouseTable
from cubic_ingestion_tests.warehouse.warehouses import (
    SCHEMA,
    a_file,
    filled,
    in_duckdb,
    numbered,
    reopened,
    rows_of,
)

PROMOTIONS = [
    (pa.int32(), pa.int64(), 7, 2**40),
    (pa.float32(), pa.float64(), 0.5, 0.1),
    (pa.decimal128(5, 2), pa.decimal128(38, 2), Decimal("1.25"), Decimal("123456789012345678901234567890123456.25")),
]
REWRITES = [
    (pa.int64(), pa.decimal128(20, 0), 7, Decimal(2**64 - 1)),
    (pa.decimal128(5, 2), pa.decimal128(6, 3), Decimal("1.25"), Decimal("1.255")),
    (pa.decimal128(6, 3), pa.decimal128(6, 2), Decimal("1.255"), Decimal("1.25")),
    (pa.decimal128(6, 2), pa.decimal128(5, 2), Decimal("1.25"), Decimal("1.25")),
    (pa.int64(), pa.string(), 7, "seven"),
    (pa.int64(), pa.int32(), 7, 7),
    (pa.timestamp("us"), pa.string(), None, "never"),
]


def _one(kind: pa.DataType, value: Any) -> pa.Table:
    return pa.table({"value": pa.array([value], kind)})


def _with_iceberg(table: WarehouseTable, snapshot_id: int | None = None) -> list[Any]:
    """Read a table by pyiceberg alone, as a person does."""
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.table import Table

    known: Table = table.iceberg  # pyright: ignore[reportAttributeAccessIssue] - the adapter has it
    plain = Table(known.name(), known.metadata, known.metadata_location, PyArrowFileIO(), known.catalog)
    return plain.scan(snapshot_id=snapshot_id).to_arrow().column("value").to_pylist()


@pytest.mark.parametrize(("old", "new", "before", "after"), PROMOTIONS, ids=str)
def test_a_promotion_rewrites_no_file(
    local: Warehouse, old: pa.DataType, new: pa.DataType, before: Any, after: Any
) -> None:
    table = filled(local.create("sample", pa.schema([("value", old)])), _one(old, before))
    wide = pa.schema([("value", new)])
    file = a_file(table, _one(new, after), schema=wide)

    table = table.commit(add=[file], remove=[], properties={}, schema=wide)

    assert table.schema == reopened(local).schema == wide
    assert len(table.files()) == 2
    assert set(_with_iceberg(table)) == {before, after}
    assert set(in_duckdb(local, table, "select value from t")) == {(before,), (after,)}


@pytest.mark.parametrize(("old", "new", "before", "after"), REWRITES, ids=str)
def test_any_other_change_of_type_is_refused_by_name_and_possible_by_rewriting_all_files(
    local: Warehouse, old: pa.DataType, new: pa.DataType, before: Any, after: Any
) -> None:
    narrow, wide = pa.schema([("value", old)]), pa.schema([("value", new)])
    before_it = filled(local.create("sample", narrow), _one(old, before))
    assert before_it.snapshot is not None

    with pytest.raises(UnpromotableError) as refused:
        before_it.commit(add=[], remove=[], properties={}, schema=wide)
    assert (refused.value.column, refused.value.stored, refused.value.wanted) == ("value", str(old), str(new))
    assert reopened(local).schema == narrow

    file = a_file(before_it, _one(new, after), schema=wide, replaces_schema=True)
    table = before_it.commit(add=[file], remove=before_it.files(), properties={}, replace_schema=wide)

    assert table.schema == reopened(local).schema == wide
    assert _with_iceberg(table) == [after]
    assert in_duckdb(local, table, "select value from t") == [(after,)]
    assert _with_iceberg(table, before_it.snapshot.id) == [before]


def test_a_new_column_is_null_in_the_files_before_it(warehouse: Warehouse) -> None:
    table = filled(warehouse.create("sample", SCHEMA), numbered(1))
    wider = pa.schema([("sample_name", pa.string()), ('added.at, "ü"', pa.timestamp("us"))])
    rows = pa.table(
        {"sample_id": [2], "sample_name": ["y"], wider.names[1]: [None]}, schema=pa.schema([*SCHEMA, wider.field(1)])
    )

    table = table.commit(
        add=[a_file(table, rows, schema=wider)], remove=[], properties={"cubic.merge": "1"}, schema=wider
    )

    assert table.schema == reopened(warehouse).schema == pa.schema([*SCHEMA, wider.field(1)])
    assert [set(row) for row in rows_of(warehouse, table)] in (
        [set(SCHEMA.names), set(table.schema.names)],
        [set(table.schema.names), set(SCHEMA.names)],
    )
    assert len(filled(table, rows).files()) == 3


def test_a_schema_that_changes_nothing_is_no_change(local: Warehouse) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))

    table = table.commit(add=[], remove=[], properties={}, schema=pa.schema([SCHEMA.field(1)]))

    assert len(table.iceberg.metadata.schemas) == 1  # pyright: ignore[reportAttributeAccessIssue] - the adapter has it


def test_a_column_that_is_replaced_keeps_its_place_and_the_others_their_files_fields(local: Warehouse) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))
    wanted = pa.schema([("sample_id", pa.string()), ("sample_name", pa.string()), ("more", pa.int32())])
    rows = pa.table({"sample_id": ["a"], "sample_name": ["b"], "more": [1]}, schema=wanted)
    file = a_file(table, rows, schema=wanted, replaces_schema=True)

    table = table.commit(add=[file], remove=table.files(), properties={}, replace_schema=wanted)

    assert table.schema == wanted
    ids = {field.name: field.field_id for field in table.iceberg.schema().fields}  # pyright: ignore[reportAttributeAccessIssue] - the adapter has it
    assert ids == {"sample_id": 3, "sample_name": 2, "more": 4}
    assert rows_of(local, table) == rows.to_pylist()


def test_columns_are_not_replaced_while_a_file_has_the_old_ones(local: Warehouse) -> None:
    table = filled(filled(local.create("sample", SCHEMA), numbered(1)), numbered(2))

    with pytest.raises(ValueError, match="has the columns of the schema that is replaced"):
        table.commit(add=[], remove=table.files()[:1], properties={}, replace_schema=pa.schema([SCHEMA.field(0)]))
    with pytest.raises(ValueError, match="not both"):
        table.commit(add=[], remove=[], properties={}, schema=SCHEMA, replace_schema=SCHEMA)


def test_a_partition_column_cannot_be_replaced(local: Warehouse) -> None:
    table = local.create("sample", SCHEMA, [PartitionField("sample_name", "identity")])
    wanted = pa.schema([("sample_id", pa.int64()), ("sample_name", pa.int64())])

    with pytest.raises(UnpromotableError, match="'sample_name'"):
        table.commit(add=[], remove=[], properties={}, replace_schema=wanted)


def test_of_two_writers_that_add_columns_the_second_is_refused(local: Warehouse) -> None:
    mine = filled(local.create("sample", SCHEMA), numbered(1))
    wider = pa.schema([("more", pa.int32())])
    reopened(local).commit(add=[], remove=[], properties={}, schema=pa.schema([("other", pa.int32())]))

    with pytest.raises(CommitConflictError):
        mine.commit(add=[], remove=[], properties={}, schema=wider)

    assert reopened(local).schema.names == [*SCHEMA.names, "other"]


def test_a_type_that_iceberg_lacks_is_refused_by_name(local: Warehouse) -> None:
    with pytest.raises(ValueError, match="Column 'big' has type uint64"):
        local.create("sample", pa.schema([("big", pa.uint64())]))

    assert local.tables() == []
