"""What the warehouse uses of pyiceberg that begins with an underscore, or that its documentation does not promise.

If one of these tests fails after an upgrade, look at ``warehouse/file_swap.py`` and the catalogs before you raise the
version.
"""

import inspect
from operator import attrgetter

import pyiceberg
import pytest
from pyiceberg import table as tables
from pyiceberg.catalog import glue, sql
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import snapshot
from pyiceberg.types import DecimalType

from cubic_ingestion.errors import CommitConflictError
from cubic_ingestion.ports import Warehouse, WarehouseTable
from cubic_ingestion.warehouse.data_files import added_file, removed_file
from cubic_ingestion.warehouse.file_swap import MAX_MANIFESTS
from cubic_ingestion.warehouse.iceberg_table import IcebergTable
from cubic_ingestion_tests.warehouse.warehouses import SCHEMA, a_file, filled, ids_of, numbered, reopened


def _iceberg(table: WarehouseTable) -> Table:
    assert isinstance(table, IcebergTable)
    return table.iceberg


def _n_manifests(table: Table) -> int:
    current = table.current_snapshot()
    assert current is not None
    return len(current.manifests(table.io))


def test_the_version_is_the_one_that_this_was_written_for() -> None:
    assert pyiceberg.__version__.startswith("0.12.")


@pytest.mark.parametrize(
    ("module", "function", "parameters"),
    [
        (snapshot, "_OverwriteFiles.__init__", "operation transaction io commit_uuid snapshot_properties branch"),
        (snapshot, "_OverwriteFiles._process_manifests", "manifests"),
        (
            snapshot,
            "_ManifestMergeManager.__init__",
            "target_size_bytes min_count_to_merge merge_enabled snapshot_producer",
        ),
        (snapshot, "_ManifestMergeManager.merge_manifests", "manifests"),
        (tables, "Transaction._stage", "updates requirements"),
        (tables, "Table.__init__", "identifier metadata metadata_location io catalog config"),
        (sql, "SqlCatalog._load_file_io", "properties location"),
        (glue, "GlueCatalog._load_file_io", "properties location"),
        (glue, "GlueCatalog.__init__", "name client properties"),
    ],
)
def test_a_function_takes_what_we_give_it(module: object, function: str, parameters: str) -> None:
    found = inspect.signature(attrgetter(function)(module)).parameters

    assert [*found] == ["self", *parameters.split()]


def test_the_metadata_of_a_transaction_depends_on_its_updates_alone() -> None:
    source = inspect.getsource(Transaction.table_metadata.fget)  # pyright: ignore[reportArgumentType] - it has one

    assert "update_table_metadata(self._table.metadata, self._updates)" in source


def test_a_data_file_is_known_by_its_path_and_needs_its_spec_set() -> None:
    one, other = DataFile.from_args(file_path="a", record_count=1), DataFile.from_args(file_path="a", record_count=2)

    assert one == other
    with pytest.raises(AttributeError):
        assert one.spec_id


def test_pyicebergs_own_check_still_lets_a_decimal_change_its_scale() -> None:
    """When this fails, the guard in ``iceberg_schema`` may be simplified."""
    from pyiceberg.schema import promote

    assert promote(DecimalType(5, 2), DecimalType(6, 3)) == DecimalType(6, 3)


def test_pyicebergs_own_overwrite_still_keeps_a_manifest_per_commit_and_ours_does_not(local: Warehouse) -> None:
    """When the second half fails, ``FileSwap`` may be simplified."""
    table = local.create("sample", SCHEMA)
    for number in range(12):
        table = table.commit(add=[a_file(table, numbered(number))], remove=table.files(), properties={})
    assert _n_manifests(_iceberg(table)) == 2

    theirs, (old,) = _iceberg(table), table.files()
    for number in range(12):
        new = a_file(table, numbered(number))
        with theirs.transaction() as transaction, transaction.update_snapshot().overwrite() as swap:
            swap.delete_data_file(removed_file(local.bucket, old))
            swap.append_data_file(added_file(local.bucket, new, theirs.schema(), theirs.properties))
        old = new
    assert _n_manifests(theirs) > 12


def test_small_manifests_are_merged(local: Warehouse) -> None:
    table = local.create("sample", SCHEMA)
    for number in range(3 * MAX_MANIFESTS):
        table = filled(table, numbered(number))

    assert _n_manifests(_iceberg(table)) < MAX_MANIFESTS
    assert ids_of(local, table) == [*range(3 * MAX_MANIFESTS)]


def test_a_commit_that_succeeded_though_it_was_refused_counts_and_loses_no_file(
    local: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Glue's client repeats a request after a lost answer, and Glue refuses the second one."""
    table = filled(local.create("sample", SCHEMA), numbered(1))
    commit_table = SqlCatalog.commit_table

    def lost_answer(*arguments: object, **named: object) -> None:
        commit_table(*arguments, **named)  # pyright: ignore[reportArgumentType] - passed on as they came
        raise CommitFailedException("another version stands there")

    with monkeypatch.context() as patch:
        patch.setattr(SqlCatalog, "commit_table", lost_answer)
        committed = filled(table, numbered(2))

    assert ids_of(local, committed) == ids_of(local, reopened(local)) == [1, 2]
    with pytest.raises(CommitConflictError):
        filled(table, numbered(2))
