"""ODS: Qlik Replicate full loads and change tracking, each CSV with a ``.dfm`` sidecar.

Names follow Qlik's file target: full loads ``LOAD<counter>`` or, from a parallel load, ``LOAD_<segment>_<counter>``,
with decimal or (AWS DMS) hexadecimal counters of any width; changes ``<YYYYMMDD>-<HHMMSSmmm>``, where some versions
write a tenth digit. The time in a change file's name is UTC.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.domain.table import Table
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.dfm import parse_dfm
from cubic_ingestion.parsing.inflate import InflateLimits
from cubic_ingestion.parsing.records import Records

_LOAD = re.compile(r"LOAD_?(?:(?P<segment>[0-9A-Fa-f]+)_)?(?P<counter>[0-9A-Fa-f]+)\.csv(?:\.gz)?")
_CHANGES = re.compile(r"(?P<second>\d{8}-\d{6})(?P<fraction>\d{3,4})\.csv(?:\.gz)?")


class OdsStream:
    """Full loads belong to the snapshot their time falls into, changes to the snapshot they follow."""

    has_snapshots = True

    def accepts(self, table: Table, file_name: str) -> bool:
        """Take LOAD files in a base table and timed files in a change table."""
        if table.base is None:
            return _LOAD.fullmatch(file_name) is not None
        return _change_time(file_name) is not None

    def is_sidecar(self, key: str) -> bool:
        """Every ``.dfm`` goes with the CSV of the same name."""
        return key.endswith(".dfm")

    def sidecar_key(self, key: str) -> str | None:
        """Same folder, same root, ``.dfm``."""
        return key.removesuffix(".gz").removesuffix(".csv") + ".dfm"

    def source_at(self, table: Table, version: ObjectVersion, sidecar: bytes | None) -> datetime:
        """Start of writing by the ``.dfm`` (LastModified if it is empty), or the time in a change file's name."""
        dfm = parse_dfm(sidecar or b"")
        own = dfm.started_at if table.base is None else _change_time(version.file_name)
        return own or version.modified_at

    def opens_snapshot(self, table: Table, file_name: str) -> bool:
        """The first counter value opens a snapshot; of parallel segments, the first segment's."""
        match = _LOAD.fullmatch(file_name)
        if table.base is not None or match is None:
            return False
        return int(match["counter"], 16) == 1 and int(match["segment"] or "1", 16) == 1

    def partition_key(self, table: Table, file_name: str, source_at: datetime, snapshot: datetime | None) -> str:
        """The snapshot; for changes the snapshot and the day, as one key."""
        del file_name
        if snapshot is None:
            message = f"A load of '{table.name}' cannot be placed without a snapshot."
            raise ValueError(message)
        key = snapshot_id(snapshot)
        return key if table.base is None else f"{key}_{source_at.astimezone(UTC):%Y-%m-%d}"

    def decode(self, table: Table, body: BinaryIO, sidecar: bytes | None, *, is_text: bool = False) -> Records:
        """Columns, types, dialect and counts are the sidecar's."""
        dfm = parse_dfm(sidecar or b"")
        records = read_delimited(
            body,
            columns=dfm.columns,
            dialect=dfm.dialect,
            undeclared="reject",
            missing="reject",
            expected_rows=dfm.record_count,
            typed=not (is_text or table.is_raw),
            limits=InflateLimits(table.max_inflated_bytes, table.max_inflation_ratio),
        )
        return replace(records, n_source_errors=dfm.error_count, notes={**dfm.notes, **records.notes}, roles=dfm.roles)


def load_counter(file_name: str) -> tuple[str, str] | None:
    """Return segment (empty if there is none) and counter of a LOAD file, as they stand in its name."""
    match = _LOAD.fullmatch(file_name)
    return None if match is None else (match["segment"] or "", match["counter"])


def _change_time(file_name: str) -> datetime | None:
    match = _CHANGES.fullmatch(file_name)
    if match is None:
        return None
    try:
        second = datetime.strptime(match["second"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return second + timedelta(seconds=int(match["fraction"]) / 10 ** len(match["fraction"]))
