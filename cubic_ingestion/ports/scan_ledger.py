"""The metadata database, as scans of Incoming see it."""

from collections.abc import Mapping
from typing import Protocol

from cubic_ingestion.domain.incoming import Scan


class ScanLedger(Protocol):
    """What is on record of the listings of each prefix of Incoming.

    Every method raises ``DatabaseUnavailableError`` for what may pass.
    """

    def scans(self) -> Mapping[str, Scan]:
        """Return the listings on record, by prefix."""
        ...

    def record_scan(self, scan: Scan) -> None:
        """Record the listings of a prefix, in place of what was on record; idempotent, in one transaction."""
        ...
