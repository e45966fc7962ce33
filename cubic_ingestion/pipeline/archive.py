"""Archive: move the originals of ingested loads to Archive; of rejected ones to Error, with reasons."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog

from cubic_ingestion.domain.layout import Filing, archive_filing, error_filing, reason_key
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import InvalidKeyError, RejectedLoadError, RetriableError
from cubic_ingestion.pipeline.claim import Claim, claim
from cubic_ingestion.pipeline.log_context import about
from cubic_ingestion.pipeline.move import choose_filing, move_load
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion.pipeline.quarantine import empty_quarantine
from cubic_ingestion.pipeline.read import original_of
from cubic_ingestion.ports import ObjectStore, Platform

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

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

    @property
    def n_moved(self) -> int:
        """Loads that reached the end of their way."""
        return self.n_archived + self.n_errored


def archive(platform: Platform, tables: Collection[str], *, run_id: str) -> MoveReport:
    """Move the originals of all loads that wait for it, chunk by chunk."""
    report = MoveReport()
    while (held := claim(platform, tables, Work.ARCHIVE, run_id=run_id, limit=CHUNK_LOADS)).loads:
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
    """Moves the originals of one claim from where they lie to one zone."""

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

    def move_files(self, load: Load, filing: Filing, *, must_be_whole: bool) -> str:
        """Move a load's file and sidecar."""
        stores, table = self.platform.stores, self.platform.tables[load.table]
        return move_load(stores, self.destination, table, load, filing, must_be_whole=must_be_whole)

    def _attempt(
        self, move_one: Callable[["_Mover", Load, Filing], str | None], load: Load, taken: dict[str, int]
    ) -> str | None:
        self.held.keep()
        with about(self.platform.tables[load.table], load, self.held.claimant):
            return self._move_or_release(move_one, load, taken)

    def _move_or_release(
        self, move_one: Callable[["_Mover", Load, Filing], str | None], load: Load, taken: dict[str, int]
    ) -> str | None:
        try:
            key = move_one(self, load, self._filing(load, taken))
            if key:
                _log.info("original moved", moved_to=key)
        except (RetriableError, InvalidKeyError) as error:  # a name may fit one store and not another
            retry_at = self.platform.clock.now() + _PAUSE
            self.platform.repository.release(self.held.claimant, retry_at=retry_at, load_ids=[load.id])
            self.report.released.append((load, str(error)))
            _log.warning("load given back", reason=str(error), retry_at=retry_at.isoformat())
            return None
        else:
            return key

    def _taken(self) -> dict[str, int]:
        plain = ((load, self._rule(load, is_taken=False)) for load in self.held.loads)
        return dict(self.platform.repository.taken_keys([filing.key(load.version.key) for load, filing in plain]))

    def _filing(self, load: Load, taken: dict[str, int]) -> Filing:
        if load.error_key and self.destination is self.platform.stores.error:
            return _folder(load.error_key)  # rejected again: it lies there
        plain, versioned = self._rule(load, is_taken=False), self._rule(load, is_taken=True)
        original = original_of(self.platform.stores, load)
        return choose_filing(original, self.destination, load, taken=taken, plain=plain, versioned=versioned)

    def _rule(self, load: Load, *, is_taken: bool) -> Filing:
        return self.rule(self.platform.tables[load.table], load, is_taken=is_taken)


def _archive_one(mover: _Mover, load: Load, filing: Filing) -> str | None:
    """Move one original to Archive; one that was overwritten since it was ingested goes with its rows."""
    try:
        key = mover.move_files(load, filing, must_be_whole=True)
    except RejectedLoadError as error:
        _remove_rows(mover.platform, load)
        mover.platform.repository.reject(load.id, LoadError.of(error), claimant=mover.held.claimant)
        return None
    if load.error_key:
        _remove_reason(mover.platform.stores.error, load, load.error_key)
    return key


def _error_one(mover: _Mover, load: Load, filing: Filing) -> str:
    """Move one original to Error, with its reason; of one that was overwritten meanwhile the reason alone is filed."""
    _write_reason(mover.destination, filing, load)
    try:
        return mover.move_files(load, filing, must_be_whole=False)
    except RejectedLoadError:
        return filing.key(load.version.key)


def _write_reason(error_store: ObjectStore, filing: Filing, load: Load) -> None:
    """Put ``<file>.error.json`` beside where the original goes."""
    known = asdict(load.error) if load.error else {"code": "unknown", "message": ""}
    reason: Mapping[str, object] = known | {"load_id": load.id}
    with error_store.writer(reason_key(load, filing)) as out:
        out.file.write(json.dumps(reason, ensure_ascii=False, indent=2).encode())
        out.commit()


def _remove_reason(error_store: ObjectStore, load: Load, error_key: str) -> None:
    """Remove the reason of a load that was tried again with success: the last that is left of it in Error."""
    if standing := error_store.head(reason_key(load, _folder(error_key))):
        error_store.delete(standing.key, standing.etag)


def _folder(key: str) -> Filing:
    return Filing(key.removesuffix(key.rpartition("/")[2]))


def _remove_rows(platform: Platform, load: Load) -> None:
    """Remove the rows of a version whose original was overwritten before it could be archived."""
    if load.location is None:
        return
    standing = platform.stores.springboard.head(load.location)
    owner = platform.repository.newest_at([load.location]).get(load.location)
    if standing and owner and owner.id == load.id:
        platform.stores.springboard.delete(load.location, standing.etag)
        if load.n_quarantined:
            empty_quarantine(platform.stores.springboard, platform.tables[load.table], load.location)
