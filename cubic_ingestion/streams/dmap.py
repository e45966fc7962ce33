"""DMAP: daily CSV files of the vendor's REST API, plain or gzip, one data set a file."""

import re
from datetime import UTC, datetime
from typing import BinaryIO

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.table import Table
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.inflate import InflateLimits
from cubic_ingestion.parsing.records import Records

FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
"""First daily partition; the oldest data set the vendor offers is of 2022."""

_DAY = re.compile(r"(?<!\d)(\d{8})(?!\d)")
_MONTH = re.compile(r"(?<!\d)(\d{6})(?!\d)")


class DmapStream:
    """A data set is named for the day (or month) it covers; a restated one comes back under the same name."""

    has_snapshots = False

    def accepts(self, table: Table, file_name: str) -> bool:
        """Take CSV, plain or gzip."""
        del table
        return file_name.endswith((".csv", ".csv.gz"))

    def is_sidecar(self, key: str) -> bool:
        """No sidecars here."""
        del key
        return False

    def sidecar_key(self, key: str) -> str | None:
        """No sidecars here."""
        del key
        return None

    def source_at(self, table: Table, version: ObjectVersion, sidecar: bytes | None) -> datetime:
        """Day in the file's name, first of the month in it, or else the moment it was modified.

        A date that lies before the first partition or after the day of delivery cannot be the day of the data.
        """
        del table, sidecar
        delivered = version.modified_at.astimezone(UTC)
        day = _date(_DAY, "%Y%m%d", version.file_name) or _date(_MONTH, "%Y%m", version.file_name)
        if day and FIRST_DAY <= day <= delivered:
            return day
        return max(delivered, FIRST_DAY)  # with its time of day, which says that the name has no day

    def opens_snapshot(self, table: Table, file_name: str) -> bool:
        """No snapshots here."""
        del table, file_name
        return False

    def partition_key(self, table: Table, file_name: str, source_at: datetime, snapshot: datetime | None) -> str:
        """The day."""
        del table, file_name, snapshot
        return f"{source_at:%Y-%m-%d}"

    def decode(self, table: Table, body: BinaryIO, sidecar: bytes | None, *, is_text: bool = False) -> Records:
        """Columns by name; new ones are kept as text and missing ones are NULL, since the vendor promises neither."""
        del sidecar
        return read_delimited(
            body,
            columns=table.columns,
            undeclared="keep",
            missing="null",
            typed=not (is_text or table.is_raw),
            limits=InflateLimits(table.max_inflated_bytes, table.max_inflation_ratio),
        )


def _date(pattern: re.Pattern[str], form: str, file_name: str) -> datetime | None:
    for text in pattern.findall(file_name):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
