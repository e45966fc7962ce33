"""The loads, page by page: whether each has what it should have, and whether somebody can still work on it."""

from collections.abc import Iterator, Sequence

from cubic_ingestion.domain.layout import springboard_key
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import ENDED, LoadStatus
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.pipeline.audit.expected import Expected, Part, Tally, expected, is_superseded, is_under_way
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode, Tell
from cubic_ingestion.pipeline.audit.originals import filing_folders
from cubic_ingestion.pipeline.audit.stuck import stuck
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import ObjectStore

PAGE_LOADS = 1_000

_MISSING = {
    Part.ARCHIVED: FindingCode.ORIGINAL_MISSING,
    Part.ERRORED: FindingCode.ORIGINAL_MISSING,
    Part.SIDECAR: FindingCode.SIDECAR_MISSING,
    Part.REASON: FindingCode.REASON_MISSING,
    Part.ROWS: FindingCode.ROWS_MISSING,
    Part.QUARANTINE: FindingCode.QUARANTINE_MISSING,
}


class LoadsCheck:
    """Goes through all loads; looks for their objects only where the zones' listings did not show them all."""

    def __init__(self, platform: Platform, audit: Audit, seen: Tally) -> None:
        self.platform = platform
        self._audit = audit
        self._seen = seen
        self._now = platform.clock.now()

    def pages(self) -> Iterator[Sequence[Load]]:
        """Yield all loads, in order of id."""
        last = 0
        while page := self.platform.ledger.queries.loads_after(last, PAGE_LOADS):
            yield page
            last = page[-1].id

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Check what the ledger says of the loads, and that the listings showed what they should have."""
        wanted = Tally()
        for page in self.pages():
            for load in page:
                self._audit.n_loads += 1
                for each in expected(self.platform.tables, load):
                    wanted.add(each.part, load, each.key)
            yield from self._check_page(page)
            tell("loads", len(page))
        if unseen := wanted.differing(self._seen):
            for page in self.pages():
                yield from (finding for load in page for finding in self._missing(load, unseen))
                tell("loads looked at again", len(page))

    def _check_page(self, page: Sequence[Load]) -> Iterator[Finding]:
        for load in page:
            if finding := stuck(self.platform, load, self._now):
                yield from self._if_it_stays(load, finding)
            is_hidden = self._audit.is_hidden("incoming", load.version.key)
            if load.status not in ENDED and not is_hidden and not self._has_original(load):
                problem = "Neither Incoming nor any place on its way has it."
                finding = Finding.of(FindingCode.ORIGINAL_MISSING, "incoming", load.version.key, problem, load)
                yield from self._if_it_stays(load, finding)
        yield from self._without_place(page)

    def _missing(self, load: Load, parts: set[Part]) -> Iterator[Finding]:
        """Look for a load's objects one by one; what is not there is looked for again with the load as it is now."""
        for each in expected(self.platform.tables, load):
            if each.part not in parts or self._audit.is_hidden(each.zone, each.key) or self._store(each).head(each.key):
                continue
            now = self.platform.ledger.queries.load(load.id)
            if now is None or each not in expected(self.platform.tables, now) or self._store(each).head(each.key):
                continue
            if each.part is Part.ERRORED and self._was_overwritten(now):
                continue
            if is_under_way(now, self.platform.clock.now()) and now.status in ENDED:
                continue  # a replay moves originals and rows, and is not done
            problem = f"The {each.part} of the load is not there."
            yield Finding.of(_MISSING[each.part], each.zone, each.key, problem, now)

    def _was_overwritten(self, load: Load) -> bool:
        """Say whether other bytes took the place of a rejected version before it could be moved."""
        return any(other.id > load.id for other in self.platform.ledger.queries.versions(load.version.key))

    def _without_place(self, page: Sequence[Load]) -> Iterator[Finding]:
        """Check that a later version of the same file owns the place of each archived load that has none."""
        places = {
            springboard_key(table, load): load
            for load in page
            if load.status is LoadStatus.ARCHIVED and load.location is None and load.archive_key
            if (table := self.platform.tables.get(load.table)) and not is_under_way(load, self._now)
        }
        owners = self.platform.ledger.queries.newest_at(list(places)) if places else {}
        for key, load in places.items():
            owner = owners.get(key)
            if (owner is None or owner.id < load.id) and not self._has_version_under_way(load):
                problem = "Its rows are nowhere, and no later version of its file has taken their place."
                finding = Finding.of(FindingCode.ROWS_MISSING, "springboard", key, problem, load)
                yield from self._if_it_stays(load, finding)

    def _has_version_under_way(self, load: Load) -> bool:
        versions = self.platform.ledger.queries.versions(load.version.key)
        return any(is_under_way(other, self._now) for other in versions)

    def _has_original(self, load: Load) -> bool:
        """Say whether an unfinished load's file is in Incoming (in whatever version), in Error, or on its way."""
        stores, name = self.platform.stores, load.version.file_name
        if is_superseded(load) or stores.incoming.head(load.version.key):
            return True
        if load.error_key and stores.error.head(load.error_key):
            return True
        table = self.platform.tables.get(load.table)
        on_the_way = ((Place.ARCHIVE, stores.archive), (Place.ERROR, stores.error))
        return table is not None and any(
            store.head(folder + name) for place, store in on_the_way for folder in filing_folders(place, table, load)
        )

    def _if_it_stays(self, load: Load, finding: Finding) -> Iterator[Finding]:
        """Yield a finding unless the load has changed since it was read."""
        if self.platform.ledger.queries.load(load.id) == load:
            yield finding

    def _store(self, each: Expected) -> ObjectStore:
        stores = self.platform.stores
        return {"archive": stores.archive, "error": stores.error, "springboard": stores.springboard}[each.zone]
