"""What the pipeline asks of a stream: a few short answers, all of them pure."""

from datetime import datetime
from typing import BinaryIO, Protocol

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.table import Table
from cubic_ingestion.parsing.records import Records


class Stream(Protocol):
    """One way Cubic data arrives."""

    has_snapshots: bool
    """Whether its loads belong to snapshots of their table."""

    def accepts(self, table: Table, file_name: str) -> bool:
        """Say whether the name is one the stream gives to its files."""
        ...

    def is_sidecar(self, key: str) -> bool:
        """Say whether an object only goes with another one, and is no load of its own."""
        ...

    def sidecar_key(self, key: str) -> str | None:
        """Return the key of a load's sidecar, or None if the stream has none."""
        ...

    def source_at(self, table: Table, version: ObjectVersion, sidecar: bytes | None) -> datetime:
        """Return the source's own time of a file, UTC.

        Raises:
            RejectedLoadError: The sidecar is not sound.
        """
        ...

    def opens_snapshot(self, table: Table, file_name: str) -> bool:
        """Say whether the file is the first of a full load."""
        ...

    def partition_key(self, table: Table, file_name: str, source_at: datetime, snapshot: datetime | None) -> str:
        """Return the Dagster partition of a load; never a character that the UI splits on."""
        ...

    def decode(self, table: Table, body: BinaryIO, sidecar: bytes | None, *, is_text: bool = False) -> Records:
        """Open a file's records.

        Args:
            table: Its table.
            body: The file, at its start; seekable.
            sidecar: Its sidecar's bytes, if it has one.
            is_text: Leave every column as text.

        Raises:
            RejectedLoadError: The file or its sidecar is not sound.
        """
        ...
