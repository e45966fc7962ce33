"""The audit: zones, then loads, then the catalog; what looks wrong is looked at again before it is reported."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.pipeline.audit.catalogued import CatalogCheck
from cubic_ingestion.pipeline.audit.expected import Tally
from cubic_ingestion.pipeline.audit.findings import Audit, Finding
from cubic_ingestion.pipeline.audit.originals import FiledCheck, IncomingCheck
from cubic_ingestion.pipeline.audit.springboard import SpringboardCheck
from cubic_ingestion.pipeline.audit.walk import LoadsCheck
from cubic_ingestion.ports import ObjectStore, Place, Platform

LOOKS = 3
"""A load may move between the look at an object and that at the database, but not every time."""

Tell = Callable[[str, int], None]


class ZoneCheck(Protocol):
    """Compares the objects of one zone with the loads."""

    zone: str
    store: ObjectStore

    def check(self, page: Sequence[ObjectVersion], seen: Tally) -> Iterator[Finding]:
        """Yield what is wrong with the objects of a page, and count the others as seen."""
        ...


def audit(platform: Platform, tell: Tell | None = None, take: Callable[[Finding], None] | None = None) -> Audit:
    """Compare all zones and the catalog with the metadata database; nothing is changed, and ingestion may go on.

    Args:
        platform: The platform.
        tell: Told, as the work goes on, of what kind how many more were looked at.
        take: Told of every discrepancy as it is found.

    Returns:
        The first discrepancies, the number of all, and what was proved. Memory is the same whatever is found; it grows
        with the partitions of the largest table.
    """
    done, seen = Audit(take), Tally()
    checks: Sequence[ZoneCheck] = (
        IncomingCheck(platform, done),
        FiledCheck(platform, Place.ARCHIVE),
        FiledCheck(platform, Place.ERROR),
        SpringboardCheck(platform, done),
    )
    for check in checks:
        done.objects[check.zone] = 0
        for page in check.store.list(""):
            done.objects[check.zone] += len(page)
            for finding in _confirmed(check, page, seen):
                done.report(finding)
            if tell:
                tell(check.zone, len(page))
    for finding in LoadsCheck(platform, done).check(seen, tell):
        done.report(finding)
    for finding in CatalogCheck(platform, done).check(tell):
        done.report(finding)
    return done


def _confirmed(check: ZoneCheck, page: Sequence[ObjectVersion], seen: Tally) -> list[Finding]:
    """Check a page, and what is wrong with it again and again, each time as it is by then."""
    findings = list(check.check(page, seen))
    for _ in range(LOOKS - 1):
        if not findings:
            break
        standing = [version for finding in findings if (version := check.store.head(finding.key))]
        findings = list(check.check(standing, seen))
    return findings
