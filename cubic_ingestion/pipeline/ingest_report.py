"""Ingest report: what became of the loads of one table in one run."""

from dataclasses import dataclass, field

import pyarrow as pa

from cubic_ingestion.domain.load import Ingested, Load, LoadError
from cubic_ingestion.pipeline.schema_changes import SchemaChange


@dataclass(slots=True)
class Report:
    """What became of the loads of one table in one run."""

    ingested: list[tuple[Load, Ingested]] = field(default_factory=list[tuple[Load, Ingested]])
    rejected: list[tuple[Load, LoadError]] = field(default_factory=list[tuple[Load, LoadError]])
    released: list[tuple[Load, str]] = field(default_factory=list[tuple[Load, str]])
    """Loads given back for another try, with the reason."""
    previews: dict[int, pa.Table] = field(default_factory=dict[int, pa.Table])
    """First rows of each load written, by its id."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    source_errors: list[tuple[Load, int]] = field(default_factory=list[tuple[Load, int]])
    """Loads of which the vendor says that it could not write some records, with how many (``errorCount``)."""
    schema_changes: list[tuple[Load, SchemaChange]] = field(default_factory=list[tuple[Load, SchemaChange]])
    """Differences of columns and primary keys from the files before, each with the first load that shows it."""

    def by_partition(self) -> dict[str, list[Ingested]]:
        """Return what was ingested, by partition."""
        partitions: dict[str, list[Ingested]] = {}
        for _, ingested in self.ingested:
            partitions.setdefault(ingested.partition_key, []).append(ingested)
        return partitions
