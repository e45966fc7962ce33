"""ODS snapshots: which full load or change file belongs to which start of data collection.

The rules (docs/adr/0004): a LOAD file with the first counter value opens a snapshot. A file belongs to the newest
snapshot that started at or before the file's own time. A change file older than every known snapshot goes to the one
that is current when it is planned; a LOAD file older than every known one goes to the oldest. A snapshot that becomes
known late takes over what is its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """One start (or restart) of data collection of an ODS table."""

    started_at: datetime
    """UTC, to the second; the snapshot's identity within its table."""
    key: str
    """The LOAD file that opened it."""


def snapshot_id(started_at: datetime) -> str:
    """Format a snapshot as paths and partitions have it.

    >>> snapshot_id(datetime(2022, 3, 1, tzinfo=UTC))
    '20220301T000000Z'
    """
    started_at = started_at.astimezone(UTC)
    return f"{started_at.year:04}{started_at:%m%dT%H%M%SZ}"


def snapshot_start(snapshot: str) -> datetime:
    """Return when a snapshot started, by its id.

    >>> snapshot_id(snapshot_start("20220301T000000Z"))
    '20220301T000000Z'
    """
    return datetime.strptime(snapshot, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def owning_snapshot(
    source_at: datetime, snapshots: Sequence[datetime], *, is_change: bool, current: datetime | None = None
) -> datetime | None:
    """Find the snapshot that a file belongs to.

    Args:
        source_at: The file's own time, UTC.
        snapshots: Starts of the table's known snapshots, in any order.
        is_change: Whether the file holds changes rather than a full load.
        current: The snapshot the file was given earlier, if any; kept where its time still precedes all.

    Returns:
        The snapshot's start, or None if none is known yet.
    """
    if not snapshots:
        return None
    started = [start for start in snapshots if start <= source_at]
    if started:
        return max(started)
    if is_change:
        return current or max(snapshots)
    return min(snapshots)
