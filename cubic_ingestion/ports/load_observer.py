"""The metadata database, as those who watch it see it: counts that stay cheap however many loads are on record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from cubic_ingestion.domain.arrivals import DeliveredDay
from cubic_ingestion.domain.batch import ShardProgress
from cubic_ingestion.domain.holding import Holding
from cubic_ingestion.domain.incoming import Scan
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.ports.outbox import OutboxBacklog


@dataclass(frozen=True, slots=True)
class OpenLoads:
    """Loads of one table in one status in which they do not stay."""

    table: str
    status: LoadStatus
    n_loads: int
    n_lacking: int
    """Of these, loads that wait for a sidecar or snapshot."""
    oldest_at: datetime | None
    """Since when the oldest of the others is on its way; None if there is none."""
    oldest_expired_at: datetime | None
    """Since when the oldest claim that is not given back has expired, if one has."""


@dataclass(frozen=True, slots=True)
class ErroredLoads:
    """Loads of one table that were rejected for one reason, which nobody has acknowledged."""

    table: str
    code: str
    n_loads: int
    newest_at: datetime
    """When the last of them was rejected or filed."""
    n_moving: int = 0
    """Those of them whose originals are not in Error yet."""


@dataclass(frozen=True, slots=True)
class QuarantinedLoads:
    """Loads of one table with records in quarantine, which nobody has acknowledged."""

    table: str
    n_loads: int
    n_records: int
    newest_at: datetime
    """When the last of them was ingested, or changed since."""


@dataclass(frozen=True, slots=True)
class LoadTotal:
    """What loads of one table in one status sum up to."""

    table: str
    status: LoadStatus
    n_loads: int
    n_rows: int
    """Rows that stand in Springboard."""
    n_quarantined: int
    n_bytes: int
    """Size of the Parquet files that stand in Springboard."""
    n_source_bytes: int
    """Size of the originals."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest data of a table that can be queried."""

    source_at: datetime
    """The source's own time of the newest file."""
    registered_at: datetime
    """When that file was registered."""


@dataclass(frozen=True, slots=True)
class Passage:
    """How long one load took."""

    table: str
    landed_at: datetime
    """LastModified of the original."""
    registered_at: datetime
    archived_at: datetime


@dataclass(frozen=True, slots=True)
class FullLoad:
    """The files of the newest snapshot of an ODS table."""

    table: str
    snapshot: datetime
    file_names: Sequence[str]
    newest_at: datetime
    """When the last of them was registered."""


class LoadObserver(Protocol):
    """What is asked again and again by probes, dashboards and sensors; nothing is changed.

    Every method raises ``DatabaseUnavailableError`` for what may pass.
    """

    def open_loads(self, now: datetime) -> Sequence[OpenLoads]:
        """Count the loads that are under way, by table and status."""
        ...

    def holdings(self) -> Sequence[Holding]:
        """Return everything that somebody holds, expired or not; loads are counted by table and holder."""
        ...

    def errored(self, since: datetime | None = None) -> Sequence[ErroredLoads]:
        """Count the loads in Error that nobody has acknowledged, by table and code: all, or filed since a moment."""
        ...

    def quarantined(self) -> Sequence[QuarantinedLoads]:
        """Count the loads with records in quarantine that nobody has acknowledged, by table."""
        ...

    def unreported(self) -> Sequence[OutboxBacklog]:
        """Return what Dagster does not show yet, by table."""
        ...

    def newest_id(self) -> int:
        """Return the id of the load registered last; 0 if there is none."""
        ...

    def open_ids(self, after: int, through: int, limit: int) -> Sequence[int]:
        """Return the first ids, in order, of loads with ``after < id <= through`` that are under way."""
        ...

    def totals(self, after: int, through: int | None = None, without: Collection[int] = ()) -> Sequence[LoadTotal]:
        """Sum up the loads with ``after < id <= through`` by table and status, some left out."""
        ...

    def totals_of(self, load_ids: Collection[int]) -> Sequence[LoadTotal]:
        """Sum up some loads by table and status."""
        ...

    def newest(self) -> Mapping[str, Newest]:
        """Return the newest data of each table that has any."""
        ...

    def passages(self, limit: int) -> Sequence[Passage]:
        """Return how long the archived ones of the ``limit`` newest loads took."""
        ...

    def source_times(self, tables: Collection[str], limit: int) -> Mapping[str, Sequence[datetime]]:
        """Return, by table that has files, the source's own times of its latest ones, newest first."""
        ...

    def n_heard(self, stretches: Mapping[str, Sequence[tuple[datetime, datetime]]]) -> Mapping[str, int]:
        """Count, by table, in how many of its stretches of source time it has a file.

        A stretch is without its beginning and with its end.
        """
        ...

    def days(self, tables: Collection[str], since: datetime) -> Mapping[str, Mapping[date, DeliveredDay]]:
        """Return, by table and day of data since a moment, what came of it.

        Only files whose source time is a day count, that is, midnight.
        """
        ...

    def full_loads(self, tables: Collection[str]) -> Sequence[FullLoad]:
        """Return the newest full load of each table that has one."""
        ...

    def scans(self) -> Mapping[str, Scan]:
        """Return the listings of Incoming that are on record, by prefix."""
        ...

    def shard_progress(self) -> Sequence[ShardProgress]:
        """Return how far the Kafka batcher is with each shard of the streams it reads."""
        ...
