"""Objects in Springboard, page by page: whose rows each holds, and whether they are as many as on record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.derived_table import DerivedTable
from cubic_ingestion.domain.load import Load, ObjectVersion
from cubic_ingestion.domain.status import INGESTED, TO_ERROR
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.pipeline.audit.expected import (
    Part,
    Tally,
    expected,
    incoming_key,
    is_held,
    loads_at,
)
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.write import LOAD_ID
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore

_QUARANTINE = "quarantine/"
_OF_A_DERIVED_TABLE = "of a derived table, which an asset outside Cubic writes"


@dataclass(frozen=True, slots=True)
class Footer:
    """What the end of a Parquet file says."""

    n_rows: int
    load_ids: set[int] = field(default_factory=set[int])
    """Least and greatest value of ``load_id`` in each row group, where statistics were written."""
    writer_id: int | None = None
    """The load that wrote the file; None if the file does not say so."""


class SpringboardCheck:
    """Every Parquet file below a declared table's prefixes holds the rows of one load, or its quarantine."""

    zone = "springboard"

    def __init__(self, platform: Platform, audit: Audit) -> None:
        self.platform = platform
        self.store = platform.stores.springboard
        self._audit = audit
        self._prefixes = {table.prefix for table in platform.tables.values()}

    def pages(self) -> Iterator[Sequence[ObjectVersion]]:
        """List the zone."""
        return self.store.list("")

    def check(self, page: Sequence[ObjectVersion], seen: Tally) -> Iterator[Finding]:
        """Check a page of the listing; one query, one more if something is not as on record, and a footer an object."""
        locations = {version.key: self._locations(version.key) for version in page}
        owners = self._owners([location for several in locations.values() for location in several])
        suspects: dict[ObjectVersion, Finding] = {}
        for version in page:
            loads = [load for location in locations[version.key] for load in owners.get(location, ())]
            if not loads:
                suspects |= self._unowned(version)
            elif finding := self._compare(version, loads):
                suspects[version] = finding
            else:
                self._count(version, loads[0], seen)
        yield from self._explained(suspects)

    def _locations(self, key: str) -> list[str]:
        """Where the rows of an object's load may stand."""
        if not key.startswith(_QUARANTINE):
            return [key]
        name, _, rest = key.removeprefix(_QUARANTINE).partition("/")
        table = self.platform.tables.get(name)
        return [f"{raw}{table.prefix}{rest}" for raw in ("", "raw/")] if table else []

    def _owners(self, locations: Sequence[str]) -> Mapping[str, Sequence[Load]]:
        found = loads_at(self.platform.ledger, Place.SPRINGBOARD, locations)
        return {key: [load for load in loads if load.status not in TO_ERROR] for key, loads in found.items()}

    def _unowned(self, version: ObjectVersion) -> dict[ObjectVersion, Finding]:
        """Suspect an object that no load has on record; below no declared table it need not be a load's."""
        location = next(iter(self._locations(version.key)), "")
        folders = [location[: index + 1] for index, letter in enumerate(location) if letter == "/"]
        if self._prefixes.isdisjoint(folder.removeprefix("raw/") for folder in folders):
            why = _OF_A_DERIVED_TABLE if DerivedTable.is_key(version.key) else "of no declared table"
            self._audit.leave_alone(f"{self.zone}: {_above_partitions(version.key)}", why)
            return {}
        problem = "It holds the rows of no load."
        return {version: Finding.of(FindingCode.STRAY_OBJECT, self.zone, version.key, problem)}

    def _explained(self, suspects: Mapping[ObjectVersion, Finding]) -> Iterator[Finding]:
        """Yield what is wrong, unless somebody works on the file: rows are published before they are recorded."""
        if not suspects:
            return
        names = {version: incoming_key(self._locations(version.key)[0]) for version in suspects}
        versions = loads_at(self.platform.ledger, Place.INCOMING, list(names.values()))
        for version, finding in suspects.items():
            loads = versions.get(names[version], ())
            if not any(is_held(self.platform, load) for load in loads):
                yield self._unrecorded(version, loads) or finding

    def _unrecorded(self, version: ObjectVersion, loads: Sequence[Load]) -> Finding | None:
        """Name the load that wrote an object and does not have it on record."""
        footer = read_footer(self.store, version)
        writer = next((load for load in loads if footer and load.id == footer.writer_id), None)
        if writer is None or (writer.location in self._locations(version.key) and writer.status not in TO_ERROR):
            return None
        where = f"at '{writer.location}'" if writer.location and writer.status not in TO_ERROR else "nowhere"
        problem = f"Load {writer.id} wrote it. The load is {writer.status}, and on record its rows are {where}."
        return Finding.of(FindingCode.UNRECORDED_ROWS, self.zone, version.key, problem, writer)

    def _compare(self, version: ObjectVersion, loads: Sequence[Load]) -> Finding | None:
        load = loads[0]
        if len(loads) > 1:
            problem = f"Loads {', '.join(str(each.id) for each in loads)} all have their rows here."
            return Finding.of(FindingCode.CLAIMED_TWICE, self.zone, version.key, problem, load)
        if load.status not in INGESTED:
            return None  # it is being written again, and its figures follow
        if version.key.startswith(_QUARANTINE):
            return self._compare_quarantine(version, load)
        return self._compare_rows(version, load)

    def _compare_rows(self, version: ObjectVersion, load: Load) -> Finding | None:
        footer = read_footer(self.store, version)
        if footer is None or version.size_bytes != load.n_bytes:
            problem = f"It has {version.size_bytes} bytes, {load.n_bytes} on record" + (
                ", and cannot be read." if footer is None else "."
            )
            return Finding.of(FindingCode.PARQUET_DAMAGED, self.zone, version.key, problem, load)
        if footer.n_rows != load.n_rows:
            problem = f"It has {counted(footer.n_rows, 'row')}, {load.n_rows} on record."
            return Finding.of(FindingCode.ROW_COUNT_MISMATCH, self.zone, version.key, problem, load)
        if strange := sorted(footer.load_ids - {load.id}):
            problem = f"Its rows say that they are of load {', '.join(map(str, strange))}."
            return Finding.of(FindingCode.WRONG_LOAD_ID, self.zone, version.key, problem, load)
        return None

    def _compare_quarantine(self, version: ObjectVersion, load: Load) -> Finding | None:
        footer = read_footer(self.store, version)
        if footer is None or footer.n_rows != load.n_quarantined:
            records = counted(footer.n_rows, "record") if footer else "no readable records"
            problem = f"It has {records}, {load.n_quarantined or 0} on record."
            return Finding.of(FindingCode.QUARANTINE_MISMATCH, self.zone, version.key, problem, load)
        return None

    def _count(self, version: ObjectVersion, load: Load, seen: Tally) -> None:
        for wanted in expected(self.platform.tables, load):
            if wanted.key == version.key:
                seen.add(wanted.part, load, wanted.key)
                self._audit.n_rows += (load.n_rows or 0) if wanted.part is Part.ROWS else 0
                self._audit.n_quarantined += (load.n_quarantined or 0) if wanted.part is Part.QUARANTINE else 0


def _above_partitions(key: str) -> str:
    """Return the folder of an object, without those of partitions."""
    folders = key.split("/")[:-1]
    return "".join(f"{folder}/" for folder in takewhile(lambda folder: "=" not in folder, folders))


def read_footer(store: ObjectStore, version: ObjectVersion) -> Footer | None:
    """Read the end of a Parquet file; None if it is none, or is not there any longer."""
    try:
        with store.open(version.key, version.etag) as file:
            metadata = pq.read_metadata(file)
    except (ObjectMissingError, ObjectChangedError, pa.ArrowException, OSError):
        return None
    load_ids = _load_ids(metadata)
    written_by = (metadata.metadata or {}).get(LOAD_ID, b"")
    return Footer(metadata.num_rows, load_ids, int(written_by) if written_by.isdigit() else min(load_ids, default=None))


def _load_ids(metadata: pq.FileMetaData) -> set[int]:
    names = [metadata.schema.column(index).name for index in range(metadata.num_columns)]
    if "load_id" not in names:
        return set()
    groups = (metadata.row_group(index).column(names.index("load_id")) for index in range(metadata.num_row_groups))
    found = [group.statistics for group in groups if group.statistics is not None and group.statistics.has_min_max]
    return {int(value) for each in found for value in (each.min, each.max) if value is not None}
