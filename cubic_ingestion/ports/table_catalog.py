"""The catalog, as the pipeline sees it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from cubic_ingestion.domain.derived_table import DerivedTable
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import CubicIngestionError

Keep = Callable[[], object]
"""Called again and again while somebody works, so that the lease is renewed."""


def keep_nothing() -> None:
    """Renew nothing: for a caller that holds no lease."""


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """Files of a table that have the same schema."""

    schema: pa.Schema
    uris: Sequence[str]


@dataclass(frozen=True, slots=True)
class CatalogPartition:
    """A folder of a table's Parquet: the rows of one load."""

    values: tuple[str, ...]
    """What its folders are named after, in the order of the entry's ``partition_names``."""
    location: str
    """URI of the folder; ends with ``/``."""
    schema: pa.Schema
    """Columns of the file in it."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A table that people should find, and what of it is new."""

    table: Table | DerivedTable
    location: str
    """URI of the prefix that holds all the table's Parquet files."""
    schema: pa.Schema
    """Columns of the partitions given, of all files if there are parts; none if all that changed is gone."""
    parts: Sequence[CatalogPart] = ()
    """All its files, where a column has not the same type in each; else none."""
    partition_names: Sequence[str] = ()
    """Columns that stand in the names of folders, outermost first."""
    partitions: Sequence[CatalogPartition] = ()
    """Those that are new or were written again; not all there are."""
    gone: Sequence[tuple[str, ...]] = ()
    """Values of partitions that have no rows any more."""


@dataclass(frozen=True, slots=True)
class ProductEntry:
    """A product that people should find, as one snapshot of it is."""

    name: str
    schema: pa.Schema
    """Its columns, in their own types."""
    stored: pa.Schema
    """The columns of its files."""
    uris: Sequence[str]
    """All its files."""


class TableCatalog(Protocol):
    """Where people find the tables to query."""

    @property
    def address(self) -> str:
        """What a client connects to."""
        ...

    def query(self, name: str) -> str:
        """Return what a person types to see the first rows of a table or product, by its name in the catalog."""
        ...

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
        """Yield the values of the partitions that the catalog lists, page by page, so that memory stays flat.

        A catalog that finds the partitions of a table by what lies in Springboard lists none of them.

        Raises:
            CatalogUnavailableError: The catalog did not answer, or cannot be read.
            SettingsError: The catalog cannot be used as it is configured.
        """
        ...

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        """Return the values of those partitions of an entry that people do not find. Nothing is changed.

        Args:
            entry: A table with a page of its partitions, at most 1,000.

        Raises:
            CatalogUnavailableError: The catalog did not answer, or cannot be read.
            SettingsError: The catalog cannot be used as it is configured.
        """
        ...

    def show(self, entry: ProductEntry) -> None:
        """Have people find a product as it is now, all files of it at once.

        Raises:
            CatalogUnavailableError: The catalog did not answer, or could not be changed.
        """
        ...

    def shows(self, product: str, uris: Collection[str]) -> bool:
        """Say whether people who query a product by name read exactly these files. Nothing is changed.

        Raises:
            CatalogUnavailableError: The catalog cannot be read.
        """
        ...

    def register(
        self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
    ) -> Mapping[str, CubicIngestionError]:
        """Make sure that tables can be queried, with at least the columns and partitions of their entries.

        Many at once cost no more than one by one; one that fails does not stop the others. Doing it again changes
        nothing.

        Args:
            entries: The tables.
            keep: Renews the caller's lease; called before each part of the work.

        Returns:
            Why it failed, by the name of each table that did.

        Raises:
            CatalogUnavailableError: The catalog as a whole refused; it may take everything later.
            SettingsError: The catalog as a whole cannot be used as it is configured.
        """
        ...
