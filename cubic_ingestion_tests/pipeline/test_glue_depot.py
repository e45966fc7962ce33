"""A whole depot in Glue: queried as Athena does, compared by the audit, with partitions and without."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.pipeline.audit import FindingCode, audit
from cubic_ingestion_tests import glue as glue_reader
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.glue import database, glue, glue_url
from cubic_ingestion_tests.pipeline.audited import build_depot
from cubic_ingestion_tests.pipeline.test_catalog import DMAP, HEADER, on, put

__all__ = ["database", "glue", "glue_url"]

pytestmark = pytest.mark.slow


def test_a_whole_depot_can_be_queried_through_glue_and_the_audit_agrees(
    tmp_path: Path, glue: Any, database: str
) -> None:
    catalog = GlueTableCatalog(database)
    depot = on(build_depot(tmp_path), catalog)
    assert depot.platform.ledger.deliveries[Consumer.CATALOG].refresh() == 7

    assert depot.catalog().refused == {}

    done = audit(depot.platform)
    assert (done.findings, done.n_partitions) == ([], 7)
    query = f"select identifier, count(*) from {DMAP.name} group by all order by all"
    with duckdb.connect(tmp_path / "catalog.duckdb", read_only=True) as connection:
        expected = connection.execute(query).fetchall()
    assert glue_reader.query(glue, database, query) == expected


def test_tables_with_a_product_may_do_without_partitions_in_glue_and_get_them_back(
    tmp_path: Path, glue: Any, database: str
) -> None:
    with_partitions = GlueTableCatalog(database)
    without = GlueTableCatalog(database, landing_partitions=False)
    depot = on(build_depot(tmp_path), with_partitions)
    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh()
    depot.catalog()
    before = {table: n_partitions(glue, database, table) for table in depot.platform.tables}
    assert before[KAFKA_TABLE.name] > 0

    depot = on(depot, without)
    depot.put(f"{KAFKA_TABLE.prefix}later.json", b'{"event_id": "later"}')
    depot.settle()
    assert n_partitions(glue, database, KAFKA_TABLE.name) == before[KAFKA_TABLE.name]
    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh()
    assert depot.catalog().refused == {}

    assert n_partitions(glue, database, KAFKA_TABLE.name) == 0
    assert n_partitions(glue, database, DMAP.name) == before[DMAP.name]
    assert codes(depot) == []
    depot = on(depot, with_partitions)
    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh()
    depot.catalog()
    assert n_partitions(glue, database, KAFKA_TABLE.name) == before[KAFKA_TABLE.name] + 1
    assert codes(depot) == []


def codes(depot: Depot) -> list[FindingCode]:
    """Return what the audit finds, products aside, which nobody has built here."""
    ours = {FindingCode.NOT_IN_PRODUCT, FindingCode.PRODUCT_BEHIND}
    return [finding.code for finding in audit(depot.platform).findings if finding.code not in ours]


def n_partitions(glue: Any, database: str, table: str) -> int:
    return len(glue.get_partitions(DatabaseName=database, TableName=table)["Partitions"])


def test_a_raw_table_and_its_twin_stand_beside_each_other_in_glue(tmp_path: Path, glue: Any, database: str) -> None:
    raw = a_table(f"{DMAP.name}_as_text", prefix="cubic/dmap/agg_raw/", is_raw=True)
    depot = on(Depot.build(tmp_path, [DMAP, raw]), GlueTableCatalog(database))
    put(depot, 1)
    depot.put(f"{raw.prefix}20220301.csv", f"{HEADER}007,a,many\n".encode())
    depot.settle()

    found = {
        table["Name"]: glue_reader.columns_of(table) for table in glue.get_tables(DatabaseName=database)["TableList"]
    }
    assert found[DMAP.name]["sample_id"] == "bigint"
    assert set(found[f"raw_{raw.name}"].values()) == {"string", "bigint"}  # load_id is ours, and a number
    assert glue_reader.query(glue, database, f"select sample_id from raw_{raw.name}") == [("007",)]
