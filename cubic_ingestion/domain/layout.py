"""Where a load's files live in Springboard, Archive and Error (the object layout is contract)."""

from dataclasses import dataclass

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.domain.table import StreamName, Table

PART_NAME = "part-0.parquet"
"""One file a load: replacing one object is atomic in every store, replacing several is not (docs/adr/0003)."""

REASON_ENDING = ".error.json"

LONGEST_NAME_BYTES = 200
"""Longer file names are refused: with ``identifier=`` before or ``.error.json`` behind, a folder may not hold them."""


def springboard_prefix(table: Table) -> str:
    """Prefix of all the table's Parquet files.

    >>> from cubic_ingestion.domain.table import StreamName
    >>> springboard_prefix(Table("raw_me", StreamName.DMAP, "cubic/dmap/raw_me/", is_raw=True))
    'raw/cubic/dmap/raw_me/'
    """
    return f"raw/{table.prefix}" if table.is_raw else table.prefix


def springboard_key(table: Table, load: Load) -> str:
    """Key of the Parquet file of a load: one ``identifier=`` partition a load."""
    return f"{springboard_prefix(table)}{_snapshot_part(load)}identifier={load.version.file_name}/{PART_NAME}"


def partition_names(table: Table) -> tuple[str, ...]:
    """Names of the folders that a table's Parquet files lie in, outermost first.

    >>> from cubic_ingestion.domain.table import StreamName
    >>> partition_names(Table("a", StreamName.DMAP, "cubic/dmap/a/"))
    ('identifier',)
    """
    return ("snapshot", "identifier") if table.stream is StreamName.ODS else ("identifier",)


def partition_values(table: Table, location: str) -> tuple[str, ...] | None:
    """Read the values of a table's partition from the key of a file in it; None if it lies in no such folder.

    >>> from cubic_ingestion.domain.table import StreamName
    >>> table = Table("a", StreamName.DMAP, "cubic/dmap/a/")
    >>> partition_values(table, "cubic/dmap/a/identifier=20220304.csv/part-0.parquet")
    ('20220304.csv',)
    """
    names = partition_names(table)
    folders = [folder.partition("=") for folder in location.split("/")[-1 - len(names) : -1]]
    if tuple(name for name, _, _ in folders) != names:
        return None
    return tuple(value for _, _, value in folders)


def partition_folder(table: Table, values: tuple[str, ...]) -> str:
    """Prefix of the files of a table's partition.

    >>> from cubic_ingestion.domain.table import StreamName
    >>> partition_folder(Table("a", StreamName.DMAP, "cubic/dmap/a/"), ("20220304.csv",))
    'cubic/dmap/a/identifier=20220304.csv/'
    """
    folders = zip(partition_names(table), values, strict=True)
    return springboard_prefix(table) + "".join(f"{name}={value}/" for name, value in folders)


def quarantine_key(table: Table, location: str) -> str:
    """Key of the Parquet file with the records of a load that have a bad value.

    Args:
        table: The load's table.
        location: Where its other records stand.
    """
    return f"quarantine/{table.name}/{location.removeprefix('raw/').removeprefix(table.prefix)}"


@dataclass(frozen=True, slots=True)
class Filing:
    """Where an original is kept: the folder, below which its own name and its sidecar's stand."""

    folder: str
    """Ends with ``/``."""

    def key(self, incoming_key: str) -> str:
        """Key of a file of the load in this folder."""
        return self.folder + incoming_key.rpartition("/")[2]


def reason_key(load: Load, filing: Filing) -> str:
    """Key in Error of why a load was rejected, beside its original; named by the load's id if its name is too long."""
    name = load.version.file_name
    if len(name.encode()) > LONGEST_NAME_BYTES:
        name = f"load-{load.id}"
    return f"{filing.folder}{name}{REASON_ENDING}"


def archive_filing(table: Table, load: Load, *, is_taken: bool) -> Filing:
    """Folder in Archive of a load's original.

    Args:
        table: The load's table.
        load: The load; its snapshot counts.
        is_taken: Another version of the same file is already kept under the plain name, so this one gets
            ``version=<load id>/``.
    """
    return Filing(table.prefix + _snapshot_part(load) + _version_part(load, is_taken=is_taken))


def error_filing(table: Table, load: Load, *, is_taken: bool) -> Filing:
    """Folder in Error of a load's original, by its LastModified to the second."""
    modified = snapshot_id(load.version.modified_at)
    return Filing(f"{table.prefix}timestamp={modified}/{_version_part(load, is_taken=is_taken)}")


def _snapshot_part(load: Load) -> str:
    return f"snapshot={snapshot_id(load.snapshot)}/" if load.snapshot else ""


def _version_part(load: Load, *, is_taken: bool) -> str:
    return f"version={load.id}/" if is_taken else ""
