"""The audit: zones, then loads, then the catalog, then the warehouse.

What looks wrong is looked at again before it is reported.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import CatalogUnavailableError, SettingsError, UnlistedFoldersError
from cubic_ingestion.ledger.records import Backlog, Place
from cubic_ingestion.pipeline.audit.catalogued import CatalogCheck
from cubic_ingestion.pipeline.audit.expected import Tally
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode, Tell
from cubic_ingestion.pipeline.audit.originals import FiledCheck, IncomingCheck
from cubic_ingestion.pipeline.audit.products import ProductsCheck
from cubic_ingestion.pipeline.audit.shown import ShownCheck
from cubic_ingestion.pipeline.audit.springboard import SpringboardCheck
from cubic_ingestion.pipeline.audit.stuck import held_too_long
from cubic_ingestion.pipeline.audit.walk import LoadsCheck
from cubic_ingestion.pipeline.audit.warehouse import WarehouseCheck
from cubic_ingestion.pipeline.incoming import require_incoming
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import ObjectStore

LOOKS = 3
"""A load may move between the look at an object and that at the database, but not every time."""


class Check(Protocol):
    """One comparison of the audit, which yields its findings as it goes, and keeps no list of what it looks at.

    To add a comparison: a module beside this one with such a class, its codes and remedies in ``findings``, and its
    turn in ``audit``. What the pipeline may not import (Dagster) is handed to ``audit`` as ``further``.
    """

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield what is wrong; ``tell`` is called with what is looked at and how many more."""
        ...


class ZoneCheck(Protocol):
    """Compares the objects of one zone with the loads."""

    zone: str
    store: ObjectStore

    def pages(self) -> Iterator[Sequence[ObjectVersion]]:
        """List the zone."""
        ...

    def check(self, page: Sequence[ObjectVersion], seen: Tally) -> Iterator[Finding]:
        """Yield what is wrong with the objects of a page, and count the others as seen."""
        ...


def audit(
    platform: Platform,
    tell: Tell | None = None,
    take: Callable[[Finding], None] | None = None,
    further: Sequence[Check] = (),
) -> Audit:
    """Compare all zones, the catalog and the warehouse with the ledger; nothing is changed, and ingestion may go on.

    Args:
        platform: The platform.
        tell: Told, as the work goes on, of what kind how many more were looked at.
        take: Told of every discrepancy as it is found.
        further: Comparisons of what the pipeline does not know, done last.

    Returns:
        The first discrepancies, the number of all, and what was proved. Memory stays flat, whatever there is and
        whatever is found.

    Raises:
        SettingsError: Incoming is not there, so that nothing can be said of it.
    """
    require_incoming(platform.stores.incoming)
    done, seen, tell = Audit(take), Tally(), tell or _tell_nobody
    zones: Sequence[ZoneCheck] = (
        IncomingCheck(platform, done),
        FiledCheck(platform, Place.ARCHIVE),
        FiledCheck(platform, Place.ERROR),
        SpringboardCheck(platform, done),
    )
    findings = chain(
        chain.from_iterable(_objects(zone, done, seen, tell) for zone in zones),
        LoadsCheck(platform, done, seen).check(tell),
        held_too_long(platform, platform.clock.now()),
        CatalogCheck(platform, done).check(tell),
        _warehouse(platform, done, seen, tell),
        chain.from_iterable(check.check(tell) for check in further),
    )
    for finding in findings:
        done.report(finding)
    done.pending += [*_rejected(platform)]
    for consumer, deliveries in platform.ledger.deliveries.items():
        done.pending += [*_pending(consumer, deliveries.backlog())]
    return done


def _pending(consumer: Consumer, backlog: Sequence[Backlog]) -> Iterator[str]:
    """Word what a consumer does not show yet; the findings say so where it has waited for too long."""
    for behind in backlog:
        since = f"{behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC"
        changes = counted(behind.n_changes, "change")
        yield f"{behind.table}: {changes} that {consumer.called} does not show yet, the oldest since {since}"


def _rejected(platform: Platform) -> Iterator[str]:
    """Word which rejected loads are not in Error yet; where nothing moves, they are found nowhere else."""
    for count in platform.ledger.queries.status_counts():
        if count.status in {LoadStatus.READY_FOR_ERRORING, LoadStatus.ERRORING}:
            loads = counted(count.n_loads, "rejected load is", "rejected loads are")
            yield f"{count.table}: {loads} not in Error yet, see 'cubic loads list --status {count.status.value}'"


def _warehouse(platform: Platform, done: Audit, seen: Tally, tell: Tell) -> Iterator[Finding]:
    """Check the warehouse's objects and the products; if the warehouse does not answer, that is the finding."""
    try:
        yield from ProductsCheck(platform, done).check(tell)
        yield from ShownCheck(platform).check(tell)
        objects = WarehouseCheck(platform)
        yield from _objects(objects, done, seen, tell)
        yield from objects.missing()
    except (CatalogUnavailableError, SettingsError) as error:
        yield Finding.of(FindingCode.WAREHOUSE_UNREADABLE, WarehouseCheck.zone, "", str(error))
    except FileNotFoundError as error:
        problem = "It says which files a table needs, and it is not there, so not all products were compared."
        yield Finding.of(FindingCode.NEEDED_FILE_MISSING, WarehouseCheck.zone, str(error), problem)


def _objects(zone: ZoneCheck, done: Audit, seen: Tally, tell: Tell) -> Iterator[Finding]:
    """Check a zone page by page."""
    done.objects[zone.zone] = 0
    try:
        for page in zone.pages():
            done.objects[zone.zone] += sum(not version.key.endswith("/") for version in page)
            yield from _confirmed(zone, page, seen)
            tell(zone.zone, len(page))
    except UnlistedFoldersError as error:  # raised after the objects of all other folders
        done.unlisted |= {(zone.zone, folder) for folder in error.reasons}
        for folder, reason in error.reasons.items():
            yield Finding.of(FindingCode.NOT_LISTED, zone.zone, folder, f"It cannot be listed ({reason}).")


def _tell_nobody(what: str, n: int) -> None:
    """Take the place of a progress bar."""


def _confirmed(check: ZoneCheck, page: Sequence[ObjectVersion], seen: Tally) -> list[Finding]:
    """Check a page, and what is wrong with it again and again, each time as it is by then."""
    findings = list(check.check(page, seen))
    for _ in range(LOOKS - 1):
        if not findings:
            break
        standing = [version for finding in findings if (version := check.store.head(finding.key))]
        findings = list(check.check(standing, seen))
    return findings
