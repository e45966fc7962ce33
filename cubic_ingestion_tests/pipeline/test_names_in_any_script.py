"""Names in decomposed Unicode, as macOS writes them, and in scripts with vowel signs go all the way, byte for byte."""

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.ports import Stores
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.glue import database, glue, glue_url
from cubic_ingestion_tests.s3 import new_store, s3

__all__ = ["database", "glue", "glue_url", "s3"]

NAMES = (
    unicodedata.normalize("NFD", "tägliche_Umsätze_20220304.csv"),
    unicodedata.normalize("NFC", "tägliche_Umsätze_20220304.csv"),
    "दैनिक_किराया_20220305.csv",
    "ค่าโดยสาร_20220306.csv",
    "کرایه\u200cها_20220307.csv",  # noqa: RUF001 - that is how Persian is written
    "한국어_20220308.csv",
)
"""The first two look the same, and are two files."""
ROWS = b"sample_id,sample_name,sample_count\n1,a,5\n"


def test_each_name_is_a_folder_a_row_of_the_view_and_a_file_in_archive(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [a_table()])
    for name in NAMES:
        depot.put(f"cubic/dmap/agg_sample/{name}", ROWS)
    depot.clock.advance(minutes=10)

    depot.settle()

    assert depot.statuses() == dict.fromkeys(NAMES, LoadStatus.ARCHIVED)
    archived = [version.key for page in depot.platform.stores.archive.list("") for version in page]
    assert sorted(key.rpartition("/")[2] for key in archived) == sorted(NAMES)
    with duckdb.connect(str(tmp_path / "catalog.duckdb"), read_only=True) as connection:
        found = connection.sql(f"select identifier from {a_table().catalog_name}").fetchall()
    assert sorted(name for (name,) in found) == sorted(NAMES)
    assert audit(depot.platform).n_findings == 0


@pytest.mark.slow
def test_each_name_is_a_partition_in_glue(s3: Any, database: str, tmp_path: Path) -> None:
    built = Depot.build(tmp_path, [a_table()])
    zones = {zone: new_store(s3, prefix="") for zone in ("incoming", "archive", "error", "springboard")}
    platform = replace(built.platform, stores=Stores(**zones), catalog=GlueTableCatalog(database))
    depot = replace(built, platform=platform)
    for name in NAMES:
        with zones["incoming"].writer(f"cubic/dmap/agg_sample/{name}") as writer:
            writer.file.write(ROWS)
            writer.commit()
    depot.clock.advance(minutes=10)

    depot.settle()

    assert depot.statuses() == dict.fromkeys(NAMES, LoadStatus.ARCHIVED)
    client: Any = boto3.client("glue")
    parts = client.get_partitions(DatabaseName=database, TableName=a_table().catalog_name)["Partitions"]
    assert sorted(part["Values"][-1] for part in parts) == sorted(NAMES)
    assert all(part["StorageDescriptor"]["Location"].endswith(f"identifier={part['Values'][-1]}/") for part in parts)
    assert audit(depot.platform).n_findings == 0


@pytest.mark.parametrize(
    "name", [".हिन्दी.csv", "a=हिन्दी_20220304.csv", "a\u202eहिन्दी_20220304.csv", "\u0301\u0301.csv"]
)
def test_a_mark_makes_no_other_character_usable(tmp_path: Path, name: str) -> None:
    depot = Depot.build(tmp_path, [a_table()])
    depot.put(f"cubic/dmap/agg_sample/{name}", ROWS)
    depot.clock.advance(minutes=10)

    depot.settle()

    errors = {load.error.code if load.error else None for load in depot.loads()}
    assert errors <= {"unusable_name"}
