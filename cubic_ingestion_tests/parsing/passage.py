"""A file's whole way, from Incoming to the Parquet in Springboard, for tests that care for what comes out."""

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion_tests.builders import an_ods_table
from cubic_ingestion_tests.depot import Depot

REJECTED = (LoadStatus.READY_FOR_ERRORING, LoadStatus.ERRORING, LoadStatus.ERRORED)


@dataclass(frozen=True)
class Arrived:
    """What became of a file."""

    load: Load
    rows: pa.Table | None
    """Its Parquet without ``load_id``; None if there is none."""

    @property
    def reason(self) -> tuple[str, int | None, str | None] | None:
        """Code, row and column of its rejection."""
        error = self.load.error
        return (error.code, error.row, error.column) if error and self.load.status in REJECTED else None


class Passage:
    """A platform that takes one file after the other, each into a table of its own."""

    def __init__(self, root: Path) -> None:
        self._depot = Depot.build(root, [])
        self._numbers = count(1)

    def next_number(self) -> int:
        """Return a number that no table has yet."""
        return next(self._numbers)

    def take_ods(self, data: bytes, sidecar: bytes, *, name: str = "LOAD1.csv.gz") -> Arrived:
        """Take a full load with its sidecar."""
        number = self.next_number()
        table = an_ods_table(name=f"cubic__ods_qlik__t{number}", prefix=f"cubic/ods_qlik/EDW.T{number}/")
        self._depot.put(f"{table.prefix}{name.removesuffix('.gz').removesuffix('.csv')}.dfm", sidecar)
        return self.take(table, name, data)

    def take(self, table: Table, name: str, data: bytes) -> Arrived:
        """Take a file into a table that has none yet."""
        depot = replace(self._depot, platform=replace(self._depot.platform, tables={table.name: table}))
        depot.put(table.prefix + name, data)
        depot.ingest()
        [load] = depot.platform.ledger.queries.loads(tables=[table.name], limit=10)
        depot.archive()
        if load.location is None:
            return Arrived(load, None)
        rows = pq.ParquetFile(depot.root / "springboard" / load.location).read()
        return Arrived(load, rows.drop_columns(["load_id"]))
