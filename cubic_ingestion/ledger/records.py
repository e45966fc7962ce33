"""Records: what the ledger answers that is no load: counts, sums, backlogs, and what waits for a person."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from cubic_ingestion.domain.changes import ChangeKind
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column

if TYPE_CHECKING:
    from array import array


@dataclass(frozen=True, slots=True)
class StatusCount:
    """Loads of one table in one status."""

    table: str
    status: LoadStatus
    n_loads: int
    n_rows: int
    n_quarantined: int
    """Records in quarantine."""
    oldest_inserted_at: datetime
    newest_updated_at: datetime


@dataclass(frozen=True, slots=True)
class PartitionTotal:
    """What one partition of a table holds in Springboard."""

    n_loads: int
    n_rows: int
    n_bytes: int
    n_quarantined: int
    """Records in quarantine."""
    first_source_at: datetime
    last_source_at: datetime


class Place(StrEnum):
    """Where a load says that something of it stands; the value is the column that says so."""

    INCOMING = "s3_key"
    ARCHIVE = "archive_key"
    ERROR = "error_key"
    SPRINGBOARD = "location"


@dataclass(frozen=True, slots=True)
class StandingFile:
    """A file of a partition in Springboard."""

    location: str
    load_id: int
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    """Key columns in key order; empty if no sidecar names any."""


@dataclass(frozen=True, slots=True)
class SomeLoads:
    """Loads of one kind: how many there are, and the newest of them."""

    n_loads: int = 0
    loads: Sequence[Load] = ()

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return self.n_loads > 0


@dataclass(frozen=True, slots=True)
class OpenState:
    """What of a table waits for a person. Nothing here has been acknowledged."""

    rejected: SomeLoads = SomeLoads()
    """In Error, or on the way there."""
    failed_replays: SomeLoads = SomeLoads()
    """Archived loads that could not be read again; their earlier rows stand."""
    quarantined: SomeLoads = SomeLoads()
    """Loads with records in quarantine."""
    waiting: SomeLoads = SomeLoads()
    """Loads that lack nothing but a run, and have waited for too long."""

    def __bool__(self) -> bool:
        """Say whether anything waits."""
        return any((self.rejected, self.failed_replays, self.quarantined, self.waiting))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A change on its way to a consumer."""

    change_id: int
    load_id: int | None
    kind: ChangeKind
    partition_key: str
    """``WHOLE_TABLE`` if it concerns no partition."""
    location: str | None
    is_seed: bool = False
    """Whether it was made when the consumer began to follow the table, in case it does not know of it."""
    times: int = 1
    """How often it had been made."""


@dataclass(frozen=True, slots=True)
class TableDeliveries:
    """Deliveries of one table that somebody has leased to process them."""

    table: str
    deliveries: Sequence[Delivery]
    attempts: int
    """How many tries in a row have failed for the table."""

    @property
    def locations(self) -> Collection[str]:
        """Springboard keys whose rows changed, each once."""
        return dict.fromkeys(each.location for each in self.deliveries if each.location).keys()

    @property
    def partition_keys(self) -> Collection[str]:
        """Partitions that changed, each once; ``WHOLE_TABLE`` among them if the table did as a whole."""
        return dict.fromkeys(each.partition_key for each in self.deliveries).keys()


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes of one table that a consumer has not processed yet."""

    table: str
    n_changes: int
    oldest_at: datetime
    """When the first of them was recorded."""
    due_at: datetime | None
    """When they are tried (again), or when a lease on them ends; None if at once."""
    error: str | None
    """Why the last try failed."""


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


@dataclass(frozen=True, slots=True)
class SchemaInUse:
    """A schema that loads of a snapshot were written with."""

    load_id: int
    """The newest of these loads by source time."""
    source_at: datetime
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] | None
    """Empty if the sidecar says that there is no key; None if the load was recorded before keys were."""


@dataclass(frozen=True, slots=True)
class StandingLoad:
    """A load whose rows are in Springboard, as a product takes it."""

    load_id: int
    location: str
    identifier: str
    """Name of its file."""
    n_rows: int
    source_at: datetime
    snapshot: datetime | None
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class HeldLoad:
    """A load whose rows a product holds."""

    load_id: int
    etag: str
    """Version of the Parquet file that they are of."""
    n_rows: int
    place: tuple[str | int, ...]
    """The values of the product's partition that they are in; of ``__current``, the snapshot."""
    refused: str | None = None
    """``__current``: why the load's changes are not applied; None if they are."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a merge does to a load's rows."""

    load_id: int
    etag: str | None
    """The version that it puts in; None if it only takes rows out."""
    n_rows: int
    place: tuple[str | int, ...]
    refused: str | None = None
    """``__current``: why the load's changes are not applied."""


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """What is on record of a finished merge."""

    n_rows: int
    """Rows that the product has now."""
    n_files: int
    n_bytes: int
    seconds: float | None
    """How long it took; None for a build, which says nothing of the next merge."""
    generation: str | None = None
    """``__current``: the snapshot of its table that it shows now."""
    replaces: str | None = None
    """The snapshot that the merge began with; ``generation`` is recorded unless a person chose another one since."""


@dataclass(frozen=True, slots=True)
class RefusedLoads:
    """Loads whose changes a ``__current`` does not apply."""

    table: str
    """The base table."""
    product: str
    n_loads: int
    load_id: int
    """The first of them."""
    key: str
    """Its file."""
    why: str


@dataclass(frozen=True, slots=True)
class RecordedRows:
    """The rows that a product has of each load, as of one finished merge."""

    merge: int
    """Number of the merge; 0 if there was none."""
    by_place: Mapping[tuple[object, ...], tuple["array[int]", "array[int]"]]
    """By the values of the product's partition: ids of loads, and how many rows each has. 16 bytes per load."""
    generation: str | None
    """The snapshot that ``__current`` shows; None of other products."""
    n_rows: int
    """Rows of the product."""


@dataclass(frozen=True, slots=True)
class ProductState:
    """How far a product is."""

    table: str
    """The table that it is made of."""
    name: str
    merge: int
    """Number of its last finished merge."""
    snapshot_id: int | None
    """The warehouse's snapshot that the catalog shows."""
    merged_at: datetime | None
    merge_seconds: float | None
    newest_at: datetime | None
    """The source's own time of the newest load that it holds."""
    n_loads: int
    """Loads whose rows it holds."""
    n_rows: int
    n_files: int
    n_bytes: int
    generation: str | None = None
    """``__current``: the snapshot of its table that it shows."""
    chosen_over: str | None = None
    """The newest snapshot there was when a person chose ``generation``; None if nobody did."""
    settles_at: datetime | None = None
    """When a newer snapshot is complete, because no file of it has come for so long; None if none waits for that."""
