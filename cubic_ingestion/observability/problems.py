"""What can be wrong with the platform as a whole, in codes that probes and alerts build on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ProblemCode(StrEnum):
    """What is wrong. The values are contract: probes, alerts and the runbook name them."""

    WAITING_TOO_LONG = "waiting_too_long"
    """A load lacks nothing but a run, and none takes it."""
    CLAIM_EXPIRED = "claim_expired"
    """The process that held a load died, and no other has taken it."""
    ERRORED = "errored"
    """Loads were sent to Error lately."""
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
    since: datetime | None
    """Since when, as far as that can be said."""
    message: str
    remedy: str
