"""The tables of the ledger. Names and columns are contract: people query them."""

from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.ledger.columns import BIG_ID, UtcDateTime


class Base(DeclarativeBase):
    """What all models have in common; ``Base.metadata`` is the schema that the newest migration must equal."""

    type_annotation_map: ClassVar[dict[type, TypeEngine[datetime] | type[UtcDateTime]]] = {datetime: UtcDateTime}


def _partial_index(column: str) -> Index:
    """Index only the rows that have a value."""
    condition = text(f"{column} IS NOT NULL")
    return Index(f"ix_cubic_loads_{column}", column, sqlite_where=condition, postgresql_where=condition)


def _counting_index(name: str, where: str) -> Index:
    """Hold all that is counted and summed up by table and status, so that the table itself need not be read."""
    columns = ("table_id", "status", "n_rows", "n_quarantined", "inserted_at", "updated_at")
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


_STATUSES = ", ".join(repr(status.value) for status in LoadStatus)


class CubicTable(Base):
    """A declared table; an ODS base table and its change table are two rows."""

    __tablename__ = "cubic_tables"
    __table_args__ = (
        Index("uq_cubic_tables_name", "name", unique=True),
        Index("uq_cubic_tables_s3_prefix", "s3_prefix", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    name: Mapped[str]
    s3_prefix: Mapped[str]
    """Where its files land in Incoming; ends with ``/``."""
    is_raw: Mapped[bool]
    is_active: Mapped[bool]
    deleted_at: Mapped[datetime | None]
    """Since when it is declared no longer."""
    inserted_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CubicLoad(Base):
    """A load: one version of one object in Incoming, and what became of it."""

    __tablename__ = "cubic_loads"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", "ck_cubic_loads_status"),
        # An unversioned bucket gives the same bytes the same ETag again, so the time belongs to the identity.
        Index("uq_cubic_loads_version", "s3_key", "s3_etag", "s3_modified", unique=True),
        Index("ix_cubic_loads_work", "table_id", "status", "partition_key"),
        Index("ix_cubic_loads_source_at", "table_id", "source_at", "id"),
        Index(
            "ix_cubic_loads_replay_due",
            *("table_id", "status", "partition_key"),
            sqlite_where=text("is_replay_due = 1"),
            postgresql_where=text("is_replay_due"),
        ),
        Index(
            "ix_cubic_loads_quarantined",
            "table_id",
            sqlite_where=text("n_quarantined > 0"),
            postgresql_where=text("n_quarantined > 0"),
        ),
        Index(
            "ix_cubic_loads_explained",
            "table_id",
            sqlite_where=text("error_code IS NOT NULL"),
            postgresql_where=text("error_code IS NOT NULL"),
        ),
        # Each load is in one of the two.
        _counting_index("ix_cubic_loads_standing", "location IS NOT NULL"),
        _counting_index("ix_cubic_loads_without_rows", "location IS NULL"),
        _partial_index("claimed_by"),
        _partial_index("location"),
        _partial_index("archive_key"),
        _partial_index("error_key"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    table_id: Mapped[int] = mapped_column(BIG_ID, ForeignKey("cubic_tables.id", name="fk_cubic_loads_table_id"))
    status: Mapped[str]
    s3_key: Mapped[str]
    s3_etag: Mapped[str]
    """Version id where the store has versions, else the ETag; ``legacy:<id>`` for one the old layout recorded."""
    s3_modified: Mapped[datetime]
    s3_size: Mapped[int] = mapped_column(BIG_ID)
    is_raw: Mapped[bool]
    source_at: Mapped[datetime | None]
    partition_key: Mapped[str | None]
    waits_for: Mapped[str | None]
    attempts: Mapped[int]
    retry_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    claim_expires_at: Mapped[datetime | None]
    location: Mapped[str | None]
    archive_key: Mapped[str | None]
    error_key: Mapped[str | None]
    n_rows: Mapped[int | None] = mapped_column(BIG_ID)
    n_bytes: Mapped[int | None] = mapped_column(BIG_ID)
    n_quarantined: Mapped[int | None] = mapped_column(BIG_ID)
    schema_id: Mapped[int | None] = mapped_column(
        BIG_ID, ForeignKey("cubic_table_schemas.id", name="fk_cubic_loads_schema_id")
    )
    is_replay_due: Mapped[bool]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_row: Mapped[int | None] = mapped_column(BIG_ID)
    error_column: Mapped[str | None]
    error_cells: Mapped[str | None]
    """JSON: up to 100 bad cells, each as row, column, value, type."""
    retried_at: Mapped[datetime | None]
    """When it was last brought back from Error."""
    sidecar_etag: Mapped[str | None]
    """Version of the sidecar it was planned with."""
    acknowledged_at: Mapped[datetime | None]
    """When a person said that its rejection or its quarantined records are known; another try clears it."""
    acknowledged_by: Mapped[str | None]
    acknowledged_reason: Mapped[str | None]
    deleted_at: Mapped[datetime | None]
    inserted_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CubicTableSchema(Base):
    """Columns that files of a table were delivered with."""

    __tablename__ = "cubic_table_schemas"
    __table_args__ = (
        Index("uq_cubic_table_schemas_fingerprint", "table_id", "fingerprint", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    table_id: Mapped[int] = mapped_column(BIG_ID, ForeignKey("cubic_tables.id", name="fk_cubic_table_schemas_table_id"))
    fingerprint: Mapped[str]
    """SHA-256 of ``columns`` and ``primary_key``, because an index over long texts has limits."""
    columns: Mapped[str]
    """JSON: each column as name, type, the vendor's own name of the type."""
    primary_key: Mapped[str | None]
    """JSON: names of the key columns in key order. None (here and below): no sidecar, or recorded before keys were."""
    header_columns: Mapped[str | None]  # JSON: names of the columns that Qlik adds to describe a change
    inserted_at: Mapped[datetime]


class CubicScan(Base):
    """The newest listings of a prefix of Incoming."""

    __tablename__ = "cubic_scans"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    """When the newest listing began, whether or not it ended."""
    active_at: Mapped[datetime]
    """When a listing last went on, whether or not it reached the end of the prefix."""
    listed_at: Mapped[datetime | None]
    """When a listing last reached the end of the prefix; None if none did."""
    n_objects: Mapped[int] = mapped_column(BIG_ID)
    """Objects that the last whole listing saw."""
    n_unsettled: Mapped[int] = mapped_column(BIG_ID)
    """Of these, objects that may still be written to."""
    n_unknown: Mapped[int] = mapped_column(BIG_ID)
    """Of these, objects that no table takes."""
    unknown: Mapped[str | None]
    """JSON: the first of the unknown objects by folder, each with the reason."""
    resume_after: Mapped[str | None]
    """JSON: key after which the newest listing goes on; None if it reached the end."""
    so_far: Mapped[str | None]
    """JSON: what the newest listing has seen up to that key."""
    problem: Mapped[str | None]
    """Why the newest listing failed; None if it did not."""


class CubicTableOdsSnapshot(Base):
    """A start of data collection of an ODS table, kept under its base table."""

    __tablename__ = "cubic_table_ods_snapshots"
    __table_args__ = (
        Index("uq_cubic_table_ods_snapshots", "table_id", "snapshot", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    table_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey("cubic_tables.id", name="fk_cubic_table_ods_snapshots_table_id")
    )
    snapshot: Mapped[datetime | None]
    """None only where the old layout knew the key and not yet the time."""
    snapshot_s3_key: Mapped[str | None]


class CubicLoadOdsSnapshot(Base):
    """The snapshot that an ODS load belongs to."""

    __tablename__ = "cubic_load_ods_snapshots"
    __table_args__ = (
        Index("uq_cubic_load_ods_snapshots_load_id", "load_id", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    load_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey("cubic_loads.id", name="fk_cubic_load_ods_snapshots_load_id")
    )
    snapshot: Mapped[datetime]


class CubicDmapFeed(Base):
    """A feed of the vendor's REST API."""

    __tablename__ = "cubic_dmap_feeds"
    __table_args__ = (
        Index("uq_cubic_dmap_feeds_relative_url", "relative_url", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    relative_url: Mapped[str]
    last_updated_at: Mapped[datetime | None]
    """Every data set up to then is fetched."""
    fetched_at: Mapped[datetime | None]
    """When it was last fetched, with or without success."""
    leased_by: Mapped[str | None]
    """Who fetches it."""
    lease_expires_at: Mapped[datetime | None]
    n_problems: Mapped[int] = mapped_column(server_default=text("0"))
    """How much the last fetch could not get."""
    problem: Mapped[str | None]
    """The first of it, and why."""


class CubicDmapDataset(Base):
    """A data set of a feed, as of its last restatement that was fetched."""

    __tablename__ = "cubic_dmap_datasets"
    __table_args__ = (
        Index("uq_cubic_dmap_datasets_identifier", "feed_id", "identifier", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    feed_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey("cubic_dmap_feeds.id", name="fk_cubic_dmap_datasets_feed_id")
    )
    type: Mapped[str]
    identifier: Mapped[str]
    start_date: Mapped[date]
    end_date: Mapped[date]
    last_updated_at: Mapped[datetime]
    s3_key: Mapped[str | None]
    """Where in Incoming it was written."""
    s3_etag: Mapped[str | None]
    """Version id where the store has versions, else the ETag."""


class CubicKafkaCheckpoint(Base):
    """How far the Kafka batcher has read a shard of a Kinesis stream."""

    __tablename__ = "cubic_kafka_checkpoints"

    stream: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[str] = mapped_column(primary_key=True)
    sequence_number: Mapped[str]


class CubicKafkaShard(Base):
    """A shard of a Kinesis stream: which batcher holds it, and how far it is behind."""

    __tablename__ = "cubic_kafka_shards"

    stream: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[str] = mapped_column(primary_key=True)
    leased_by: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    wanted_by: Mapped[str | None]
    """A batcher that has no shard and asks for this one."""
    arrived_at: Mapped[datetime | None]
    """When the newest record that was read arrived in the Kinesis stream."""
    behind_milliseconds: Mapped[int] = mapped_column(BIG_ID)
    read_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    """Since when all records of a shard that was closed are in Incoming."""


class CubicKafkaBatch(Base):
    """A batch of the Kafka batcher: a run of one table's records in one shard."""

    __tablename__ = "cubic_kafka_batches"
    __table_args__ = (
        Index("uq_cubic_kafka_batches_first", "stream", "shard", "table_name", "first_sequence_number", unique=True),
        Index("ix_cubic_kafka_batches_s3_key", "s3_key"),
        Index(
            "ix_cubic_kafka_batches_unwritten",
            *("stream", "shard"),
            sqlite_where=text("written_at IS NULL"),
            postgresql_where=text("written_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    stream: Mapped[str]
    shard: Mapped[str]
    table_name: Mapped[str]
    """``dead_letter`` for records that no table takes."""
    first_sequence_number: Mapped[str]
    """With ``:<number>`` behind it where a Kinesis record carries several."""
    last_sequence_number: Mapped[str]
    n_records: Mapped[int] = mapped_column(BIG_ID)
    n_bytes: Mapped[int] = mapped_column(BIG_ID)
    opened_at: Mapped[datetime]
    """When its first record arrived in the Kinesis stream."""
    cut_at: Mapped[datetime | None]
    """When its end was put on record; None while it is open."""
    written_at: Mapped[datetime | None]
    """When its file was known to stand under ``s3_key``."""
    s3_key: Mapped[str | None]
    """In Incoming; of dead letters, in Error."""


class CubicKafkaBatchPart(Base):
    """An object that keeps records of an open batch."""

    __tablename__ = "cubic_kafka_batch_parts"
    __table_args__ = (
        Index("ix_cubic_kafka_batch_parts_batch_id", "batch_id"),
        Index("uq_cubic_kafka_batch_parts_s3_key", "s3_key", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    batch_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey("cubic_kafka_batches.id", name="fk_cubic_kafka_batch_parts_batch_id")
    )
    s3_key: Mapped[str]
    last_sequence_number: Mapped[str]
    n_records: Mapped[int] = mapped_column(BIG_ID)
    n_bytes: Mapped[int] = mapped_column(BIG_ID)
