"""The catalog as a database of the AWS Glue Data Catalog, which Athena, Spark and others read."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError

from cubic_ingestion.catalog.glue_definitions import Definition, is_as_wanted, table_definition, table_name
from cubic_ingestion.catalog.glue_errors import (
    ALREADY_EXISTS,
    CHANGED_MEANWHILE,
    NOT_FOUND,
    code_of,
    is_silence,
    translated,
)
from cubic_ingestion.catalog.glue_partitions import ROUNDS, GluePartitions
from cubic_ingestion.domain.derived_table import DerivedTable
from cubic_ingestion.domain.product import ProductKind, kind_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import CatalogUnavailableError, CubicIngestionError, SettingsError
from cubic_ingestion.ports import CatalogEntry, Keep, ProductEntry, keep_nothing

_ALL_ROWS = (ProductKind.CHANGES, ProductKind.EVENTS)
"""Products that have all rows of their table."""
_CONFIG = Config(
    # Exponential pauses with jitter between tries; what is refused longer is left to the ledger's longer pauses.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=30,
)


class GlueTableCatalog:
    """A Glue database with an external table of Parquet per table, and a partition per load.

    Credentials, region and endpoint come from AWS's own chain. Nothing is asked of AWS before the first ``register``.

    Args:
        database: The database's name; it is made if it is missing.
        landing_partitions: Whether tables with a product have partitions too. A year of minutely files has half a
            million, and an account may have ten million; without them people query the product.
    """

    def __init__(self, database: str, *, landing_partitions: bool = True) -> None:
        self._database = database
        self._landing_partitions = landing_partitions
        self._is_there = False

    @property
    def address(self) -> str:
        """Name of the database, as Athena has it."""
        return f"AwsDataCatalog.{self._database}"

    def query(self, name: str) -> str:
        """Return SQL for Athena that shows the first rows of a table or a product."""
        return f'SELECT * FROM "{self._database}"."{name.lower()}" LIMIT 5'  # noqa: S608 - for people to read

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
        """Yield the values of a table's partitions, page by page; none if there is no such table.

        Raises:
            CatalogUnavailableError: Glue did not answer.
            SettingsError: AWS permits that to nobody here.
        """
        name = table.catalog_name.lower()
        with translated(self._database, name):
            try:
                yield from GluePartitions(self._client, self._database, name).pages()
            except ClientError as error:
                if code_of(error) != NOT_FOUND:
                    raise

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        """Ask for the partitions of an entry; all are missing if there is no such table.

        Raises:
            CatalogUnavailableError: Glue did not answer.
            SettingsError: AWS permits that to nobody here.
        """
        if not self._has_partitions(entry):
            return ()
        wanted = [partition.values for partition in entry.partitions]
        with translated(self._database, table_name(entry)):
            try:
                standing = GluePartitions(self._client, self._database, table_name(entry)).standing(wanted)
            except ClientError as error:
                if code_of(error) != NOT_FOUND:
                    raise
                return wanted
        return [values for values in wanted if values not in standing]

    def show(self, entry: ProductEntry) -> None:
        """Do nothing: the warehouse's table is in the Glue Data Catalog itself."""

    def shows(self, product: str, uris: Collection[str]) -> bool:  # noqa: ARG002 - the port's
        """Say that people read the right files, because they read the warehouse's table."""
        return True

    def register(
        self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
    ) -> Mapping[str, CubicIngestionError]:
        """Bring tables and their partitions to Glue: four calls for a table with up to a hundred new partitions.

        Returns:
            Why it failed, by the name of each table that did.

        Raises:
            CatalogUnavailableError: The database could not be looked up or made.
            SettingsError: AWS permits that to nobody here.
        """
        if entries:
            self._make_database()
        failures: dict[str, CubicIngestionError] = {}
        pending = deque(entries)
        while pending:
            entry = pending.popleft()
            try:
                with translated(self._database, table_name(entry)):
                    self._put(entry, keep)
            except (CatalogUnavailableError, SettingsError) as error:
                failures[entry.table.name] = error
                self._is_there = False  # somebody may have dropped the database
                if is_silence(error):
                    failures |= {each.table.name: error for each in pending}
                    break
        return failures

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        # A session of its own: the default one is shared by whoever uses boto3, and no two threads may make it.
        return Session().client("glue", config=_CONFIG)

    def _make_database(self) -> None:
        if self._is_there:
            return
        with translated(self._database, self._database):
            try:
                self._client.get_database(Name=self._database)
            except ClientError as error:
                if code_of(error) != NOT_FOUND:
                    raise
                self._create_database()
        self._is_there = True

    def _create_database(self) -> None:
        description = "Cubic's fare data; kept by cubic_ingestion."
        try:
            self._client.create_database(DatabaseInput={"Name": self._database, "Description": description})
        except ClientError as error:
            if code_of(error) != ALREADY_EXISTS:
                raise

    def _put(self, entry: CatalogEntry, keep: Keep) -> None:
        keep()
        partitions = GluePartitions(self._client, self._database, table_name(entry))
        if entry.schema.names:
            self._put_table(entry)
        gone = list(entry.gone)
        if self._has_partitions(entry):
            partitions.put(entry.partitions, keep)
        else:
            gone += [partition.values for partition in entry.partitions]
        if gone and self._standing(table_name(entry)):
            partitions.remove(gone, keep)

    def _has_partitions(self, entry: CatalogEntry) -> bool:
        table = entry.table
        return self._landing_partitions or isinstance(table, DerivedTable) or kind_of(table) not in _ALL_ROWS

    def _put_table(self, entry: CatalogEntry) -> None:
        """Create or change a table; if another writer comes in between, look again and go on from what it wrote."""
        for _ in range(ROUNDS):
            standing = self._standing(table_name(entry))
            definition = table_definition(entry, standing and self._writable(standing))
            if standing and is_as_wanted(standing, definition):
                return
            try:
                self._write(definition, standing)
            except ClientError as error:
                if code_of(error) not in {ALREADY_EXISTS, CHANGED_MEANWHILE, NOT_FOUND}:
                    raise
            else:
                return
        raise CatalogUnavailableError(table_name(entry), "others change the table again and again")

    def _write(self, definition: Definition, standing: Definition | None) -> None:
        if standing is None:
            self._client.create_table(DatabaseName=self._database, TableInput=definition)
            return
        self._client.update_table(
            DatabaseName=self._database,
            TableInput=definition,
            SkipArchive=True,  # old definitions count towards a limit of the account, and nobody reads them
            **({"VersionId": standing["VersionId"]} if "VersionId" in standing else {}),
        )

    def _standing(self, name: str) -> Definition | None:
        try:
            return self._client.get_table(DatabaseName=self._database, Name=name)["Table"]
        except ClientError as error:
            if code_of(error) != NOT_FOUND:
                raise
            return None

    def _writable(self, table: Definition) -> Definition:
        """Leave out what Glue adds by itself and does not take back."""
        fields = self._client.meta.service_model.shape_for("TableInput").members
        return {name: value for name, value in table.items() if name in fields}
