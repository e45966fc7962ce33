"""The record of scans: when each prefix was listed, and what was seen. Watchers read it; nothing is decided by it."""

from dataclasses import replace
from itertools import chain

from cubic_ingestion.domain.incoming import Scan, Seen, UnknownGroup, UnknownGroups
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.scan import ScannedPage, outside


def left_alone(platform: Platform) -> list[UnknownGroup]:
    """Return what no table takes: below the streams' prefixes as the last scans saw it, and elsewhere as it is now."""
    scanned = (scan.seen.unknown for scan in platform.ledger.intake.scans().values())
    return [*outside(platform.stores.incoming), *chain.from_iterable(scanned)]


class ScanRecord:
    """Counts what one pass over a prefix sees, and adds it to what earlier passes of the same listing saw.

    Args:
        platform: The platform.
        prefix: What is listed.
        after: Key that the listing goes on after; empty if it begins.
    """

    def __init__(self, platform: Platform, prefix: str, after: str) -> None:
        self._platform = platform
        now = platform.clock.now()
        known = platform.ledger.intake.scans().get(prefix, Scan(prefix, now, now))
        self._scan = known if after else replace(known, started_at=now)
        self._goes_on = bool(after)
        self._is_known_from_start = not after or known.resume_after == after
        self._seen = known.so_far if after and self._is_known_from_start else Seen()
        self._unknown = UnknownGroups(self._seen.unknown)

    def add(self, page: ScannedPage, *, n_unsettled: int) -> None:
        """Count a page."""
        for unknown in page.unknown:
            self._unknown.add(unknown)
        self._seen = Seen(
            self._seen.n_objects + page.n_objects,
            self._seen.n_unsettled + n_unsettled,
            self._seen.n_unknown + len(page.unknown),
            tuple(self._unknown.sorted()),
        )

    def pause(self, resume_after: str) -> Seen:
        """Record that the listing goes on after a key; returns what it has seen so far."""
        so_far = (resume_after, self._seen) if self._is_known_from_start else ("", Seen())
        self._record(replace(self._scan, resume_after=so_far[0], so_far=so_far[1]))
        return self._seen

    def end(self) -> Seen:
        """Record that the listing reached the end of the prefix; returns what it has seen.

        A listing in one pass leaves alone what is on record of another listing, which goes on at the next pass.
        """
        done = replace(self._scan, listed_at=self._platform.clock.now())
        if self._is_known_from_start:
            done = replace(done, seen=self._seen)
        self._record(replace(done, resume_after="", so_far=Seen()) if self._goes_on else done)
        return self._seen

    def fail(self, problem: str) -> None:
        """Record that Incoming could not be listed; the next pass begins where this one did."""
        self._platform.ledger.intake.record_scan(replace(self._scan, problem=problem))

    def _record(self, scan: Scan) -> None:
        self._platform.ledger.intake.record_scan(replace(scan, active_at=self._platform.clock.now(), problem=None))
