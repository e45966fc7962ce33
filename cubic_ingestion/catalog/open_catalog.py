"""From the setting to the adapter that it names."""

from pathlib import Path
from typing import Literal

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion.ports import TableCatalog


def open_catalog(
    kind: Literal["duckdb", "glue"], *, home: Path, glue_database: str, glue_landing_partitions: bool
) -> TableCatalog:
    """Return the catalog of a kind; touches neither disk nor network.

    Args:
        kind: As the setting has it.
        home: Folder of what is embedded.
        glue_database: Name of the database in Glue.
        glue_landing_partitions: Whether tables that have a product get partitions in Glue.
    """
    if kind == "glue":
        from cubic_ingestion.catalog.glue_table_catalog import (  # noqa: PLC0415 - boto3, for those who use it alone
            GlueTableCatalog,
        )

        return GlueTableCatalog(glue_database, landing_partitions=glue_landing_partitions)
    return DuckDBTableCatalog(home / "catalog.duckdb")
