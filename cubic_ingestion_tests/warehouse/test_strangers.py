"""Iceberg tables of other programs in the same Glue database are left alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.errors import CommitConflictError
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.ports import Warehouse
from cubic_ingestion_tests.products.deliveries import open_depot, put_kafka, update
from cubic_ingestion_tests.warehouse.warehouses import SCHEMA, filled, in_glue, numbered

pytestmark = pytest.mark.slow


@pytest.fixture
def warehouse(glue: Any, database: str) -> Warehouse:
    """A warehouse whose database has a table of others in another bucket, and one in ours, outside our folder."""
    warehouse = in_glue(glue, database)()
    sample = filled(warehouse.create("sample", SCHEMA), numbered(1))
    metadata = next(key for key in warehouse.kept_keys() if key.endswith(".metadata.json"))
    beside = "others/beside/metadata/1.metadata.json"
    with warehouse.bucket.open(metadata) as file, warehouse.bucket.writer(beside) as writer:
        writer.file.write(file.read())
        writer.commit()
    warehouse.drop(sample.name)
    locations = {"elsewhere": "s3://elsewhere/cubic/elsewhere/metadata/1.json", "beside": warehouse.bucket.uri(beside)}
    for name, location in locations.items():
        parameters = {"table_type": "ICEBERG", "metadata_location": location}
        glue.create_table(
            DatabaseName=database, TableInput={"Name": name, "TableType": "EXTERNAL_TABLE", "Parameters": parameters}
        )
    return warehouse


def test_they_are_not_listed_and_their_names_are_taken(warehouse: Warehouse) -> None:
    filled(warehouse.create("ours", SCHEMA), numbered(1))

    assert warehouse.tables() == ["ours"]
    assert warehouse.open("elsewhere") is warehouse.open("beside") is None
    with pytest.raises(CommitConflictError):
        warehouse.create("elsewhere", SCHEMA)


def test_cleaning_removes_nothing_of_theirs(warehouse: Warehouse) -> None:
    now = datetime.now(UTC)
    for hours in (0, 1):
        warehouse.clean(now + timedelta(hours=hours), timedelta(hours=1), tuple)

    keys = [version.key for page in warehouse.bucket.list("") for version in page]
    assert keys == ["others/beside/metadata/1.metadata.json"]


def test_the_audit_goes_on(warehouse: Warehouse, tmp_path: Path, database: str) -> None:
    depot = open_depot(tmp_path)
    platform = replace(depot.platform, warehouse=warehouse, catalog=GlueTableCatalog(database))
    depot = replace(depot, platform=platform)
    put_kafka(depot, "a", {"event_id": "1"})
    update(depot)

    done = audit(depot.platform)

    assert done.proved["product_rows"] == 1
    assert [(finding.code.value, finding.key) for finding in done.findings] == [
        ("stray_object", "others/beside/metadata/1.metadata.json")
    ]
