"""Products are shown again, as they are in the warehouse, in a catalog that lost them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.ports import ProductEntry
from cubic_ingestion.products.showing import show_all
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import CatalogThatIsDown, Depot
from cubic_ingestion_tests.glue import database, glue, glue_url
from cubic_ingestion_tests.products.deliveries import CT, EVENTS, LOAD, open_depot, put_kafka, put_ods, shown, update
from cubic_ingestion_tests.warehouse.warehouses import in_glue

__all__ = ["database", "glue", "glue_url"]


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with a product that has one row."""
    depot = open_depot(tmp_path)
    put_kafka(depot, "a", {"event_id": "1"})
    update(depot)
    return depot


@dataclass
class BusyCatalog:
    """The part of a catalog that shows products. Something happens right before it shows the first one."""

    catalog: DuckDBTableCatalog
    meanwhile: Callable[[], None]

    def show(self, entry: ProductEntry) -> None:
        """Show it, after what happens meanwhile."""
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self.catalog.show(entry)


def test_a_merge_that_ends_meanwhile_is_not_hidden(depot: Depot) -> None:
    put_kafka(depot, "b", {"event_id": "2"})
    catalog: Any = BusyCatalog(DuckDBTableCatalog(depot.root / "catalog.duckdb"), partial(update, depot))

    assert show_all(replace(depot.platform, catalog=catalog)) == {}

    assert shown(depot, EVENTS, "event_id") == [("1",), ("2",)]


def test_columns_that_the_product_does_not_have_yet_are_left_out(depot: Depot) -> None:
    put_kafka(depot, "b", {"event_id": "2", "fresh": "x"})
    depot.settle()
    assert shown(depot, KAFKA_TABLE.name, "fresh") == [("x",), (None,)]
    (depot.root / "catalog.duckdb").unlink()

    assert show_all(depot.platform) == {}

    assert shown(depot, EVENTS, "event_id") == [("1",)]


def test_every_product_is_shown_with_the_columns_that_it_had(depot: Depot) -> None:
    put_ods(depot, LOAD, "1,a\n")
    put_ods(depot, f"{CT}20220304-101500123", "1,b\n")
    update(depot)
    views = [product.name for product in products_of(depot.platform.tables.values()).values()]
    before = {view: shown(depot, f"(describe {view})", "column_name, column_type") for view in views}
    (depot.root / "catalog.duckdb").unlink()

    assert show_all(depot.platform) == {}

    assert {view: shown(depot, f"(describe {view})", "column_name, column_type") for view in views} == before


def test_only_products_of_the_tables_that_are_named_are_shown(depot: Depot) -> None:
    down = replace(depot.platform, catalog=CatalogThatIsDown())

    assert list(show_all(down)) == [EVENTS]
    assert show_all(down, ["cubic__ods_qlik__edw_sample"]) == {}


@pytest.mark.slow
def test_in_glue_the_table_of_the_warehouse_is_the_entry(tmp_path: Path, glue: Any, database: str) -> None:
    depot = open_depot(tmp_path)
    catalog, warehouse = GlueTableCatalog(database), in_glue(glue, database)()
    depot = replace(depot, platform=replace(depot.platform, catalog=catalog, warehouse=warehouse))
    put_kafka(depot, "a", {"event_id": "1"})
    update(depot)

    assert show_all(depot.platform) == {}

    assert audit(depot.platform).findings == []
    assert glue.get_table(DatabaseName=database, Name=EVENTS)["Table"]["Parameters"]["table_type"] == "ICEBERG"
