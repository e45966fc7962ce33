"""What a check of ``__current`` can tell: its key, what is left out, what is missing, and keys that files repeat."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cubic_ingestion.domain.product import products_of
from cubic_ingestion.products.build import Build
from cubic_ingestion.products.checks import CurrentFacts, current_facts
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.builders import an_ods_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.current_story import CURRENT, put_changes, put_load
from cubic_ingestion_tests.products.deliveries import open_depot, shown, update

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


def facts(depot: Depot) -> CurrentFacts:
    return current_facts(depot.platform, products_of(depot.platform.tables.values())[BASE.name])


def test_keys_that_are_twice_in_load_files_are_counted(depot: Depot) -> None:
    assert facts(depot) == CurrentFacts(("sample_id",), {}, None, 2, 0)


def test_keys_that_a_later_load_file_repeats_are_counted_too(depot: Depot) -> None:
    put_load(depot, 3, "4,dd,\n2,bb,\n9,z,\n")
    update(depot)
    assert facts(depot).n_duplicate_keys == 3
    assert shown(depot, CURRENT, "sample_id, sample_name")[:4] == [(1, "a"), (2, "bb"), (3, "cc"), (4, "dd")]


def test_what_is_left_out_and_what_is_missing_is_told(depot: Depot) -> None:
    put_changes(depot, "20220304-101500123", "100,T,1,aa,\n")
    put_load(depot, 3, "x,what,\n")
    update(depot)
    found = facts(depot)
    assert list(found.refused.values()) == ["a change has the unknown operation 'T'"]
    assert found.lacking
    assert "LOAD00000003.csv.gz" in found.lacking


@pytest.mark.parametrize(
    "change",
    [lambda rows: [rows, rows], lambda rows: [rows.take(list(range(rows.num_rows))[::-1])]],
    ids=["twice", "reversed"],
)
def test_rows_that_are_not_in_key_order_are_never_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[pa.Table], list[pa.Table]]
) -> None:
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n2,b,\n3,c,\n4,d,\n")
    rows = Build.rows
    monkeypatch.setattr(Build, "rows", lambda build: (pa.concat_tables(change(each)) for each in rows(build)))
    depot.settle()

    refused = update_products(depot.platform, run_id="test").refused

    assert "not in the order of its key" in refused[CURRENT]
    table = depot.platform.warehouse.open(CURRENT)
    assert table
    assert table.snapshot is None


def test_a_table_without_a_product_has_no_facts(tmp_path: Path) -> None:
    assert facts(open_depot(tmp_path)) == CurrentFacts((), {}, None, 0, 0)
