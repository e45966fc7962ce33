"""The proof of ``__current``: clean where nothing is wrong, and each row that is another one is found."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.pipeline.audit import Finding
from cubic_ingestion.products.proof import FoldCheck
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.builders import an_ods_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.current_story import CURRENT, put_changes, put_load, tell_story
from cubic_ingestion_tests.products.deliveries import open_depot, shown, update

BASE = an_ods_table().name
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """A depot whose table has seen all that can happen to it. Tests leave it as it is."""
    depot = tell_story(tmp_path_factory.mktemp("told"))
    yield depot
    depot.platform.ledger.close()


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with a LOAD file and two change files, of which one moves a row."""
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,0.5\n7,g,\n8,h,\n")
    put_changes(depot, "20220304-101500123", "100,U,1,aa,\n")
    put_changes(depot, "20220304-101600123", "101,B,8,,\n101,U,9,,\n")
    update(depot)
    return depot


def proof(depot: Depot) -> tuple[list[Finding], int]:
    check = FoldCheck(depot.platform)
    return list(check.check(lambda _what, _n: None)), check.n_rows


def the_problem(depot: Depot) -> str:
    (finding,), _ = proof(depot)
    assert (finding.code, finding.zone, finding.key) == ("fold_mismatch", "warehouse", CURRENT)
    assert "'cubic products rebuild'" in finding.remedy
    return finding.problem


def path_of(depot: Depot) -> Path:
    """Return the product's only file."""
    table = depot.platform.warehouse.open(CURRENT)
    assert table
    (file,) = table.files()
    return depot.root / "warehouse" / file.key


@contextmanager
def written_over(depot: Depot, change: Callable[[pa.Table], pa.Table]) -> Generator[None]:
    """Have another file in the place of the product's only one, with its footer."""
    path = path_of(depot)
    before, rows = path.read_bytes(), pq.read_table(path)
    pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), path)
    try:
        yield
    finally:
        path.write_bytes(before)


def with_value(rows: pa.Table, name: str, place: int, value: Any) -> pa.Table:
    values = rows[name].to_pylist()
    values[place] = value
    return rows.set_column(rows.column_names.index(name), rows.schema.field(name), [values])


def test_a_product_that_has_seen_everything_is_clean(told: Depot) -> None:
    rows = shown(told, CURRENT, "sample_id, sample_name, sample_rate")
    assert rows == [(1, "restated", 7.5), (5, "dd", 2.5), (7, "g", None), (8, "h", None), (78, "image", 9.0)]
    assert proof(told) == ([], 5)


def test_a_new_generation_is_clean(depot: Depot) -> None:
    put_load(depot, 1, "1,new,\n2,new,\n", day=5)
    put_changes(depot, "20220305-101500123", "200,U,1,newer,\n")
    update(depot)
    assert shown(depot, CURRENT, "sample_id, sample_name") == [(1, "newer"), (2, "new")]
    assert proof(depot) == ([], 2)


def test_a_table_without_a_key_has_nothing_to_prove(tmp_path: Path) -> None:
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n", key="")
    put_changes(depot, "20220304-101500123", "100,U,1,b,\n", key="")
    update(depot)
    assert proof(depot) == ([], 0)


def test_a_load_whose_changes_are_refused_is_not_folded(depot: Depot) -> None:
    put_changes(depot, "20220304-101900123", "120,I,50,new,\n121,T,50,what,\n")
    put_changes(depot, "20220304-102000123", "122,U,7,seen,\n")
    update(depot)
    assert shown(depot, f"{CURRENT} where sample_id in (7, 50)", "sample_name") == [("seen",)]
    assert proof(depot) == ([], 3)


def test_a_key_that_is_another_one_by_now_cannot_be_compared(depot: Depot) -> None:
    put_changes(depot, "20220304-101900123", "120,U,7,x,\n", key="SAMPLE_NAME")
    depot.settle()
    (finding,), _ = proof(depot)
    assert finding.code == "fold_not_compared"
    assert finding.problem == 'Its key is ["sample_id"], and by its files it is ["sample_name"].'


def test_a_log_that_is_ahead_with_a_restated_file_cannot_be_compared(depot: Depot) -> None:
    put_changes(depot, "20220304-101600123", "101,U,9,,\n")
    depot.settle()
    update_products(depot.platform, [f"{BASE}__ct"], run_id="test")
    (finding,), _ = proof(depot)
    assert finding.code == "fold_not_compared"
    assert "has other rows of load" in finding.problem
    update(depot)
    assert proof(depot) == ([], 3)


ANOTHER = "1 row is not the same. The first has the key sample_id = "
TWO = "2 rows are not the same. The first has the key sample_id = "


@pytest.mark.parametrize(
    ("name", "place", "value", "problem"),
    [
        ("sample_name", 0, "other", ANOTHER + "1: another value of 'sample_name'."),
        ("sample_rate", 0, None, ANOTHER + "1: another value of 'sample_rate'."),
        ("load_id", 0, 999, ANOTHER + "1: another value of 'load_id'."),
        ("header__change_seq", 0, "100x", ANOTHER + "1: another value of 'header__change_seq'."),
        ("snapshot", 2, "20220301T000101Z", ANOTHER + "7: another value of 'snapshot'."),
        ("sample_name", 4, None, ANOTHER + "78: another value of 'sample_name'."),  # a row that moved
        ("sample_id", 1, 6, TWO + "5: its row is missing."),
        ("sample_id", 0, 0, TWO + "0: there should be no row."),
        ("sample_id", 3, 7, TWO + "7: there are 2 rows."),
    ],
)
def test_one_value_that_is_another_one_is_found(
    told: Depot, name: str, place: int, value: object, problem: str
) -> None:
    with written_over(told, lambda rows: with_value(rows, name, place, value)):
        assert the_problem(told) == f"Folded again by other means, {problem}"


def test_rows_in_another_order_are_the_same_rows(told: Depot) -> None:
    with written_over(told, lambda rows: rows.take([4, 2, 0, 1, 3])):
        assert proof(told) == ([], 5)


def test_a_file_that_cannot_be_read_is_said_not_to_be_compared(depot: Depot) -> None:
    path_of(depot).write_bytes(b"PAR1 no more")
    (finding,), n_rows = proof(depot)
    assert (finding.code, n_rows) == ("fold_not_compared", 0)


def test_changes_on_their_way_are_no_discrepancy(depot: Depot) -> None:
    put_changes(depot, "20220304-101900123", "120,I,50,new,\n")
    depot.settle()
    assert proof(depot) == ([], 3)
