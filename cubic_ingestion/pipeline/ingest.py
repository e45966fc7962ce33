"""Ingest: bring the loads that one claim holds to Springboard; each for itself, so that a bad one stops no other."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

import pyarrow as pa
import structlog

from cubic_ingestion.domain.layout import springboard_key
from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.load import Ingested, Load, version_order
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import (
    MAX_COLUMNS,
    RESERVED_COLUMNS,
    Column,
    ColumnRoles,
    OnBadValue,
    OnSchemaChange,
    Table,
)
from cubic_ingestion.errors import RejectedLoadError, RetriableError, UnforeseenError
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.records import Records
from cubic_ingestion.pipeline.claim import Claim, claim
from cubic_ingestion.pipeline.convert import TimestampUnitError
from cubic_ingestion.pipeline.ingest_report import Report
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.isolation import HeldIsolation
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion.pipeline.quarantine import Quarantine, empty_quarantine, quarantine
from cubic_ingestion.pipeline.read import read
from cubic_ingestion.pipeline.refile import locate_original, refile
from cubic_ingestion.pipeline.rows import converted
from cubic_ingestion.pipeline.schema_changes import key_changes, refuse_changes, schema_changes
from cubic_ingestion.pipeline.time_units import TimeUnits
from cubic_ingestion.pipeline.tries import is_exhausted, last_resort, recorded_whatever_happens
from cubic_ingestion.pipeline.withdraw import withdraw
from cubic_ingestion.pipeline.write import Written

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

FLUSH_EVERY = 500
"""Loads whose completion is recorded in one transaction."""

_NEVER_ENDED = "none of them came to an end. The process was killed each time, or had no memory left."

_Done = tuple[Load, Ingested]

_TRIES_TOGETHER = 2
"""Tries at a load in one go with others. Then it is suspected of ending its process, and is worked on alone."""


class WriteLoad(Protocol):
    """Writes the rows of one load; the IO manager's way in, bound to Springboard."""

    def __call__(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write one load's batches under ``key``; None if the claim was lost meanwhile."""
        ...


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
        schemas = platform.ledger.schemas.known(table.name) if held.loads else []
        keys = platform.ledger.schemas.keys(table.name) if held.loads else []
        worker = _Worker(
            platform, table, write_load, held, report, HeldIsolation(platform, table, held, report), schemas, keys
        )
        worker.work_through(held.loads)
    return report


def _in_chunks(loads: Sequence[Load], limits: Limits) -> Iterator[Sequence[Load]]:
    """Split what is held into what is tried and recorded together.

    A load that was tried before without success comes after the others, alone. If it is the one that kills each process
    that works on it (with its memory, say), the others are on record by then, and only its own tries are used up.
    """
    together = min(_TRIES_TOGETHER, limits.max_attempts - 1)
    fresh = [load for load in loads if load.attempts < together]
    for start in range(0, len(fresh), FLUSH_EVERY):
        yield fresh[start : start + FLUSH_EVERY]
    for load in loads:
        if load.attempts >= together:
            yield [load]


@dataclass(frozen=True, slots=True)
class _Worker:
    """Works through the loads of one claim."""

    platform: Platform
    table: Table
    write_load: WriteLoad
    held: Claim
    report: Report
    isolation: HeldIsolation
    schemas: list[tuple[Column, ...]]
    """Columns that the table's files had before, and those new to this run."""
    keys: list[tuple[str, ...]]
    """Primary keys that the table's files named before, and those new to this run."""

    def work_through(self, loads: Sequence[Load]) -> None:
        """Ingest all loads of the claim, chunk by chunk; give up those that have no try left."""
        limits = self.platform.limits
        for chunk in _in_chunks([load for load in loads if not is_exhausted(load, limits)], limits):
            self.ingest(chunk)
        for load in loads:
            if is_exhausted(load, limits):
                self.isolation.run(load, lambda load=load: self.isolation.give_up(load, _NEVER_ENDED))

    def ingest(self, loads: Sequence[Load]) -> None:
        """Ingest some loads, and record their completion in one transaction.

        An exception that concerns more than one load (the ledger, the settings) ends the chunk. What is
        finished is recorded first, and the others are given back without a try.
        """
        newest = self._newest(loads)
        self.platform.ledger.claims.count_tries(self.held.claimant, loads)
        done: dict[int, _Done] = {}

        def ingest_one(load: Load) -> None:
            self.held.keep()
            if outcome := self.isolation.run(load, lambda: self._outcome(load, newest)):
                done[load.id] = outcome

        try:
            with recorded_whatever_happens(lambda: self._record([done[load.id] for load in loads if load.id in done])):
                tried = [replace(load, attempts=load.attempts + 1) for load in loads]
                in_parallel(ingest_one, tried, self.platform.limits.parallel_loads)
        except BaseException:
            with suppress(RetriableError):  # then the claim expires
                self._give_back_untried([load.id for load in loads if load.id not in done])
            raise

    def _outcome(self, load: Load, newest: Mapping[str, Load]) -> "_Done | None":
        """Ingest one load; None if it was given back."""
        load = locate_original(self.platform, self.table, load)
        if load.attempts > 1:
            withdraw(self.platform, self.table, load, self.held.holds)
        if newest[springboard_key(self.table, load)].id != load.id:
            return load, Ingested(load.id, load.partition_key or "", 0, 0, None)
        ingested = self._ingest_one(load)
        return (load, ingested) if ingested else None

    def _record(self, done: Sequence[_Done]) -> None:
        """Record what is finished, in one transaction; if one load keeps that from succeeding, one by one."""
        done = [each for each in done if self.isolation.run(each[0], lambda each=each: self._is_refiled(each[0]))]
        try:
            with last_resort():
                self._complete(done)
        except UnforeseenError:
            for each in done:
                self.isolation.run(each[0], lambda each=each: self._complete([each]))

    def _is_refiled(self, load: Load) -> bool:
        if load.archive_key:
            refile(self.platform, self.table, self.held, load)
        return True

    def _complete(self, done: Sequence[_Done]) -> None:
        lost = set(
            self.platform.ledger.outcomes.complete_ingest(self.held.claimant, [ingested for _, ingested in done])
        )
        self.report.ingested += [(load, ingested) for load, ingested in done if load.id not in lost]

    def _give_back_untried(self, load_ids: Collection[int]) -> None:
        now = self.platform.clock.now()
        self.platform.ledger.claims.release(self.held.claimant, retry_at=now, load_ids=load_ids, is_try=False)

    def _newest(self, loads: Sequence[Load]) -> dict[str, Load]:
        """Find out which version owns each place in Springboard: the newest, whether it is ours or not."""
        newest = {springboard_key(self.table, load): load for load in sorted(loads, key=version_order)}
        for key, owner in self.platform.ledger.queries.newest_at(list(newest)).items():
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
            self._note_key(load, records.roles)
            schema = arrow_schema(columns)
            batches = chain([] if first is None else [first], records.batches)
            kept = opened.enter_context(self._quarantine(load)) if is_sifting else None
            is_utc = records.may_state_utc
            rows = converted(batches, columns, records.expected_rows, self.held.keep, kept, may_state_utc=is_utc)
            written = self.write_load(self.held, load, key, schema, rows)
        if written is None:
            self.report.released.append((load, "its claim was lost to another worker"))
            return None
        if kept is None:
            self._empty_quarantine(load)
        self._note(load, records, written)
        n_quarantined = kept.n_rows if kept else 0
        _log.info("load ingested", n_rows=written.n_rows, n_bytes=written.n_bytes, n_quarantined=n_quarantined)
        return Ingested(
            load.id,
            load.partition_key or "",
            written.n_rows,
            written.n_bytes,
            key,
            n_quarantined,
            columns,
            records.roles,
        )

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

    def _note_key(self, load: Load, roles: ColumnRoles | None) -> None:
        """Report a primary key that no file of the table named before; the load goes on."""
        if roles is None or roles.primary_key in self.keys:
            return
        if self.keys:
            changes = key_changes(self.keys[-1], roles.primary_key)
            self.report.schema_changes += [(load, change) for change in changes]
            _log.warning("primary key changed", changes=[str(change) for change in changes])
        self.keys.append(roles.primary_key)

    def _empty_quarantine(self, load: Load) -> None:
        """Remove what an earlier reading left in quarantine."""
        if load.n_quarantined or self.table.on_bad_value is OnBadValue.QUARANTINE:
            empty_quarantine(self.platform.stores.springboard, self.table, springboard_key(self.table, load))


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
