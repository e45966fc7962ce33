"""The catalog in AWS: pyiceberg's Glue catalog, with the bucket of the warehouse."""

from contextlib import suppress

from boto3.session import Session
from botocore.config import Config
from pyiceberg.catalog import METADATA_LOCATION
from pyiceberg.catalog.glue import GLUE_SKIP_ARCHIVE, GlueCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError
from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from typing_extensions import override

from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.warehouse.locations import ROOT, ForeignLocationError, location_of
from cubic_ingestion.warehouse.store_file_io import StoreFileIO

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=30)


class StoreGlueCatalog(GlueCatalog):
    """pyiceberg's Glue catalog with a given bucket. Glue archives no versions: their number is limited.

    Other programs may have Iceberg tables in the same database. A table whose metadata is not in the folder of the
    warehouse is treated as if it were not there, except that no table of ours can get its name.
    """

    def __init__(self, bucket: ObjectStore) -> None:
        super().__init__("cubic", Session().client("glue", config=_CONFIG), **{GLUE_SKIP_ARCHIVE: "true"})
        self._bucket = bucket
        self._root = location_of(bucket, ROOT)

    @override
    def list_tables(self, namespace: str | Identifier) -> list[Identifier]:
        database = self.identifier_to_database(namespace)
        pages = self.glue.get_paginator("get_tables").paginate(DatabaseName=database)
        return [
            (database, table["Name"])
            for page in pages
            for table in page["TableList"]
            if table.get("Parameters", {}).get(METADATA_LOCATION, "").startswith(self._root)
        ]

    @override
    def load_table(self, identifier: str | Identifier) -> Table:
        try:
            table = super().load_table(identifier)
        except ForeignLocationError as error:
            raise NoSuchTableError(str(error)) from error
        if not table.metadata_location.startswith(self._root):
            raise NoSuchTableError(f"'{table.metadata_location}' is not in '{self._root}'.")
        return table

    @override
    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        return StoreFileIO(self._bucket)


def open_glue_catalog(database: str, bucket: ObjectStore) -> GlueCatalog:
    """Open the catalog, and create the database unless it exists."""
    catalog = StoreGlueCatalog(bucket)
    if not catalog.namespace_exists(database):
        with suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace(database)
    return catalog
