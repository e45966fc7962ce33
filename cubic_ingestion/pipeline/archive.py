"""Archive: move the originals of ingested loads to Archive; of rejected ones to Error, with reasons."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
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
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.log_context import about
from cubic_ingestion.pipeline.move import choose_filing, move_load
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion.pipeline.quarantine import empty_quarantine
from cubic_ingestion.pipeline.read import original_of
from cubic_ingestion.pipeline.tries import last_resort, recorded_whatever_happens
from cubic_ingestion.ports import ObjectStore

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

CHUNK_LOADS = 500
"""Loads moved under one claim."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=10)


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
    report, ledger = MoveReport(), platform.ledger
    while (held := claim(platform, tables, Work.ARCHIVE, run_id=run_id, limit=CHUNK_LOADS)).loads:
        mover = _Mover(platform, platform.stores.archive, held, archive_filing, report)
        report.n_archived += mover.move(_archive_one, ledger.outcomes.complete_archive)
    while (held := claim(platform, tables, Work.ERROR, run_id=run_id, limit=CHUNK_LOADS)).loads:
        mover = _Mover(platform, platform.stores.error, held, error_filing, report)
        report.n_errored += mover.move(_error_one, ledger.outcomes.complete_error)
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

    def move(self, move_one: "_MoveOne", complete: Callable[[str, Mapping[int, str]], Sequence[int]]) -> int:
        """Move each load's files, and record where they are.

        Args:
            move_one: Moves one load's files; returns the key of its original, None if the load goes elsewhere, and
                nothing (``""``) if the original stays in Incoming.
            complete: Records, for a claimant, the keys by the loads' ids; returns the ids no longer held.

        Returns:
            The number of loads that arrived.
        """
        taken = self._taken()
        moved: dict[int, str] = {}
        lost: list[int] = []

        def attempt(load: Load) -> None:
            self.held.keep()
            with about(self.platform.tables[load.table], load, self.held.claimant):
                if (key := self._move_or_release(move_one, load, taken)) is not None:
                    moved[load.id] = key

        with recorded_whatever_happens(lambda: lost.extend(complete(self.held.claimant, moved))):
            in_parallel(attempt, self.held.loads, self.platform.limits.parallel_loads)
        return len(moved) - len(lost)

    def move_files(self, load: Load, filing: Filing, *, must_be_whole: bool) -> str:
        """Move a load's file and sidecar."""
        stores, table = self.platform.stores, self.platform.tables[load.table]
        return move_load(stores, self.destination, table, load, filing, must_be_whole=must_be_whole)

    def _move_or_release(self, move_one: "_MoveOne", load: Load, taken: dict[str, int]) -> str | None:
        try:
            with last_resort():
                key = move_one(self, load, self._filing(load, taken))
        except (RetriableError, InvalidKeyError) as error:  # a name may fit one store and not another
            now, reason = self.platform.clock.now(), str(error)
            retry_at = now + min(max((now - load.waiting_since) / 20, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            self.platform.ledger.claims.release(
                self.held.claimant, retry_at=retry_at, load_ids=[load.id], reason=reason
            )
            self.report.released.append((load, reason))
            _log.warning("load given back", reason=reason, retry_at=retry_at.isoformat())
            return None
        if key:
            _log.info("original moved", moved_to=key)
        return key

    def _taken(self) -> dict[str, int]:
        plain = ((load, self._rule(load, is_taken=False)) for load in self.held.loads)
        return dict(self.platform.ledger.queries.taken_keys([filing.key(load.version.key) for load, filing in plain]))

    def _filing(self, load: Load, taken: dict[str, int]) -> Filing:
        if load.error_key and self.destination is self.platform.stores.error:
            return _folder(load.error_key)  # rejected again: it lies there
        plain, versioned = self._rule(load, is_taken=False), self._rule(load, is_taken=True)
        original, table = original_of(self.platform.stores, load), self.platform.tables[load.table]
        return choose_filing(original, self.destination, table, load, taken=taken, plain=plain, versioned=versioned)

    def _rule(self, load: Load, *, is_taken: bool) -> Filing:
        return self.rule(self.platform.tables[load.table], load, is_taken=is_taken)


_MoveOne = Callable[[_Mover, Load, Filing], str | None]


def _archive_one(mover: _Mover, load: Load, filing: Filing) -> str | None:
    """Move one original to Archive; one that was overwritten since it was ingested goes with its rows."""
    try:
        key = mover.move_files(load, filing, must_be_whole=True)
    except RejectedLoadError as error:
        _remove_rows(mover.platform, load)
        mover.platform.ledger.outcomes.reject(load.id, LoadError.of(error), claimant=mover.held.claimant)
        return None
    if load.error_key:
        _remove_reason(mover.platform.stores.error, load, load.error_key)
    return key


def _error_one(mover: _Mover, load: Load, filing: Filing) -> str:
    """Move one original to Error, with its reason.

    Of one that was overwritten meanwhile the reason alone is filed. One that is frozen cannot be copied, and stays.
    """
    if load.is_frozen:
        return load.error_key or ""
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
    owner = platform.ledger.queries.newest_at([load.location]).get(load.location)
    if standing and owner and owner.id == load.id:
        platform.stores.springboard.delete(load.location, standing.etag)
        if load.n_quarantined:
            empty_quarantine(platform.stores.springboard, platform.tables[load.table], load.location)
