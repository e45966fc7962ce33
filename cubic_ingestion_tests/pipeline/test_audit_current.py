"""The audit compares ``__current`` with the LOAD files of its generation and the changes that ``__changes`` holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cubic_ingestion.domain.product import MERGE
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.products.checks import Completeness, completeness
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.builders import a_change_table, an_ods_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.audited import found
from cubic_ingestion_tests.products.current_story import CURRENT, put_changes, put_load, tell_story
from cubic_ingestion_tests.products.deliveries import open_depot, products_of, update

pytestmark = pytest.mark.slow
BASE, CT = an_ods_table().name, a_change_table().name


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with a LOAD file of three rows, and a change file that takes one of them away."""
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n2,b,\n3,c,\n")
    put_changes(depot, "20220304-101500123", "100,D,1,,\n101,U,2,bb,\n")
    update(depot)
    return depot


def findings(depot: Depot) -> list[tuple[str, str, str]]:
    return found(audit(depot.platform))


def execute(depot: Depot, statement: str) -> None:
    """Change what is on record."""
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute(statement)


def forget_deliveries(depot: Depot) -> None:
    execute(depot, "DELETE FROM cubic_deliveries WHERE consumer = 'products'")


def state(depot: Depot) -> Completeness:
    return completeness(depot.platform, products_of(depot.platform.tables.values())[BASE])


def test_a_product_that_has_seen_everything_is_clean(tmp_path: Path) -> None:
    depot = tell_story(tmp_path)
    assert findings(depot) == []
    assert state(depot) == Completeness(0, 0, 0)


def test_a_new_generation_holds_nothing_of_the_old_one(depot: Depot) -> None:
    put_load(depot, 1, "1,new,\n", day=5)
    put_changes(depot, "20220305-101500123", "200,U,1,newer,\n")
    put_changes(depot, "20220304-102500123", "150,U,1,of the old generation,\n")
    update(depot)
    assert findings(depot) == []
    assert state(depot) == Completeness(0, 0, 0)
    put_changes(depot, "20220304-103500123", "151,U,1,of the old generation,\n")
    update(depot)
    assert (findings(depot), state(depot)) == ([], Completeness(0, 0, 0))


def test_a_change_that_its_log_has_and_that_is_on_its_way_is_no_discrepancy(depot: Depot) -> None:
    put_changes(depot, "20220304-101600123", "102,I,4,d,\n")
    depot.settle()
    assert (findings(depot), state(depot)) == ([], Completeness(0, 0, 0))
    update_products(depot.platform, [CT], run_id="test")
    assert (findings(depot), state(depot)) == ([], Completeness(1, 0, 0))


def test_a_change_that_got_lost_on_its_way_from_the_log_is_named(depot: Depot) -> None:
    put_changes(depot, "20220304-101600123", "102,I,4,d,\n")
    depot.settle()
    update_products(depot.platform, [CT], run_id="test")
    forget_deliveries(depot)
    assert findings(depot) == [("not_in_product", "warehouse", CURRENT)]
    assert state(depot) == Completeness(0, 1, 0)


def test_a_load_file_that_got_lost_on_its_way_is_named(depot: Depot) -> None:
    put_load(depot, 2, "7,g,\n")
    depot.settle()
    forget_deliveries(depot)
    assert findings(depot) == [("not_in_product", "warehouse", CURRENT)]


def test_another_version_of_a_change_file_is_named(depot: Depot) -> None:
    execute(depot, "UPDATE cubic_product_loads SET etag = 'old' WHERE load_id = 2 AND place NOT LIKE '%,%'")
    assert findings(depot) == [("not_in_product", "warehouse", CURRENT)]
    (finding,) = audit(depot.platform).findings
    assert finding.problem.endswith("of load 2, it has another version.")


def test_a_change_that_its_log_has_no_more_is_named(depot: Depot) -> None:
    put_changes(depot, "20220304-101500123", "101,U,2,bb,\n")
    depot.settle()
    update_products(depot.platform, [CT], run_id="test")
    forget_deliveries(depot)
    assert sorted(findings(depot)) == [
        ("left_in_product", "warehouse", CURRENT),
        ("not_in_product", "warehouse", CURRENT),
    ]
    assert state(depot) == Completeness(0, 1, 1)


def test_fewer_rows_than_on_record_are_named(depot: Depot) -> None:
    table = depot.platform.warehouse.open(CURRENT)
    assert table
    assert table.snapshot
    (file,) = table.files()
    with table.writer() as writer:
        writer.write(pq.read_table(depot.root / "warehouse" / file.key).slice(1))
        shorter = writer.close()
    properties = {MERGE: table.snapshot.properties[MERGE]}
    table.commit(add=[shorter], remove=[file], properties=properties)
    assert findings(depot) == [("product_rows_mismatch", "warehouse", CURRENT)]
    (finding,) = audit(depot.platform).findings
    assert finding.problem == "Its files have 1 row, 2 on record."


def test_a_table_without_a_key_lacks_nothing(tmp_path: Path) -> None:
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n", key="")
    put_changes(depot, "20220304-101500123", "100,U,1,b,\n", key="")
    update(depot)
    assert (findings(depot), state(depot)) == ([], Completeness(0, 0, 0))


def test_a_choice_that_waits_for_its_merge_is_no_discrepancy(depot: Depot) -> None:
    put_load(depot, 1, "1,new,\n", day=5)
    put_changes(depot, "20220305-101500123", "200,U,1,newer,\n")
    update(depot)
    depot.platform.ledger.products.switch(BASE, "20220301T000100Z", "20220305T000100Z")
    assert (findings(depot), state(depot)) == ([], Completeness(0, 0, 0))
