"""What can be wrong with the platform as a whole, in codes that probes and alerts build on, and from when on."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cubic_ingestion.domain.limits import Limits


class ProblemCode(StrEnum):
    """What is wrong. The values are contract: probes, alerts and the runbook name them."""

    WAITING_TOO_LONG = "waiting_too_long"
    """A load lacks nothing but a run, and none takes it."""
    NOT_SCANNED = "not_scanned"
    """Nobody lists Incoming, so that what lands there is not even registered."""
    INCOMING_MISSING = "incoming_missing"
    """Incoming is not there, or cannot be listed."""
    CLAIM_EXPIRED = "claim_expired"
    """The process that held a load died, and no other has taken it."""
    CLAIM_AHEAD = "claim_ahead"
    """The clock of the process that took a claim or a lease is ahead."""
    ERRORED = "errored"
    """Loads lie in Error, and nobody has retried or acknowledged them."""
    QUARANTINED = "quarantined"
    """Records are in quarantine, and nobody has replayed or acknowledged their loads."""
    UNREPORTED = "unreported"
    """Dagster does not show what became of partitions."""
    CATALOG_BEHIND = "catalog_behind"
    """The catalog refused changes, or nobody tells it of them, so that queries do not find rows."""
    PRODUCT_BEHIND = "product_behind"
    """The last update of a product failed, or nobody updates the product, so that queries see an older state."""
    UNKNOWN_CHANGE = "unknown_change"
    """A change has an operation that nobody knows, or no sequence, so that the changes of its load are left out."""
    INCOMPLETE_SNAPSHOT = "incomplete_snapshot"
    """The snapshot that a product shows has a LOAD file in Error, so that rows are missing."""
    STALE = "stale"
    """A table has had no newer data for longer than its declaration allows."""
    MISSING_DAY = "missing_day"
    """A table with data of every day lacks some."""
    MISSING_LOAD_FILE = "missing_load_file"
    """The counters of a full load have a gap."""
    SILENT = "silent"
    """No file has come for longer than a table is used to."""


ARRIVAL_CODES = (ProblemCode.MISSING_DAY, ProblemCode.MISSING_LOAD_FILE, ProblemCode.SILENT, ProblemCode.STALE)
"""Problems of what the vendor or a fetcher did not deliver; nothing here can mend them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    code: ProblemCode
    table: str
    """Empty if it concerns no single table."""
    since: datetime | None
    """Since when, as far as that can be said."""
    message: str
    remedy: str


MAX_WAIT_SECONDS = 3_600
"""A load that lacks nothing may be on its way for so long."""

MAX_SCAN_SECONDS = 1_800
"""Incoming may not have been listed for so long."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on something is a problem."""

    limits: Limits
    """For how long claims and leases are taken."""
    max_wait_seconds: int = MAX_WAIT_SECONDS
    errored_hours: int | None = None
    """Loads sent to Error longer ago do not count; None: all count until somebody retries or acknowledges them."""
    ignored: Collection[ProblemCode] = ()
    """Codes that are not looked at."""
    max_scan_seconds: int = MAX_SCAN_SECONDS
