"""Products in Dagster: assets downstream of their tables, a sensor that minds the cost, checks that are right."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.product_checks import COMPLETE
from cubic_ingestion.defs.products import update_all_products
from cubic_ingestion.defs.translator import asset_key, product_key
from cubic_ingestion.domain.product import Product, products_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.products import update
from cubic_ingestion_tests.defs.conftest import KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import QUIET
from cubic_ingestion_tests.defs.test_sensors import Ticker
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import put_kafka


@pytest.fixture
def events(tables: Mapping[str, Table]) -> Product:
    """The product of the Kafka table."""
    return products_of(tables.values())[KAFKA_TABLE]


def newest(instance: dg.DagsterInstance, product: Product) -> Mapping[str, object]:
    """Return the metadata of a product's newest materialisation."""
    event = instance.get_latest_materialization_event(product_key(product))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def is_complete(instance: dg.DagsterInstance, product: Product) -> bool:
    """Return what the product's check says on its page."""
    key = dg.AssetCheckKey(product_key(product), COMPLETE)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    evaluated = record.event.get_dagster_event().asset_check_evaluation_data
    assert isinstance(evaluated, dg.AssetCheckEvaluation)
    return evaluated.passed


def test_an_ingest_brings_products_up_to_date_and_shows_them(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, events: Product
) -> None:
    put_kafka(depot, "a.json")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    shown = newest(instance, events)
    assert (shown["loads"], shown["loads_applied"], shown["files"]) == (1, 1, 1)
    assert shown["dagster/row_count"] == shown["rows_applied"]
    assert is_complete(instance, events)


def test_a_product_is_downstream_of_its_table(definitions: dg.Definitions, events: Product) -> None:
    graph = definitions.resolve_asset_graph()
    assert graph.get(product_key(events)).parent_keys == {asset_key(events.source)}


def test_materialising_a_product_brings_it_up_to_date_and_rebuilds_it_on_demand(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, events: Product
) -> None:
    put_kafka(depot, "a.json")
    depot.settle()
    job = definitions.resolve_implicit_global_asset_job_def()

    def materialize(config: dict[str, object]) -> Mapping[str, object]:
        ops = {product_key(events).to_python_identifier(): {"config": config}}
        result = job.execute_in_process(
            run_config=QUIET | {"ops": ops}, instance=instance, asset_selection=[product_key(events)]
        )
        assert result.success
        return newest(instance, events)

    assert materialize({})["loads_applied"] == 1
    assert materialize({})["loads_applied"] == 0
    assert materialize({"rebuild": True})["loads_applied"] == 1
    assert is_complete(instance, events)


def test_the_sensor_requests_a_run_when_a_product_is_due_and_not_before(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    ticker = Ticker(definitions, instance, "products")
    assert "No product has changes" in str(ticker.tick())
    put_kafka(depot, "a.json")
    depot.ingest()
    assert len(ticker.tick()) == 1
    run_products(definitions, instance)

    put_kafka(depot, "b.json")
    depot.ingest()

    assert "No product has changes" in str(ticker.tick())
    grow_older(depot, minutes=2)
    assert len(ticker.tick()) == 1


def test_a_costly_merge_has_a_lane_of_its_own(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker = Ticker(definitions, instance, "products")
    put_kafka(depot, "a.json")
    depot.ingest()
    monkeypatch.setattr(update, "LARGE_ROWS", 1)
    assert lanes(ticker) == ["products-large"]

    run_products(definitions, instance, lane="SMALL")
    assert [len(depot.platform.ledger.products.states())] == [0]
    run_products(definitions, instance, lane="LARGE")
    put_kafka(depot, "b.json")
    depot.ingest()
    grow_older(depot, minutes=2)

    assert lanes(ticker) == ["products-small"]


def lanes(ticker: Ticker) -> list[str]:
    requests = ticker.tick()
    assert not isinstance(requests, str)
    return [request.tags["cubic/lane"] for request in requests]


def run_products(definitions: dg.Definitions, instance: dg.DagsterInstance, **config: object) -> None:
    job = definitions.resolve_job_def(update_all_products.name)
    run_config = {**QUIET, "ops": {"merge_changes": {"config": config}}}
    assert job.execute_in_process(run_config=run_config, instance=instance).success


def grow_older(depot: Depot, **by: float) -> None:
    """Have the last merge of each product ended that much earlier."""
    at = (datetime.now(UTC) - timedelta(**by)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute("UPDATE cubic_products SET merged_at = ?", (at,))
