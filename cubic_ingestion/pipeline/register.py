"""Register: record what a scan saw and the ledger does not know yet."""

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import structlog

from cubic_ingestion.domain.incoming import UnknownGroup
from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.errors import SettingsError, StoreUnavailableError
from cubic_ingestion.pipeline.incoming import require_incoming
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.scan import scan
from cubic_ingestion.pipeline.scan_record import ScanRecord

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """What one pass over Incoming found."""

    n_seen: int
    n_new: int
    unknown: tuple[UnknownGroup, ...] = ()
    """Objects that no table takes, those of earlier passes of the same listing among them."""
    n_unsettled: int = 0
    """Files that were changed so recently that they may still be written to; they are looked at later."""
    resume_after: str = ""
    """Key to go on after, if the time was up before the listing ended; else empty."""
    unlisted: dict[str, str] = field(default_factory=dict[str, str])
    """Why a folder could not be listed, by its key. Whatever arrives there stays unknown."""


def register(
    platform: Platform, stream: StreamName, *, after: str = "", timeout_seconds: float = float("inf")
) -> Registration:
    """Scan a stream's Incoming, and record every object version that is new and how far the scan came.

    New is the difference between the listing and the database; there is no watermark. A page is one transaction, so a
    crash loses at most the work of a page, which the next pass does again.
    """
    platform.ledger.tables.sync(platform.tables.values())
    record = ScanRecord(platform, stream.prefix, after)
    deadline = monotonic() + timeout_seconds
    n_seen = n_new = n_unsettled = 0
    resume_after = ""
    unlisted: dict[str, str] = {}
    try:
        require_incoming(platform.stores.incoming)
        forsaken_before = platform.clock.now() - timedelta(seconds=platform.limits.sidecar_wait_seconds)
        for page in scan(
            platform.stores.incoming, platform.tables, stream, after=after, forsaken_before=forsaken_before
        ):
            settled = [arrival for arrival in page.arrivals if is_settled(platform, arrival.version)]
            n_seen += len(page.arrivals)
            n_unsettled += len(page.arrivals) - len(settled)
            record.add(page, n_unsettled=len(page.arrivals) - len(settled))
            if n_registered := platform.ledger.intake.register(settled):
                _log.info("loads registered", stream=stream.value, n_new=n_registered)
            n_new += n_registered
            unlisted |= page.unlisted
            if monotonic() > deadline:
                resume_after = page.last_key
                break
    except (SettingsError, StoreUnavailableError) as error:
        record.fail(str(error))
        raise
    for folder, reason in unlisted.items():
        _log.warning("folder not listed", stream=stream.value, folder=folder, reason=reason)
    seen = record.pause(resume_after) if resume_after else record.end()
    return Registration(n_seen, n_new, seen.unknown, n_unsettled, resume_after, unlisted)


def is_settled(platform: Platform, version: ObjectVersion) -> bool:
    """Say whether an object has not changed for so long that nobody is still writing to it.

    A bucket shows whole objects only, but a local folder shows a file from its first byte on. A time in the future says
    nothing, so it does not delay.
    """
    age = platform.file_clock.now() - version.modified_at
    return not timedelta(0) <= age < timedelta(seconds=platform.limits.settle_seconds)
