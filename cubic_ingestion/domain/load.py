"""A load: one version of one object in Incoming, and all that is known of it."""

from dataclasses import dataclass
from datetime import datetime

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, ColumnRoles
from cubic_ingestion.errors import BadCell, RejectedLoadError
from cubic_ingestion.outside_text import visible

OBJECT_FROZEN = "object_frozen"
"""Code of a load that was given up because its file has to be restored from an archive storage class of S3."""

_MOST_MESSAGE_CHARACTERS, _MOST_COLUMN_CHARACTERS = 2_000, 200


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object, as a listing or a HEAD shows it."""

    key: str
    etag: str
    """Version id where the store has versions, else the ETag."""
    size_bytes: int
    modified_at: datetime
    """The store's LastModified, UTC."""

    @property
    def file_name(self) -> str:
        """Last segment of the key, with its extension."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object version that a scan saw, and the declared table whose prefix it lies under."""

    table: str
    is_raw: bool
    version: ObjectVersion


@dataclass(frozen=True, slots=True)
class LoadError:
    """Why a load was rejected."""

    code: str
    message: str
    row: int | None = None
    column: str | None = None
    bad_cells: tuple[BadCell, ...] = ()
    """The first 100 cells that do not fit, by row; ``message`` has the total."""

    @classmethod
    def of(cls, error: RejectedLoadError) -> "LoadError":
        """Keep what an error says, cut to what people read; a file may have texts of any length in it."""
        column = error.column and _cut(visible(error.column), _MOST_COLUMN_CHARACTERS)
        return cls(error.code, _cut(error.message, _MOST_MESSAGE_CHARACTERS), error.row, column, tuple(error.bad_cells))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


@dataclass(frozen=True, slots=True)
class Load:
    """One row of ``cubic_loads``, with the name of its table and its ODS snapshot."""

    id: int
    table: str
    status: LoadStatus
    version: ObjectVersion
    is_raw: bool
    inserted_at: datetime
    updated_at: datetime
    source_at: datetime | None = None
    """The source's own time: start of a LOAD file, time in the name of a change file, day of a DMAP file; UTC."""
    snapshot: datetime | None = None
    """ODS only: the snapshot it belongs to, UTC, to the second."""
    partition_key: str | None = None
    """Dagster partition; None until the load is planned."""
    waits_for: str | None = None
    """Why a load waits, in words for people: what it lacks to be planned, or what went wrong with the last try."""
    attempts: int = 0
    """Tries at planning and ingesting it, those that a kill ended too; never more than the limit."""
    retry_at: datetime | None = None
    """A ready load is not claimed before this time."""
    claimed_by: str | None = None
    claim_expires_at: datetime | None = None
    location: str | None = None
    """Key of its Parquet file in Springboard; None until written, or if a newer version owns the place."""
    archive_key: str | None = None
    """Key of the original in Archive; None until it is there."""
    error_key: str | None = None
    """Key of the original in Error; None until it is there."""
    n_rows: int | None = None
    n_bytes: int | None = None
    """Size of the Parquet file."""
    is_replay_due: bool = False
    """Its snapshot changed after it was ingested; it is read again from Archive to its new place."""
    n_quarantined: int | None = None
    """Records with a bad value, kept in quarantine; None until written."""
    error: LoadError | None = None
    retried_at: datetime | None = None
    """When it was last brought back from Error."""
    sidecar_etag: str | None = None
    """Version of the sidecar that it was planned with, and is read and filed with."""
    acknowledged_at: datetime | None = None
    """When a person said that its rejection, or its records in quarantine, are known."""
    acknowledged_by: str | None = None
    acknowledged_reason: str | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether its file cannot even be copied to Error, and so stays where it lies."""
        return self.error is not None and self.error.code == OBJECT_FROZEN

    @property
    def waiting_since(self) -> datetime:
        """When it began to wait for what it still lacks."""
        return self.retried_at or self.inserted_at


def version_order(load: Load) -> int:
    """Sort key by which the newest version of a file comes last.

    A version that replaced another was registered after it; its LastModified may be older, where files are copied
    with their times.
    """
    return load.id


@dataclass(frozen=True, slots=True)
class LoadSchema:
    """The columns that a load's rows were written with."""

    load_id: int
    key: str
    columns: tuple[Column, ...]
    roles: ColumnRoles | None = None
    """None if nothing says so: the stream has no sidecars, or the file was read before roles were recorded."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a load belongs, as planning decided it."""

    load_id: int
    source_at: datetime
    partition_key: str
    snapshot: datetime | None = None
    sidecar_etag: str | None = None
    """Version of the sidecar that this was decided by."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a load whose rows are in Springboard."""

    load_id: int
    partition_key: str
    n_rows: int
    n_bytes: int
    location: str | None
    """None if a newer version of the same file already owns the place."""
    n_quarantined: int = 0
    """Records with a bad value, which are in quarantine and not among ``n_rows``."""
    columns: tuple[Column, ...] = ()
    """Columns of the file as it was written; empty if it was not."""
    roles: ColumnRoles | None = None
    """Roles of the columns by the file's sidecar; None if there is no sidecar."""
