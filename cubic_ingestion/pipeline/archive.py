"""Archive: put ingested loads in the catalog and their originals in Archive; rejected ones in Error, with reasons."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cubic_ingestion.domain.layout import LONGEST_NAME_BYTES, Filing, archive_filing, error_filing
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.errors import RejectedLoadError, RetriableError
from cubic_ingestion.pipeline.catalog import catalog
from cubic_ingestion.pipeline.claim import Claim, claim
from cubic_ingestion.pipeline.move import choose_filing, move_load
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
    for work, move in ((Work.ARCHIVE, _archive_chunk), (Work.ERROR, _error_chunk)):
        while (held := claim(platform, tables, work, run_id=run_id, limit=CHUNK_LOADS)).loads:
            move(platform, held, report)
    return report


def _archive_chunk(platform: Platform, held: Claim, report: MoveReport) -> None:
    _catalog(platform, held.loads, report)
    taken = _taken(platform, held.loads, archive_filing)
    moved: dict[int, str] = {}
    for load in held.loads:
        try:
            filing = _filing(platform, platform.stores.archive, load, taken, archive_filing)
            moved[load.id] = _move(platform, held, platform.stores.archive, load, filing)
        except RejectedLoadError as error:
            _remove_rows(platform, load)
            platform.repository.reject(load.id, LoadError(error.code, error.message), claimant=held.claimant)
        except RetriableError as error:
            _give_back(platform, held, load, error, report)
    lost = platform.repository.complete_archive(held.claimant, moved)
    report.n_archived += len(moved) - len(lost)


def _catalog(platform: Platform, loads: Sequence[Load], report: MoveReport) -> None:
    """Make the loads' tables queryable; a catalog that is down loses nothing, and the next loads try again."""
    try:
        catalog(platform, {load.table: load.location for load in loads if load.location})
    except RetriableError as error:
        report.catalog_error = str(error)


def _error_chunk(platform: Platform, held: Claim, report: MoveReport) -> None:
    taken = _taken(platform, held.loads, error_filing)
    moved: dict[int, str] = {}
    for load in held.loads:
        try:
            filing = _filing(platform, platform.stores.error, load, taken, error_filing)
            _write_reason(platform.stores.error, filing, load)
            moved[load.id] = _move_if_there(platform, held, load, filing)
        except RetriableError as error:
            _give_back(platform, held, load, error, report)
    lost = platform.repository.complete_error(held.claimant, moved)
    report.n_errored += len(moved) - len(lost)


def _move(platform: Platform, held: Claim, destination: ObjectStore, load: Load, filing: Filing) -> str:
    held.keep()
    return move_load(platform.stores.incoming, destination, platform.tables[load.table], load, filing)


def _move_if_there(platform: Platform, held: Claim, load: Load, filing: Filing) -> str:
    """Move a rejected original; of one that was overwritten meanwhile the reason alone is filed."""
    try:
        return _move(platform, held, platform.stores.error, load, filing)
    except RejectedLoadError:
        return filing.key(load.version.key)


_FilingRule = Callable[..., Filing]


def _taken(platform: Platform, loads: Sequence[Load], rule: _FilingRule) -> dict[str, int]:
    keys = [rule(platform.tables[load.table], load, is_taken=False).key(load.version.key) for load in loads]
    return dict(platform.repository.taken_keys(keys))


def _filing(
    platform: Platform, destination: ObjectStore, load: Load, taken: dict[str, int], rule: _FilingRule
) -> Filing:
    table = platform.tables[load.table]
    plain, versioned = rule(table, load, is_taken=False), rule(table, load, is_taken=True)
    return choose_filing(platform.stores.incoming, destination, load, taken=taken, plain=plain, versioned=versioned)


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


def _give_back(platform: Platform, held: Claim, load: Load, error: RetriableError, report: MoveReport) -> None:
    platform.repository.release(held.claimant, retry_at=platform.clock.now() + _PAUSE, load_ids=[load.id])
    report.released.append((load, str(error)))
