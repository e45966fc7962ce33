"""The catalog in AWS: pyiceberg's Glue catalog, with the bucket of the warehouse."""

from contextlib import suppress

from boto3.session import Session
from botocore.config import Config
from pyiceberg.catalog.glue import GLUE_SKIP_ARCHIVE, GlueCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError
from pyiceberg.io import FileIO
from pyiceberg.typedef import EMPTY_DICT, Properties
from typing_extensions import override

from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.warehouse.store_file_io import StoreFileIO

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=30)


class StoreGlueCatalog(GlueCatalog):
    """pyiceberg's Glue catalog with a given bucket. Glue archives no versions: their number is limited."""

    def __init__(self, bucket: ObjectStore) -> None:
        super().__init__("cubic", Session().client("glue", config=_CONFIG), **{GLUE_SKIP_ARCHIVE: "true"})
        self._bucket = bucket

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
