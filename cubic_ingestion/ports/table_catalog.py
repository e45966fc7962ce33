"""The catalog, as the pipeline sees it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from cubic_ingestion.domain.table import Table


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """Files of a table that have the same schema."""

    schema: pa.Schema
    uris: Sequence[str]


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A table that people should find."""

    table: Table
    location: str
    """URI of the prefix that holds all the table's Parquet files."""
    schema: pa.Schema
    """Columns of a Parquet file below it; of all of them, if there are parts."""
    parts: Sequence[CatalogPart] = ()
    """All its files, where a column has not the same type in each; else none."""


class TableCatalog(Protocol):
    """Where people find the tables to query."""

    @property
    def address(self) -> str:
        """What a client connects to."""
        ...

    def register(self, entries: Collection[CatalogEntry]) -> None:
        """Make sure that tables can be queried, with at least the columns of their entries.

        Many at once cost about as much as one; one that fails does not stop the others.

        Raises:
            CatalogUnavailableError: The catalog refused one of them.
        """
        ...
