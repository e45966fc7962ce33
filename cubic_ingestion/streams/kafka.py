"""Kafka: JSON batches, each an opaque id, holding one array or one object a line."""

from datetime import datetime
from typing import BinaryIO

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.table import Table
from cubic_ingestion.parsing.json_records import read_json
from cubic_ingestion.parsing.records import Records


class KafkaStream:
    """A batch is its own partition; its id is a token that nothing is read from."""

    has_snapshots = False

    def accepts(self, table: Table, file_name: str) -> bool:
        """Take JSON, plain or gzip."""
        del table
        return file_name.endswith((".json", ".json.gz"))

    def is_sidecar(self, key: str) -> bool:
        """No sidecars here."""
        del key
        return False

    def sidecar_key(self, key: str) -> str | None:
        """No sidecars here."""
        del key
        return None

    def source_at(self, table: Table, version: ObjectVersion, sidecar: bytes | None) -> datetime:
        """When the batch was cut, which is when it was written."""
        del table, sidecar
        return version.modified_at

    def opens_snapshot(self, table: Table, file_name: str) -> bool:
        """No snapshots here."""
        del table, file_name
        return False

    def partition_key(self, table: Table, file_name: str, source_at: datetime, snapshot: datetime | None) -> str:
        """The batch's id."""
        del table, source_at, snapshot
        return file_name.removesuffix(".gz").removesuffix(".json")

    def decode(self, table: Table, body: BinaryIO, sidecar: bytes | None, *, is_text: bool = False) -> Records:
        """Top-level fields by name; nested values keep their JSON text."""
        del sidecar
        columns = () if table.is_raw else table.columns
        return read_json(body, columns=columns, typed=not (is_text or table.is_raw))
