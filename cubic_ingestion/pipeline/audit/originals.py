"""Objects in Incoming, Archive and Error, page by page: whose each is."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from cubic_ingestion.domain.batch import DEAD_LETTER_PREFIX, OPEN_PREFIX
from cubic_ingestion.domain.incoming import Unknown
from cubic_ingestion.domain.layout import archive_filing, error_filing
from cubic_ingestion.domain.load import Load, ObjectVersion
from cubic_ingestion.domain.status import ENDED, LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.pipeline.audit.expected import (
    REASON_ENDING,
    Tally,
    expected,
    files_of,
    folder_of,
    incoming_key,
    is_held,
    is_text,
    is_under_way,
    loads_at,
)
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.register import is_settled
from cubic_ingestion.pipeline.scan import FORSAKEN, why_unknown
from cubic_ingestion.streams import STREAMS

Owners = Mapping[str, Sequence[Load]]

_MOVING = {
    Place.ARCHIVE: (LoadStatus.READY_FOR_ARCHIVING, LoadStatus.ARCHIVING),
    Place.ERROR: (LoadStatus.READY_FOR_ERRORING, LoadStatus.ERRORING),
}
_SWEPT_AFTER = timedelta(days=2)
"""The Kafka batcher removes a part that it never recorded after a day, when it next takes the shard."""


class IncomingCheck:
    """Every settled file of an active table is an unfinished load; what is no load's is only counted."""

    zone = "incoming"

    def __init__(self, platform: Platform, audit: Audit) -> None:
        self.platform = platform
        self.store = platform.stores.incoming
        self._audit = audit
        self._by_prefix = {table.prefix: table for table in platform.tables.values()}

    def pages(self) -> Iterator[Sequence[ObjectVersion]]:
        """List Incoming; what is no object there is counted, and named."""
        return self.store.list("", skipped=self._skip)

    def _skip(self, key: str, why: str) -> None:
        self._audit.objects[self.zone] += 1
        self._audit.left_alone.add(Unknown(key, why))

    def check(self, page: Sequence[ObjectVersion], seen: Tally) -> Iterator[Finding]:
        """Check a page of the listing; one query, and one more if sidecars are left without their files."""
        del seen
        yield from self._strange_parts([version for version in page if version.key.startswith(OPEN_PREFIX)])
        forsaken = [version for version in page if self._is_forsaken(version)]
        late = list(self._late_sidecars(forsaken))
        told = {finding.key for finding in late}
        files = [version for version in page if version.key not in told and not self._is_left_alone(version)]
        yield from late
        owners = loads_at(self.platform.ledger, Place.INCOMING, [version.key for version in files])
        for version in files:
            load = next((load for load in owners.get(version.key, ()) if _is_of(load, version)), None)
            if load is None:
                problem = "No load is of this version."
                yield Finding.of(FindingCode.UNREGISTERED, self.zone, version.key, problem)
            elif load.status in ENDED and not load.is_frozen and not is_under_way(load, self.platform.clock.now()):
                copy = load.archive_key or load.error_key
                problem = f"Its load is {load.status}, with the original at '{copy}'."
                yield Finding.of(FindingCode.LEFT_BEHIND, self.zone, version.key, problem, load)

    def _is_left_alone(self, version: ObjectVersion) -> bool:
        table = self._by_prefix.get(folder_of(version.key))
        if version.key.endswith("/") or (table and not is_settled(self.platform, version)):
            return True
        if version.key.startswith(OPEN_PREFIX):
            self._audit.leave_alone(OPEN_PREFIX, "records of open batches, which the Kafka batcher keeps there")
            return True
        is_sidecar = table is not None and STREAMS[table.stream].is_sidecar(version.key)
        why = why_unknown(table, version.key) or (FORSAKEN if self._is_forsaken(version) else "")
        if why:
            self._audit.left_alone.add(Unknown(version.key, why))
        return bool(why) or is_sidecar

    def _strange_parts(self, parts: Sequence[ObjectVersion]) -> Iterator[Finding]:
        """Name the parts that no open batch has on record, and that the batcher should have removed by now."""
        since = self.platform.clock.now() - _SWEPT_AFTER
        old = [part.key for part in parts if part.modified_at < since and is_text(part.key)]
        known = self.platform.ledger.batches.part_keys(old) if old else ()
        for key in old:
            if key not in known:
                yield Finding.of(FindingCode.STRAY_OBJECT, self.zone, key, "No open batch has this part on record.")

    def _late_sidecars(self, forsaken: Sequence[ObjectVersion]) -> Iterator[Finding]:
        """Tell of the sidecars that came when their files had been archived with another, so that rows may be wrong."""
        keys = [file_key for version in forsaken for file_key in files_of(version.key)[1:]]
        owners = loads_at(self.platform.ledger, Place.INCOMING, keys) if keys else {}
        for version in forsaken:
            loads = [load for key in files_of(version.key)[1:] for load in owners.get(key, ())]
            newest = max(loads, key=lambda load: load.id, default=None)
            if newest and newest.status == LoadStatus.ARCHIVED:
                problem = f"It came after its file, which was ingested with another and is at '{newest.archive_key}'."
                yield Finding.of(FindingCode.LEFT_BEHIND, self.zone, version.key, problem, newest)

    def _is_forsaken(self, sidecar: ObjectVersion) -> bool:
        table = self._by_prefix.get(folder_of(sidecar.key))
        if table is None or not table.is_active or not is_text(sidecar.key):
            return False
        if not STREAMS[table.stream].is_sidecar(sidecar.key):
            return False
        age = self.platform.clock.now() - sidecar.modified_at
        is_old = age > timedelta(seconds=self.platform.limits.sidecar_wait_seconds)
        return is_old and not any(self.store.head(key) for key in files_of(sidecar.key)[1:])


class FiledCheck:
    """Every object in Archive or Error is the original of one load, its sidecar, or its reason."""

    def __init__(self, platform: Platform, place: Place) -> None:
        self.platform = platform
        self.place = place
        self.zone = "archive" if place is Place.ARCHIVE else "error"
        self.store = platform.stores.archive if place is Place.ARCHIVE else platform.stores.error

    def pages(self) -> Iterator[Sequence[ObjectVersion]]:
        """List the zone."""
        return self.store.list("")

    def check(self, page: Sequence[ObjectVersion], seen: Tally) -> Iterator[Finding]:
        """Check a page of the listing; one query, and one more if an object is nobody's."""
        keys = [file_key for version in page for file_key in files_of(version.key)]
        owners = loads_at(self.platform.ledger, self.place, keys)
        unowned: list[ObjectVersion] = []
        for version in page:
            loads = self._owners(version.key, owners)
            if not loads:
                unowned.append(version)
            elif finding := self._compare(version, loads):
                yield finding
            else:
                self._count(version, loads[0], seen)
        yield from self._strays(self._without_dead_letters(unowned))

    def _owners(self, key: str, owners: Owners) -> Sequence[Load]:
        found = next((owners[file_key] for file_key in files_of(key) if file_key in owners), ())
        return found or self._owner_by_id(key)

    def _owner_by_id(self, key: str) -> Sequence[Load]:
        """Find whose reason it is, where the file's name is too long to be in that of its reason."""
        name = key.rpartition("/")[2]
        load_id = name.removeprefix("load-").removesuffix(REASON_ENDING)
        if not (name == f"load-{load_id}{REASON_ENDING}" and load_id.isdecimal() and len(load_id) < 19):  # noqa: PLR2004 - digits that a database's integer holds
            return ()
        load = self.platform.ledger.queries.load(int(load_id))
        is_its = load is not None and (
            folder_of(load.error_key or "") == folder_of(key) or folder_of(key) in self._folders(load)
        )
        return [load] if load and is_its else ()

    def _compare(self, version: ObjectVersion, loads: Sequence[Load]) -> Finding | None:
        key, load = version.key, loads[0]
        if key not in (load.archive_key, load.error_key):
            return None
        if len(loads) > 1:
            problem = f"Loads {', '.join(str(each.id) for each in loads)} all have their original here."
            return Finding.of(FindingCode.CLAIMED_TWICE, self.zone, key, problem, load)
        if version.size_bytes != load.version.size_bytes:
            problem = f"It has {version.size_bytes} bytes; {load.version.size_bytes} were delivered."
            return Finding.of(FindingCode.ORIGINAL_DAMAGED, self.zone, key, problem, load)
        return None

    def _count(self, version: ObjectVersion, load: Load, seen: Tally) -> None:
        for wanted in expected(self.platform.tables, load):
            if (wanted.zone, wanted.key) == (self.zone, version.key):
                seen.add(wanted.part, load, wanted.key)

    def _strays(self, unowned: Sequence[ObjectVersion]) -> Iterator[Finding]:
        """Tell objects that are nobody's from those that a move under way has brought already."""
        if not unowned:
            return
        keys = [incoming_key(file_key) for version in unowned for file_key in files_of(version.key)]
        coming = loads_at(self.platform.ledger, Place.INCOMING, keys)
        for version in unowned:
            loads = [load for key in files_of(version.key) for load in coming.get(incoming_key(key), ())]
            if not any(self._is_coming(load) and folder_of(version.key) in self._folders(load) for load in loads):
                problem = "It belongs to no load." + "".join(
                    f" Load {load.id} is of a file with this name; it is {load.status}." for load in loads[-1:]
                )
                yield Finding.of(FindingCode.STRAY_OBJECT, self.zone, version.key, problem)

    def _is_coming(self, load: Load) -> bool:
        """Say whether a move may have brought a load's files to this zone before they are on record there."""
        is_refiled = load.status is LoadStatus.ARCHIVED and (load.is_replay_due or is_held(self.platform, load))
        return load.status in _MOVING[self.place] or (self.place is Place.ARCHIVE and is_refiled)

    def _without_dead_letters(self, unowned: Sequence[ObjectVersion]) -> Sequence[ObjectVersion]:
        """Leave out the files that the Kafka batcher has put on record."""
        letters = [version.key for version in unowned if version.key.startswith(DEAD_LETTER_PREFIX)]
        known = self.platform.ledger.batches.files(letters) if letters and self.place is Place.ERROR else ()
        return [version for version in unowned if version.key not in known]

    def _folders(self, load: Load) -> set[str]:
        """Where a load's original goes in this zone."""
        table = self.platform.tables.get(load.table)
        return set() if table is None else filing_folders(self.place, table, load)


def filing_folders(place: Place, table: Table, load: Load) -> set[str]:
    """Folders in Archive or Error into which a load's original may be moved."""
    filing = archive_filing if place is Place.ARCHIVE else error_filing
    return {filing(table, load, is_taken=is_taken).folder for is_taken in (False, True)}


def _is_of(load: Load, version: ObjectVersion) -> bool:
    """Say whether a load is of this version; one of the old layout, which kept no ETag, has time and size."""
    if load.version.etag.startswith("legacy:"):
        to_the_second = (load.version.size_bytes, load.version.modified_at.replace(microsecond=0))
        return to_the_second == (version.size_bytes, version.modified_at.replace(microsecond=0))
    return (load.version.etag, load.version.modified_at) == (version.etag, version.modified_at)
