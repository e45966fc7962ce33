"""Objects in the warehouse: a kept snapshot needs each, or its grace period is not over; and none is missing.

An object that was written or replaced a short while ago is never wrong: a merge may be about to commit it, and
``clean`` may not have seen it yet. So the audit may read the snapshots once, and merges may go on.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.pipeline.audit.expected import Tally
from cubic_ingestion.pipeline.audit.findings import Finding, FindingCode
from cubic_ingestion.pipeline.cleaning import leased_products
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.warehouse.locations import ROOT, UNNEEDED

_UNTIL_CLEANED = timedelta(hours=2)
"""``clean`` runs every hour. Its run may wait, or fail once."""


class WarehouseCheck:
    """Compares the objects of the warehouse with the snapshots that are kept.

    Args:
        platform: The platform.

    Raises:
        CatalogUnavailableError: The warehouse's catalog did not answer.
        FileNotFoundError: A file is missing that says which files a snapshot needs.
        SettingsError: The warehouse cannot be used as it is configured.
    """

    zone = "warehouse"

    def __init__(self, platform: Platform) -> None:
        self.store = platform.warehouse.bucket
        self._platform = platform
        self._kept = frozenset(platform.warehouse.kept_keys())
        self._unseen = set(self._kept)
        self._marks: Mapping[str, datetime] = platform.warehouse.unneeded_since()
        self._last_commits: dict[str, datetime | None] = {}
        self._patience = timedelta(hours=platform.limits.warehouse_grace_hours) + _UNTIL_CLEANED

    def pages(self) -> Iterator[Sequence[ObjectVersion]]:
        """List the warehouse."""
        return self.store.list("")

    def check(self, page: Sequence[ObjectVersion], seen: Tally) -> Iterator[Finding]:
        """Yield what nobody needs and nobody removes; no object belongs to a load, so none is counted as ``seen``."""
        del seen
        for version in page:
            self._unseen.discard(version.key)
            if version.key in self._kept or version.key.endswith(f"/{UNNEEDED}"):
                continue
            if not version.key.startswith(ROOT):
                problem = "It is in the folder of no product."
                yield Finding.of(FindingCode.STRAY_OBJECT, self.zone, version.key, problem)
            elif (since := self._unneeded_since(version)) and self._is_overdue(since):
                problem = f"No kept snapshot has needed it since {since:%Y-%m-%d %H:%M:%S} UTC, and it is still there."
                yield Finding.of(FindingCode.UNNEEDED_FILE, self.zone, version.key, problem)

    def missing(self) -> Iterator[Finding]:
        """Look for what a kept snapshot needs and the listing did not show; call this after the listing."""
        lost = [key for key in sorted(self._unseen) if not self.store.head(key)]
        still_kept = self._platform.warehouse.kept_keys() if lost else ()
        for key in lost:
            if key in still_kept:
                problem = "A kept snapshot needs it, and it is not there."
                yield Finding.of(FindingCode.NEEDED_FILE_MISSING, self.zone, key, problem)

    def _unneeded_since(self, version: ObjectVersion) -> datetime | None:
        """Return since when an object is not needed at the latest; None if that is not known.

        ``clean`` has marked the object, or has not seen it yet. Then the last commit of its table is the last moment at
        which the object can have left the kept snapshots.
        """
        if version.key in self._marks:
            return self._marks[version.key]
        if not self._is_overdue(version.modified_at):
            return None
        name = version.key.removeprefix(ROOT).partition("/")[0]
        if name not in self._last_commits:
            self._last_commits[name] = self._last_commit(name)
        committed_at = self._last_commits[name]
        return committed_at and max(committed_at, version.modified_at)

    def _last_commit(self, name: str) -> datetime | None:
        """Return when a table was last changed; None if somebody works on it, or it was dropped."""
        if name in leased_products(self._platform):
            return None
        table = self._platform.warehouse.open(name)
        return table.snapshot.committed_at if table and table.snapshot else None

    def _is_overdue(self, since: datetime) -> bool:
        return self._platform.clock.now() - since > self._patience
