"""The embedded catalog: pyiceberg's SQL catalog in the metadata database, on the connections of the ledger."""

from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.sql import IcebergNamespaceProperties, IcebergTables, SqlCatalog
from pyiceberg.io import FileIO
from pyiceberg.typedef import EMPTY_DICT, Properties
from sqlalchemy import Connection, insert, select
from typing_extensions import override

from cubic_ingestion.ledger.engine import CATALOG_LOCK, Engine, be_alone, reading, writing
from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.warehouse.store_file_io import StoreFileIO

CATALOG_NAME = "cubic"
"""Every row of the catalog's tables has the name by which a person opens it."""
NAMESPACE = "cubic"


class LedgerSqlCatalog(SqlCatalog):
    """pyiceberg's SQL catalog with a given engine and bucket instead of a URL and properties."""

    def __init__(self, engine: Engine, bucket: ObjectStore) -> None:
        MetastoreCatalog.__init__(self, CATALOG_NAME)
        self.engine = engine
        self._bucket = bucket
        self._schema_version = "v1"

    @override
    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        return StoreFileIO(self._bucket)


def open_sql_catalog(engine: Engine, bucket: ObjectStore) -> SqlCatalog:
    """Open the catalog, and create its two tables and the namespace unless they exist.

    Raises:
        DatabaseUnavailableError: The database did not answer.
    """
    with reading(engine) as connection:
        is_there = engine.dialect.has_table(connection, IcebergNamespaceProperties.__tablename__)
        is_there = is_there and _has_namespace(connection)
    if not is_there:
        with writing(engine) as connection:
            be_alone(connection, CATALOG_LOCK)
            IcebergTables.metadata.create_all(connection)
            if not _has_namespace(connection):
                exists = {"property_key": "exists", "property_value": "true"}
                values = {"catalog_name": CATALOG_NAME, "namespace": NAMESPACE, **exists}
                connection.execute(insert(IcebergNamespaceProperties).values(values))
    return LedgerSqlCatalog(engine, bucket)


def _has_namespace(connection: Connection) -> bool:
    names = select(IcebergNamespaceProperties.namespace).where(
        IcebergNamespaceProperties.catalog_name == CATALOG_NAME, IcebergNamespaceProperties.namespace == NAMESPACE
    )
    return connection.execute(names).first() is not None
