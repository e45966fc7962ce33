"""The rows of a product: how many rows of each load its data files have, and how many are on record.

``__current`` has one row per key, so only the number of all its rows is compared; ``cubic audit --fold`` compares the
rows themselves. Only the column ``load_id`` is read, one row group after another. One partition is compared at a time,
so that memory is bounded by the loads of one partition and 16 bytes per load of the product.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.product import MERGE
from cubic_ingestion.ledger.records import RecordedRows
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode, Tell
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import ObjectMissingError, ObjectStore, WarehouseFile, WarehouseTable

_LOOKS = 3
_LOAD_ID = "load_id"
_Files = Mapping[tuple[object, ...], Sequence[WarehouseFile]]


@dataclass(frozen=True, slots=True)
class ProductRowsCheck:
    """Compares the data files of one product with the ledger.

    The snapshot that is compared is the one of the last merge on record, so that a merge which goes on changes nothing.
    """

    platform: Platform
    done: Audit
    name: str
    """The product."""
    source: str
    """The table that it is derived from."""

    zone = "warehouse"

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield one finding per kind."""
        recorded, table = self._read()
        files = _files_of(table, recorded.merge)
        looks = 1
        # Twenty merges since the record was read expire the snapshot of that record. Then read both again.
        while files is None and looks < _LOOKS:
            recorded, table = self._read()
            files, looks = _files_of(table, recorded.merge), looks + 1
        newest = max(_merges(table), default=0)
        if files is None or (newest > recorded.merge and not self._is_under_way(newest)):
            problem = f"It is at merge {recorded.merge} on record, and at {newest} in the warehouse."
            yield self._finding(FindingCode.PRODUCT_OUT_OF_STEP, problem)
        if files is not None:
            compare = self._compare if recorded.generation is None else self._compare_all
            yield from compare(files, recorded, tell)

    def _read(self) -> tuple[RecordedRows, WarehouseTable | None]:
        """Read the record, then the table, which has what is on record by then."""
        return self.platform.ledger.products.recorded(self.source), self.platform.warehouse.open(self.name)

    def _is_under_way(self, merge: int) -> bool:
        """Say whether a merge that is committed is recorded by now, or will be. An open merge is asked for first."""
        products = self.platform.ledger.products
        return products.open_merge(self.source) == merge or products.last_merge(self.source) >= merge

    def _compare(self, files: _Files, recorded: RecordedRows, tell: Tell) -> Iterator[Finding]:
        differing: list[tuple[int, int, int]] = []
        for place in files.keys() | recorded.by_place.keys():
            found: Counter[int] = Counter()
            try:
                damaged = [finding for file in files.get(place, ()) if (finding := self._count(file, found, tell))]
            except ObjectMissingError:
                continue  # the check of the warehouse's objects names the file
            if damaged:
                yield from damaged
                continue
            expected = dict(zip(*recorded.by_place.get(place, ((), ())), strict=True))
            for load_id in found.keys() | expected.keys():
                if found[load_id] == expected.get(load_id, 0):
                    self.done.n_product_rows += found[load_id]
                else:
                    differing.append((load_id, found[load_id], expected.get(load_id, 0)))
        if differing:
            load_id, n_found, n_recorded = min(differing)
            problem = (
                f"Its files have other rows of {counted(len(differing), 'load')} than on record; "
                f"of load {load_id}, {counted(n_found, 'row')}, {n_recorded} on record."
            )
            yield self._finding(FindingCode.PRODUCT_ROWS_MISMATCH, problem, load_id)

    def _compare_all(self, files: _Files, recorded: RecordedRows, tell: Tell) -> Iterator[Finding]:
        """Compare the number of all rows: those of ``__current`` are not the rows of its loads."""
        found: Counter[int] = Counter()
        try:
            every = [file for place in files.values() for file in place]
            damaged = [finding for file in every if (finding := self._count(file, found, tell))]
        except ObjectMissingError:
            return  # the check of the warehouse's objects names the file
        yield from damaged
        n_found = found.total()
        if n_found == recorded.n_rows:
            self.done.n_product_rows += n_found
        elif not damaged:
            problem = f"Its files have {counted(n_found, 'row')}, {recorded.n_rows} on record."
            yield self._finding(FindingCode.PRODUCT_ROWS_MISMATCH, problem)

    def _count(self, file: WarehouseFile, found: Counter[int], tell: Tell) -> Finding | None:
        """Count the rows of a file by load; say what is wrong with a file that cannot be read.

        Raises:
            ObjectMissingError: There is no such file.
        """
        try:
            _count_loads(self.platform.warehouse.bucket, file, found)
        except (pa.ArrowException, OSError, KeyError) as error:
            return Finding.of(FindingCode.NEEDED_FILE_DAMAGED, self.zone, file.key, f"It cannot be read: {error}")
        tell("rows of products", file.n_rows)
        return None

    def _finding(self, code: FindingCode, problem: str, load_id: int | None = None) -> Finding:
        return Finding(code, self.zone, self.name, load_id, problem)


def _files_of(table: WarehouseTable | None, merge: int) -> _Files | None:
    """Return the data files after a merge, by partition; None if no kept snapshot is of it."""
    if merge == 0:
        return {}
    snapshots = [each for each in (table.snapshots() if table else ()) if each.properties.get(MERGE) == str(merge)]
    if table is None or not snapshots:
        return None
    by_place: dict[tuple[object, ...], list[WarehouseFile]] = defaultdict(list)
    for file in table.files(snapshots[-1].id):
        by_place[file.partition].append(file)
    return by_place


def _merges(table: WarehouseTable | None) -> list[int]:
    return [int(each.properties[MERGE]) for each in (table.snapshots() if table else ()) if MERGE in each.properties]


def _count_loads(bucket: ObjectStore, file: WarehouseFile, found: Counter[int]) -> None:
    with bucket.open(file.key) as body:
        parquet = pq.ParquetFile(body, pre_buffer=False)
        for number in range(parquet.num_row_groups):
            counts = pc.value_counts(parquet.read_row_group(number, [_LOAD_ID])[_LOAD_ID])
            for values, n_rows in zip(counts.field("values"), counts.field("counts"), strict=True):
                found[values.as_py()] += n_rows.as_py()
