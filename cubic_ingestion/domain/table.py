"""Declared tables: what a Cubic table is called, where its files land, and which columns it has."""

from dataclasses import dataclass
from enum import StrEnum


class StreamName(StrEnum):
    """The three ways Cubic data arrives."""

    ODS = "ods"
    DMAP = "dmap"
    KAFKA = "kafka"

    @property
    def prefix(self) -> str:
        """Prefix in Incoming under which every table of the stream has its own."""
        return _PREFIXES[self]


_PREFIXES = {StreamName.ODS: "cubic/ods_qlik/", StreamName.DMAP: "cubic/dmap/", StreamName.KAFKA: "cubic/kafka/"}


class OnBadValue(StrEnum):
    """What becomes of a load with a value that does not fit its column's type."""

    REJECT = "reject"
    """The load goes to Error, with the values in the reason."""
    QUARANTINE = "quarantine"
    """Its other records are written; those with such a value are kept in quarantine."""


class OnSchemaChange(StrEnum):
    """What becomes of a load with a column whose type neither was there before nor widens what was."""

    EVOLVE = "evolve"
    """It is written; over all files the column reads as text."""
    FREEZE = "freeze"
    """The load goes to Error."""


class Updates(StrEnum):
    """What NULL in an update of an ODS change table means."""

    SUPPLIED_VALUES = "supplied_values"
    """The value was not supplied, and stays as it was."""
    FULL_IMAGE = "full_image"
    """The value is NULL."""


MAX_COLUMNS = 10_000
"""A file with more has values where names belong (a JSON object that is a map, a header that is none); each name would
be a column of the table for good. Twice what the widest sound table has."""
MAX_FIELDS = 5_000
"""The same for one record of many in a file: it must not take the others to Error."""
MOST_INFLATED_BYTES = 64 << 30
MOST_INFLATION_RATIO = 500
"""How far a gzip file may inflate unless its table says otherwise, in all and for each of its bytes."""
RESERVED_COLUMNS = ("load_id", "snapshot", "identifier")
"""Columns that Springboard adds to every table, in its files or as names of folders."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    """In lower case, as Springboard has it."""
    type: str
    """Arrow type as text: ``string``, ``int64``, ``decimal128(19, 4)``, ``timestamp[ns]``, …"""
    description: str = ""
    source_type: str = ""
    """The vendor's own name of the type, for example ``NUMERIC(19,4)``; empty if the declaration gives the type."""


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """What a file's columns are for, beside their types. Names are in lower case."""

    primary_key: tuple[str, ...] = ()
    """The key columns in key order; empty if the file says that its table has no key."""
    headers: tuple[str, ...] = ()
    """Columns that Qlik adds to describe a change (sequence, operation, time), in the file's order."""


@dataclass(frozen=True, slots=True)
class Table:
    """One declared table: one asset, one prefix in Incoming, one view in the catalog."""

    name: str
    """Unique, for example ``cubic__ods_qlik__edw_sample`` or ``cubic__ods_qlik__edw_sample__ct``."""
    stream: StreamName
    prefix: str
    """Where its files land in Incoming; ends with ``/``."""
    columns: tuple[Column, ...] = ()
    """Declared columns in order; empty for ODS, whose ``.dfm`` sidecars name them file by file."""
    is_raw: bool = False
    """Every column stays a string, below ``raw/`` and as ``raw_<name>``."""
    is_active: bool = True
    """Files of an inactive table stay untouched in Incoming."""
    on_bad_value: OnBadValue = OnBadValue.REJECT
    on_schema_change: OnSchemaChange = OnSchemaChange.EVOLVE
    max_inflated_bytes: int = MOST_INFLATED_BYTES
    """A gzip file that inflates further is rejected."""
    max_inflation_ratio: int = MOST_INFLATION_RATIO
    """So is one that inflates to more than so many times its size, after its first 64 MiB."""
    topic: str = ""
    """Kafka: the topic whose records the batcher brings here; empty if others deliver the table's files."""
    topic_path: str = "topic"
    """Kafka: where in a record its topic stands, names separated by dots."""
    feed: str = ""
    """DMAP: path of the feed in the vendor's API that fills it; empty if others deliver the table's files."""
    fresh_within_hours: int | None = None
    """New data is expected within so many hours of the last; no expectation if None."""
    warn_after_hours: int | None = None
    """From when on to warn before that."""
    description: str = ""
    key: tuple[str, ...] = ()
    """ODS: the primary key, if the ``.dfm`` names none or another one counts; empty if the ``.dfm`` decides."""
    updates: Updates = Updates.SUPPLIED_VALUES
    """ODS: what NULL in an update means."""
    products: tuple[str, ...] | None = None
    """Which of its stream's products it has, with those that they are made of; all if None."""
    base: str | None = None
    """For an ODS change table (``…__ct``): the name of the table whose snapshots it follows."""

    @property
    def catalog_name(self) -> str:
        """Name of the table's view in the catalog."""
        return f"raw_{self.name}" if self.is_raw else self.name

    @property
    def snapshot_table(self) -> str:
        """Name of the table that owns the snapshots this one follows: its base, or itself."""
        return self.base or self.name
