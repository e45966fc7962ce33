"""``cubic catalog``, and what else a person sees of a catalog that lags behind."""

from pathlib import Path

import duckdb
import pytest

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.depot import CatalogThatIsDown
from cubic_ingestion_tests.homes import depot_of, put_dmap, put_kafka

TABLE = "cubic__dmap__agg_sample"


def test_a_catalog_that_was_lost_is_made_again(cubic: Cubic, home: Path) -> None:
    put_dmap(depot_of(home), "20220304.csv")
    assert cubic("ingest").exit_code == 0
    (home / "catalog.duckdb").unlink()
    assert cubic("audit").exit_code == 1
    assert "The catalog knows everything." in cubic("catalog", "list").out

    outcome = cubic("catalog", "refresh", "--json")

    assert (outcome.exit_code, outcome.json) == (0, {"partitions": 1, "waiting": [], "failures": []})
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as catalog:
        assert catalog.table(TABLE).count("*").fetchall() == [(1,)]
    assert cubic("audit").exit_code == 0
    assert "has 1 partition. It lacks none." in cubic("catalog", "refresh", "--table", TABLE).text


def test_products_of_a_catalog_that_was_lost_are_shown_again(cubic: Cubic, home: Path) -> None:
    put_kafka(depot_of(home), "a.json")
    assert cubic("ingest").exit_code == 0
    (home / "catalog.duckdb").unlink()
    assert "product_not_shown" in cubic("audit").out

    assert cubic("catalog", "refresh", "--json").json["failures"] == []

    with duckdb.connect(home / "catalog.duckdb", read_only=True) as catalog:
        assert catalog.table("cubic__kafka__sample__events").count("*").fetchall() == [(1,)]
    assert cubic("audit").exit_code == 0


def test_what_the_catalog_refuses_is_shown_with_the_reason(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dmap(depot_of(home), "20220304.csv")
    monkeypatch.setattr(DuckDBTableCatalog, "register", CatalogThatIsDown.register)

    ingested = cubic("ingest")

    assert ingested.exit_code == 0
    assert f"Not in the catalog yet: {TABLE}: " in ingested.out
    (behind,) = cubic("catalog", "list", "--json").json
    assert (behind["table"], behind["changes"]) == (TABLE, 1)
    assert "throttled" in behind["refused"]
    refreshed = cubic("catalog", "refresh", "--json")
    assert refreshed.exit_code == 1
    assert [row["changes"] for row in refreshed.json["waiting"]] == [1]


def test_a_table_that_is_not_there_is_named(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()
    outcome = cubic("catalog", "refresh", "--table", "nowhere")
    assert outcome.exit_code == 2
    assert "no such table: nowhere" in outcome.error
