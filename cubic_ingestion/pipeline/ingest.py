"""Ingest: bring the loads that one claim holds to Springboard; each for itself, so that a bad one stops no other."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Protocol

import pyarrow as pa
import structlog

from cubic_ingestion.domain.layout import springboard_key
from cubic_ingestion.domain.load import Ingested, Load, LoadError, version_order
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import MAX_COLUMNS, RESERVED_COLUMNS, Column, OnBadValue, OnSchemaChange, Table
from cubic_ingestion.errors import InvalidKeyError, RejectedLoadError, RetriableError
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.records import Records
from cubic_ingestion.pipeline.claim import Claim, claim
from cubic_ingestion.pipeline.convert import TimestampUnitError
from cubic_ingestion.pipeline.log_context import about
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion.pipeline.quarantine import Quarantine, empty_quarantine, quarantine
from cubic_ingestion.pipeline.read import read
from cubic_ingestion.pipeline.refile import locate_original, refile
from cubic_ingestion.pipeline.rows import converted
from cubic_ingestion.pipeline.schema_changes import SchemaChange, refuse_changes, schema_changes
from cubic_ingestion.pipeline.time_units import TimeUnits
from cubic_ingestion.pipeline.withdraw import withdraw
from cubic_ingestion.pipeline.write import Written
from cubic_ingestion.ports import Platform

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

FLUSH_EVERY = 500
"""Loads whose completion is recorded in one transaction."""


class WriteLoad(Protocol):
    """Writes the rows of one load; the IO manager's way in, bound to Springboard."""

    def __call__(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write one load's batches under ``key``; None if the claim was lost meanwhile."""
        ...


@dataclass(slots=True)
class Report:
    """What became of the loads of one table in one run."""

    ingested: list[tuple[Load, Ingested]] = field(default_factory=list[tuple[Load, Ingested]])
    rejected: list[tuple[Load, LoadError]] = field(default_factory=list[tuple[Load, LoadError]])
    released: list[tuple[Load, str]] = field(default_factory=list[tuple[Load, str]])
    """Loads given back for another try, with the reason."""
    previews: dict[int, pa.Table] = field(default_factory=dict[int, pa.Table])
    """First rows of each load written, by its id."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    source_errors: list[tuple[Load, int]] = field(default_factory=list[tuple[Load, int]])
    """Loads of which the vendor says that it could not write some records, with how many (``errorCount``)."""
    schema_changes: list[tuple[Load, SchemaChange]] = field(default_factory=list[tuple[Load, SchemaChange]])
    """What columns that no file had before differ in from the files before, with the first load that has them."""

    def by_partition(self) -> dict[str, list[Ingested]]:
        """Return what was ingested, by partition."""
        partitions: dict[str, list[Ingested]] = {}
        for _, ingested in self.ingested:
            partitions.setdefault(ingested.partition_key, []).append(ingested)
        return partitions


def ingest(
    platform: Platform,
    table: Table,
    write_load: WriteLoad,
    *,
    run_id: str,
    partition_keys: Collection[str] | None = None,
) -> Report:
    """Claim a table's loads, write them to Springboard, and record what became of each.

    Without partitions: whatever is ready, and what a late snapshot gave another place. With partitions: all they ever
    received, ready or archived.

    Args:
        platform: The platform.
        table: Whose loads.
        write_load: Writes one load's rows.
        run_id: The run that works.
        partition_keys: Only these partitions; all if None.
    """
    report = Report()
    for work in (Work.REPLAY, Work.INGEST):
        held = claim(platform, [table.name], work, run_id=run_id, partition_keys=partition_keys)
        schemas = list(platform.repository.known_schemas(table.name)) if held.loads else []
        worker = _Worker(platform, table, write_load, held, report, schemas)
        for start in range(0, len(held.loads), FLUSH_EVERY):
            worker.ingest(held.loads[start : start + FLUSH_EVERY])
    return report


@dataclass(frozen=True, slots=True)
class _Worker:
    """Works through the loads of one claim."""

    platform: Platform
    table: Table
    write_load: WriteLoad
    held: Claim
    report: Report
    schemas: list[tuple[Column, ...]]
    """Those that the table's files had before, and those new to this run."""

    def ingest(self, loads: Sequence[Load]) -> None:
        """Ingest some loads, and record their completion in one transaction."""
        loads = [locate_original(self.platform, self.table, load) for load in loads]
        newest = self._newest(loads)
        outcomes = in_parallel(lambda load: self._outcome(load, newest), loads, self.platform.limits.parallel_loads)
        done = [(load, ingested) for load, ingested in zip(loads, outcomes, strict=True) if ingested]
        refile(self.platform, self.table, self.held, [load for load, _ in done if load.archive_key])
        lost = set(self.platform.repository.complete_ingest(self.held.claimant, [ingested for _, ingested in done]))
        self.report.ingested += [(load, ingested) for load, ingested in done if load.id not in lost]

    def _outcome(self, load: Load, newest: Mapping[str, Load]) -> Ingested | None:
        """Ingest one load; whatever is wrong with it concerns it alone. None if it goes on elsewhere."""
        with about(self.table, load, self.held.claimant):
            return self._outcome_of(load, newest)

    def _outcome_of(self, load: Load, newest: Mapping[str, Load]) -> Ingested | None:
        self.held.keep()
        try:
            if load.attempts > 1:
                withdraw(self.platform, self.table, load, self.held)
            if newest[springboard_key(self.table, load)].id != load.id:
                return Ingested(load.id, load.partition_key or "", 0, 0, None)
            return self._ingest_one(load)
        except RejectedLoadError as error:
            self._reject(load, error)
        except RetriableError as error:
            self._retry(load, error)
        except InvalidKeyError as error:
            self._reject(load, RejectedLoadError("unusable_name", str(error)))
        return None

    def _newest(self, loads: Sequence[Load]) -> dict[str, Load]:
        """Find out which version owns each place in Springboard: the newest, whether it is ours or not."""
        newest = {springboard_key(self.table, load): load for load in sorted(loads, key=version_order)}
        for key, owner in self.platform.repository.newest_at(list(newest)).items():
            newest[key] = max(owner, newest[key], key=version_order)
        return newest

    def _ingest_one(self, load: Load) -> Ingested | None:
        """Read, convert and write one load; None if the claim was lost before it could be published.

        A column that needs another unit of time is read again with that, and as text if neither unit holds it. A
        file with values that do not fit is read again for quarantine, if that is what its table does with them.
        """
        units = TimeUnits(self.schemas)
        is_sifting = False
        while True:
            try:
                return self._attempt(load, units, is_sifting=is_sifting)
            except TimestampUnitError as error:
                units.change(error)
            except RejectedLoadError as error:
                if is_sifting or not error.bad_cells or self.table.on_bad_value is not OnBadValue.QUARANTINE:
                    raise
                is_sifting = True

    def _attempt(self, load: Load, units: TimeUnits, *, is_sifting: bool) -> Ingested | None:
        key = springboard_key(self.table, load)
        with ExitStack() as opened:
            is_text = is_sifting or units.need_text
            records = opened.enter_context(read(self.platform.stores, self.table, load, is_text=is_text))
            first = next(records.batches, None)
            columns = units.fitting(first, _columns(self.table, records))
            self._note_schema(load, columns)
            schema = arrow_schema(columns)
            batches = chain([] if first is None else [first], records.batches)
            kept = opened.enter_context(self._quarantine(load)) if is_sifting else None
            rows = converted(batches, columns, records.expected_rows, self.held.keep, kept)
            written = self.write_load(self.held, load, key, schema, rows)
        if written is None:
            self.report.released.append((load, "its claim was lost to another worker"))
            return None
        if kept is None:
            self._empty_quarantine(load)
        self._note(load, records, written)
        n_quarantined = kept.n_rows if kept else 0
        _log.info("load ingested", n_rows=written.n_rows, n_bytes=written.n_bytes, n_quarantined=n_quarantined)
        return Ingested(load.id, load.partition_key or "", written.n_rows, written.n_bytes, key, n_quarantined, columns)

    def _quarantine(self, load: Load) -> AbstractContextManager[Quarantine]:
        return quarantine(self.platform.stores.springboard, self.table, load, lambda: self.held.holds(load))

    def _note(self, load: Load, records: Records, written: Written) -> None:
        self.report.notes |= records.notes
        self.report.previews[load.id] = written.preview
        if records.n_source_errors:
            self.report.source_errors.append((load, records.n_source_errors))

    def _note_schema(self, load: Load, columns: Sequence[Column]) -> None:
        """Compare the columns of a file with those of all files before, and refuse what a frozen table does not take.

        Raises:
            RejectedLoadError: ``schema_changed``.
        """
        if tuple(columns) in self.schemas:
            return
        if self.table.on_schema_change is OnSchemaChange.FREEZE:
            refuse_changes(self.schemas, columns)
        if self.schemas:
            self.report.schema_changes += [(load, change) for change in schema_changes(self.schemas[-1], columns)]
        self.schemas.append(tuple(columns))

    def _empty_quarantine(self, load: Load) -> None:
        """Remove what an earlier reading left in quarantine."""
        if load.n_quarantined or self.table.on_bad_value is OnBadValue.QUARANTINE:
            empty_quarantine(self.platform.stores.springboard, self.table, springboard_key(self.table, load))

    def _reject(self, load: Load, error: RejectedLoadError) -> None:
        reason = LoadError.of(error)
        if self.platform.repository.reject(load.id, reason, claimant=self.held.claimant):
            self.report.rejected.append((load, reason))
            _log.warning("load rejected", code=reason.code, reason=reason.message, row=reason.row, column=reason.column)

    def _retry(self, load: Load, error: RetriableError) -> None:
        if load.attempts >= self.platform.limits.max_attempts:
            self._give_up(load, error)
            return
        retry_at = self.platform.clock.now() + timedelta(seconds=min(5 * 2**load.attempts, 600))
        self.platform.repository.release(self.held.claimant, retry_at=retry_at, load_ids=[load.id])
        self.report.released.append((load, str(error)))
        _log.warning("load given back", reason=str(error), attempts=load.attempts, retry_at=retry_at.isoformat())

    def _give_up(self, load: Load, error: RetriableError) -> None:
        """Reject a load after its last try, which may have published rows without knowing it."""
        try:
            withdraw(self.platform, self.table, load, self.held)
        except RetriableError as trouble:
            _log.warning("rows not looked for", reason=str(trouble))
        message = f"Given up after {load.attempts} attempts: {error}"
        self._reject(load, RejectedLoadError("attempts_exhausted", message))


def _columns(table: Table, records: Records) -> tuple[Column, ...]:
    if len(records.columns) > MAX_COLUMNS:
        message = f"The file has {len(records.columns)} columns; more than {MAX_COLUMNS} are no table's."
        raise RejectedLoadError("too_many_columns", message)
    for column in records.columns:
        if column.name in RESERVED_COLUMNS:
            message = f"Column '{column.name}' has the name of one that Springboard adds to every table."
            raise RejectedLoadError("reserved_column", message, column=column.name)
    if table.is_raw:
        return tuple(replace(column, type="string") for column in records.columns)
    return records.columns
