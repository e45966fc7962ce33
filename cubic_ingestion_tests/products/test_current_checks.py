"""What a check of ``__current`` can tell: its key, what is left out, what is missing, and keys that are there twice."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.domain.product import products_of
from cubic_ingestion.products.checks import CurrentFacts, current_checks
from cubic_ingestion_tests.builders import an_ods_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.current_story import CURRENT, put_changes, put_load
from cubic_ingestion_tests.products.deliveries import open_depot, update

pytestmark = pytest.mark.slow
BASE = an_ods_table()


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with two LOAD files, which have two keys in common."""
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n2,b,\n2,b,\n3,c,\n")
    put_load(depot, 2, "3,cc,\n4,d,\n,no key,\n")
    update(depot)
    return depot


def facts(depot: Depot, *, reads_rows: bool = True) -> CurrentFacts:
    product = products_of(depot.platform.tables.values())[BASE.name]
    return current_checks(depot.platform, product, reads_rows=reads_rows)


def write_over(depot: Depot, change: Callable[[pa.Table], pa.Table]) -> None:
    table = depot.platform.warehouse.open(CURRENT)
    assert table
    (file,) = table.files()
    path = depot.root / "warehouse" / file.key
    rows = pq.read_table(path)
    pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), path, row_group_size=2)


def test_keys_that_are_twice_in_load_files_are_counted_and_once_in_the_product(depot: Depot) -> None:
    assert facts(depot) == CurrentFacts(("sample_id",), {}, None, 2, is_key_unique=True)


def test_rows_are_read_only_if_that_is_asked_for(depot: Depot) -> None:
    assert facts(depot, reads_rows=False) == CurrentFacts(("sample_id",), {}, None, None, is_key_unique=None)


def test_rows_of_a_load_file_that_is_another_one_by_now_are_not_read(depot: Depot) -> None:
    (path, *_) = (depot.root / "springboard").rglob("identifier=LOAD00000001*/*.parquet")
    path.write_bytes(path.read_bytes() + b"more")
    assert facts(depot) == CurrentFacts(("sample_id",), {}, None, None, is_key_unique=None)


def test_what_is_left_out_and_what_is_missing_is_told(depot: Depot) -> None:
    put_changes(depot, "20220304-101500123", "100,T,1,aa,\n")
    put_load(depot, 3, "x,what,\n")
    update(depot)
    found = facts(depot, reads_rows=False)
    assert list(found.refused.values()) == ["a change has the unknown operation 'T'"]
    assert found.lacking
    assert "LOAD00000003.csv.gz" in found.lacking


@pytest.mark.parametrize("places", [[0, 1, 2, 2, 3, 4], [0, 1, 1, 2, 3, 4], [0, 1, 2, 3, 4, 4]])
def test_a_key_that_is_twice_in_the_product_is_told(depot: Depot, places: list[int]) -> None:
    write_over(depot, lambda rows: rows.take(places))
    assert facts(depot).is_key_unique is False


def test_rows_that_are_not_in_key_order_are_told(depot: Depot) -> None:
    write_over(depot, lambda rows: rows.take([1, 0, 2, 3, 4]))
    assert facts(depot).is_key_unique is False


def test_a_table_without_a_product_has_no_facts(tmp_path: Path) -> None:
    assert facts(open_depot(tmp_path)) == CurrentFacts((), {}, None, None, is_key_unique=None)
