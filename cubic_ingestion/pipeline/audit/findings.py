"""What an audit can find, what to do about each, and what it proved."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cubic_ingestion.domain.incoming import UnknownGroups
from cubic_ingestion.domain.load import Load

Tell = Callable[[str, int], None]
"""Told, while an audit goes on, of what kind how many more were looked at."""

KEPT_FINDINGS = 100
"""Findings that an audit keeps; the others are told to who asked for them, and counted."""
KEPT_FOLDERS = 1_000
"""Folders whose objects that were left alone are counted by themselves."""


class FindingCode(StrEnum):
    """What is wrong; each is told in the runbook."""

    UNREGISTERED = "unregistered"
    NOT_LISTED = "not_listed"
    LEFT_BEHIND = "left_behind"
    STRAY_OBJECT = "stray_object"
    CLAIMED_TWICE = "claimed_twice"
    ORIGINAL_MISSING = "original_missing"
    ORIGINAL_DAMAGED = "original_damaged"
    SIDECAR_MISSING = "sidecar_missing"
    REASON_MISSING = "reason_missing"
    ROWS_MISSING = "rows_missing"
    PARQUET_DAMAGED = "parquet_damaged"
    ROW_COUNT_MISMATCH = "row_count_mismatch"
    WRONG_LOAD_ID = "wrong_load_id"
    QUARANTINE_MISSING = "quarantine_missing"
    QUARANTINE_MISMATCH = "quarantine_mismatch"
    UNRECORDED_ROWS = "unrecorded_rows"
    STUCK = "stuck"
    NOT_IN_CATALOG = "not_in_catalog"
    DANGLING_PARTITION = "dangling_partition"
    CATALOG_BEHIND = "catalog_behind"
    CATALOG_UNREADABLE = "catalog_unreadable"
    NOT_IN_PRODUCT = "not_in_product"
    LEFT_IN_PRODUCT = "left_in_product"
    PRODUCT_ROWS_MISMATCH = "product_rows_mismatch"
    PRODUCT_OUT_OF_STEP = "product_out_of_step"
    PRODUCT_BEHIND = "product_behind"
    PRODUCT_NOT_SHOWN = "product_not_shown"
    UNKNOWN_PRODUCT = "unknown_product"
    FOLD_MISMATCH = "fold_mismatch"
    FOLD_NOT_COMPARED = "fold_not_compared"
    NEEDED_FILE_MISSING = "needed_file_missing"
    NEEDED_FILE_DAMAGED = "needed_file_damaged"
    UNNEEDED_FILE = "unneeded_file"
    WAREHOUSE_UNREADABLE = "warehouse_unreadable"
    NOT_IN_DAGSTER = "not_in_dagster"
    WITHOUT_ROWS = "without_rows"
    DAGSTER_BEHIND = "dagster_behind"


_REBUILD = "Run 'cubic products rebuild' with the name of the product: Springboard has all rows."
_REPLAY = "Materialize the load's partition: a replay writes it again from Archive."

REMEDIES = {
    FindingCode.UNREGISTERED: "Run 'cubic ingest', or start the daemon.",
    FindingCode.NOT_LISTED: "Permit this process to list the folder, and audit again: nothing below it was looked at.",
    FindingCode.LEFT_BEHIND: "Compare it with the copy that the load names; if they are equal, delete this one.",
    FindingCode.STRAY_OBJECT: "Find out who put it there, and remove it; to have it ingested, move it to Incoming.",
    FindingCode.CLAIMED_TWICE: "Keep the object. Report it with 'cubic loads show' of both loads; this is a defect.",
    FindingCode.ORIGINAL_MISSING: "Restore it from a backup, or ask the vendor for the file again.",
    FindingCode.ORIGINAL_DAMAGED: "Restore it from a backup, or ask the vendor for the file again.",
    FindingCode.SIDECAR_MISSING: "Restore it from a backup, or ask the vendor for it; a replay needs it.",
    FindingCode.REASON_MISSING: "None is needed: 'cubic loads show' has the same reason.",
    FindingCode.ROWS_MISSING: _REPLAY,
    FindingCode.PARQUET_DAMAGED: _REPLAY,
    FindingCode.ROW_COUNT_MISMATCH: _REPLAY,
    FindingCode.WRONG_LOAD_ID: _REPLAY,
    FindingCode.QUARANTINE_MISSING: _REPLAY,
    FindingCode.QUARANTINE_MISMATCH: _REPLAY,
    FindingCode.UNRECORDED_ROWS: (
        "If the load has not ended, run 'cubic ingest': its next try replaces or removes these rows, which people can "
        "query. If it has ended, delete the object; a replay, or 'cubic loads retry', brings the rows back."
    ),
    FindingCode.STUCK: "Declare the table active, or run 'cubic ingest'; if it stays, restart the daemon.",
    FindingCode.NOT_IN_CATALOG: "Run 'cubic catalog refresh' with '--table'.",
    FindingCode.DANGLING_PARTITION: "Drop these partitions in the catalog; no rows are lost by that.",
    FindingCode.CATALOG_BEHIND: "Look at the sensor 'catalog' and the runs of 'update_catalog'; mend what it refuses.",
    FindingCode.CATALOG_UNREADABLE: "Mend what the problem says, and audit again; the zones are audited all the same.",
    FindingCode.NOT_IN_PRODUCT: _REBUILD,
    FindingCode.LEFT_IN_PRODUCT: _REBUILD,
    FindingCode.PRODUCT_ROWS_MISMATCH: _REBUILD,
    FindingCode.PRODUCT_OUT_OF_STEP: _REBUILD,
    FindingCode.PRODUCT_BEHIND: "Look at the sensor 'products' and the runs of 'update_products'; correct the reason.",
    FindingCode.PRODUCT_NOT_SHOWN: "Run 'cubic catalog refresh'.",
    FindingCode.UNKNOWN_PRODUCT: "If its table was declared once, declare it again; else drop it in the catalog.",
    FindingCode.FOLD_MISMATCH: f"{_REBUILD} Report it, too: this is a defect, or another program wrote to the table.",
    FindingCode.FOLD_NOT_COMPARED: "Run 'cubic ingest', then 'cubic audit --fold' again, while no merge goes on.",
    FindingCode.NEEDED_FILE_MISSING: _REBUILD,
    FindingCode.NEEDED_FILE_DAMAGED: _REBUILD,
    FindingCode.UNNEEDED_FILE: "Look at the schedule 'hourly_cleaning' and the runs of 'clean_warehouse'.",
    FindingCode.WAREHOUSE_UNREADABLE: "Correct what the problem names, and audit again; all else was audited.",
    FindingCode.NOT_IN_DAGSTER: "Materialize these partitions in Dagster: a replay reports them.",
    FindingCode.WITHOUT_ROWS: "Materialize these partitions in Dagster: they then show as they are.",
    FindingCode.DAGSTER_BEHIND: "Look at the sensor 'unreported_partitions', or run 'cubic ingest', which reports too.",
}
"""What to do, by code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One discrepancy."""

    code: FindingCode
    zone: str
    """The zone that is not as it should be."""
    key: str
    """The object that is wrong, or is not there."""
    load_id: int | None
    """The load that it concerns, if one is known."""
    problem: str

    @classmethod
    def of(cls, kind: FindingCode, zone: str, key: str, problem: str, load: Load | None = None) -> "Finding":
        """Word a discrepancy about an object."""
        return cls(kind, zone, key, load.id if load else None, problem)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.code]


@dataclass(slots=True)
class Counted:
    """Partitions of one table that differ in one way: how many, and the first of them."""

    n: int = 0
    first: tuple[str, ...] = ()

    def add(self, values: tuple[str, ...]) -> None:
        """Count one more."""
        self.first = min(self.first, values) if self.n else values
        self.n += 1


@dataclass(slots=True)
class Audit:
    """What an audit found, and what it proved; of the same size whatever there is."""

    take: Callable[[Finding], None] | None = None
    """Told of every finding at once."""
    findings: list[Finding] = field(default_factory=list[Finding])
    """The first ``KEPT_FINDINGS``."""
    n_findings: int = 0
    left_alone: UnknownGroups = field(default_factory=lambda: UnknownGroups(max_folders=KEPT_FOLDERS))
    """Objects that are nobody's and need not be anybody's, by folder and reason."""
    pending: list[str] = field(default_factory=list[str])
    """What the catalog or Dagster does not show yet, because the change is still queued."""
    unlisted: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Zones and folders that could not be listed."""
    objects: Counter[str] = field(default_factory=Counter[str])
    """Objects looked at, by zone."""
    n_loads: int = 0
    n_rows: int = 0
    """Rows in Springboard that the footers of Parquet files and the loads agree on."""
    n_quarantined: int = 0
    """The same, of records in quarantine."""
    n_partitions: int = 0
    """Partitions that the catalog and the ledger agree on."""
    n_product_rows: int = 0
    """Rows of products that their data files and the ledger agree on."""
    n_folded_rows: int | None = None
    """Rows that were folded again and are the same; None if that was not asked for."""

    def report(self, finding: Finding) -> None:
        """Pass a finding on, and count it."""
        self.n_findings += 1
        if len(self.findings) < KEPT_FINDINGS:
            self.findings.append(finding)
        if self.take:
            self.take(finding)

    def is_hidden(self, zone: str, key: str) -> bool:
        """Say whether a key lies below a folder that could not be listed, so that nothing can be said of it."""
        return any(zone == its_zone and key.startswith(folder) for its_zone, folder in self.unlisted)

    def leave_alone(self, folder: str, why: str) -> None:
        """Count an object that need not be anybody's; from a great many folders on, without saying where."""
        self.left_alone.count(folder, why)

    @property
    def notes(self) -> list[str]:
        """What is worth knowing and no discrepancy."""
        return [str(group) for group in self.left_alone.sorted()]

    @property
    def proved(self) -> dict[str, int]:
        """How much was looked at and agreed on."""
        zones = {f"{zone}_objects": n for zone, n in sorted(self.objects.items())}
        counts = {"rows": self.n_rows, "quarantined": self.n_quarantined, "partitions": self.n_partitions}
        folded = {} if self.n_folded_rows is None else {"folded_rows": self.n_folded_rows}
        return {**zones, "loads": self.n_loads, **counts, "product_rows": self.n_product_rows, **folded}
