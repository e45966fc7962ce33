"""Archive: put ingested loads in the catalog and their originals in Archive; rejected ones in Error, with reasons."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from cubic_ingestion.domain.layout import LONGEST_NAME_BYTES, Filing, archive_filing, error_filing
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RejectedLoadError, RetriableError
from cubic_ingestion.pipeline.catalog import catalog
from cubic_ingestion.pipeline.claim import Claim, claim
from cubic_ingestion.pipeline.move import choose_filing, move_load
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion.ports import ObjectStore, Platform

CHUNK_LOADS = 500
"""Loads moved under one claim."""

_PAUSE = timedelta(seconds=30)


@dataclass(slots=True)
class MoveReport:
    """What became of the originals of one run."""

    n_archived: int = 0
    n_errored: int = 0
    released: list[tuple[Load, str]] = field(default_factory=list[tuple[Load, str]])
    """Loads given back for another try, with the reason."""
    catalog_error: str | None = None
    """Why a table could not be put in the catalog, if one could not."""

    @property
    def n_moved(self) -> int:
        """Loads that reached the end of their way."""
        return self.n_archived + self.n_errored


def archive(platform: Platform, tables: Collection[str], *, run_id: str) -> MoveReport:
    """Move the originals of all loads that wait for it, chunk by chunk."""
    report = MoveReport()
    while (held := claim(platform, tables, Work.ARCHIVE, run_id=run_id, limit=CHUNK_LOADS)).loads:
        _catalog(platform, held.loads, report)
        moved = _Mover(platform, platform.stores.archive, held, archive_filing, report).move(_archive_one)
        report.n_archived += len(moved) - len(platform.repository.complete_archive(held.claimant, moved))
    while (held := claim(platform, tables, Work.ERROR, run_id=run_id, limit=CHUNK_LOADS)).loads:
        moved = _Mover(platform, platform.stores.error, held, error_filing, report).move(_error_one)
        report.n_errored += len(moved) - len(platform.repository.complete_error(held.claimant, moved))
    return report


class _FilingRule(Protocol):
    def __call__(self, table: Table, load: Load, *, is_taken: bool) -> Filing: ...


@dataclass(frozen=True, slots=True)
class _Mover:
    """Moves the originals of one claim from Incoming to one zone."""

    platform: Platform
    destination: ObjectStore
    held: Claim
    rule: _FilingRule
    report: MoveReport

    def move(self, move_one: Callable[["_Mover", Load, Filing], str | None]) -> dict[int, str]:
        """Move each load's files; returns the keys by the loads' ids, of those that arrived."""
        taken = self._taken()
        at_once = self.platform.limits.parallel_loads
        keys = in_parallel(lambda load: self._attempt(move_one, load, taken), self.held.loads, at_once)
        return {load.id: key for load, key in zip(self.held.loads, keys, strict=True) if key is not None}

    def move_files(self, load: Load, filing: Filing) -> str:
        """Move a load's file and sidecar."""
        incoming, table = self.platform.stores.incoming, self.platform.tables[load.table]
        return move_load(incoming, self.destination, table, load, filing)

    def _attempt(
        self, move_one: Callable[["_Mover", Load, Filing], str | None], load: Load, taken: dict[str, int]
    ) -> str | None:
        self.held.keep()
        try:
            return move_one(self, load, self._filing(load, taken))
        except RetriableError as error:
            retry_at = self.platform.clock.now() + _PAUSE
            self.platform.repository.release(self.held.claimant, retry_at=retry_at, load_ids=[load.id])
            self.report.released.append((load, str(error)))
            return None

    def _taken(self) -> dict[str, int]:
        plain = ((load, self._rule(load, is_taken=False)) for load in self.held.loads)
        return dict(self.platform.repository.taken_keys([filing.key(load.version.key) for load, filing in plain]))

    def _filing(self, load: Load, taken: dict[str, int]) -> Filing:
        plain, versioned = self._rule(load, is_taken=False), self._rule(load, is_taken=True)
        incoming = self.platform.stores.incoming
        return choose_filing(incoming, self.destination, load, taken=taken, plain=plain, versioned=versioned)

    def _rule(self, load: Load, *, is_taken: bool) -> Filing:
        return self.rule(self.platform.tables[load.table], load, is_taken=is_taken)


def _archive_one(mover: _Mover, load: Load, filing: Filing) -> str | None:
    """Move one original to Archive; one that was overwritten since it was ingested takes its rows with it to Error."""
    try:
        return mover.move_files(load, filing)
    except RejectedLoadError as error:
        _remove_rows(mover.platform, load)
        reason = LoadError(error.code, error.message)
        mover.platform.repository.reject(load.id, reason, claimant=mover.held.claimant)
        return None


def _error_one(mover: _Mover, load: Load, filing: Filing) -> str:
    """Move one original to Error, with its reason; of one that was overwritten meanwhile the reason alone is filed."""
    _write_reason(mover.destination, filing, load)
    try:
        return mover.move_files(load, filing)
    except RejectedLoadError:
        return filing.key(load.version.key)


def _catalog(platform: Platform, loads: Sequence[Load], report: MoveReport) -> None:
    """Make the loads' tables queryable; a catalog that is down loses nothing, and the next loads try again."""
    try:
        catalog(platform, {load.table: load.location for load in loads if load.location})
    except RetriableError as error:
        report.catalog_error = str(error)


def _write_reason(error_store: ObjectStore, filing: Filing, load: Load) -> None:
    """Put ``<file>.error.json`` beside where the original goes."""
    reason: Mapping[str, object] = {
        "code": load.error.code if load.error else "unknown",
        "message": load.error.message if load.error else "",
        "row": load.error.row if load.error else None,
        "column": load.error.column if load.error else None,
        "load_id": load.id,
    }
    name = load.version.file_name
    if len(name.encode()) > LONGEST_NAME_BYTES:
        name = f"load-{load.id}"
    with error_store.writer(f"{filing.folder}{name}.error.json") as out:
        out.file.write(json.dumps(reason, ensure_ascii=False, indent=2).encode())
        out.commit()


def _remove_rows(platform: Platform, load: Load) -> None:
    """Remove the rows of a version whose original was overwritten before it could be archived."""
    if load.location is None:
        return
    standing = platform.stores.springboard.head(load.location)
    owner = platform.repository.newest_at([load.location]).get(load.location)
    if standing and owner and owner.id == load.id:
        platform.stores.springboard.delete(load.location, standing.etag)
