"""Isolation: work on one load at a time; what goes wrong with it concerns that load alone.

It is rejected if it is wrong, tried again later if that may help, and given up after its last try. Held loads are
ingested, free ones are planned; how each of them waits and is rejected differs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RejectedLoadError, RetriableError
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.ingest_report import Report
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.log_context import about
from cubic_ingestion.pipeline.tries import given_up, is_exhausted, isolated, pause_after
from cubic_ingestion.pipeline.withdraw import withdraw, withdraw_if_possible

Outcome = TypeVar("Outcome")

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeldIsolation:
    """Keeps the loads of one claim apart from each other. Their tries are counted when work on them begins."""

    platform: Platform
    table: Table
    held: Claim
    report: Report

    def run(self, load: Load, work: Callable[[], Outcome]) -> Outcome | None:
        """Do some work on one load.

        Returns:
            What the work returns; None if the load was rejected or given back.

        Raises:
            FatalError: Code or settings are wrong, so that no load can be worked on.
            DatabaseUnavailableError: Not even the trouble could be recorded.
        """
        with about(self.table, load, self.held.claimant):
            return isolated(
                work, reject=lambda error: self._reject(load, error), retry=lambda error: self._retry(load, error)
            )

    def give_up(self, load: Load, reason: object) -> None:
        """Reject a load after its last try, which may have published rows without knowing it."""
        withdraw_if_possible(self.platform, self.table, load, self.held.holds)
        self._reject(load, given_up(load, reason))

    def _reject(self, load: Load, error: RejectedLoadError) -> None:
        reason = LoadError.of(error)
        if self.platform.ledger.outcomes.reject(load.id, reason, claimant=self.held.claimant):
            self.report.rejected.append((load, reason))
            _log.warning("load rejected", code=reason.code, reason=reason.message, row=reason.row, column=reason.column)

    def _retry(self, load: Load, error: RetriableError) -> None:
        if is_exhausted(load, self.platform.limits):
            self.give_up(load, error)
            return
        retry_at = self.platform.clock.now() + pause_after(load.attempts)
        self.platform.ledger.claims.release(
            self.held.claimant, retry_at=retry_at, load_ids=[load.id], reason=str(error)
        )
        self.report.released.append((load, str(error)))
        _log.warning("load given back", reason=str(error), attempts=load.attempts, retry_at=retry_at.isoformat())


@dataclass(frozen=True, slots=True)
class FreeIsolation:
    """Keeps loads that nobody holds apart from each other. A try counts if it fails."""

    platform: Platform

    def run(self, load: Load, work: Callable[[], Outcome]) -> Outcome | None:
        """Do some work on one load; as ``HeldIsolation.run``."""
        with about(self.platform.tables[load.table], load):
            return isolated(
                work, reject=lambda error: self._reject(load, error), retry=lambda error: self._retry(load, error)
            )

    def _reject(self, load: Load, error: RejectedLoadError) -> None:
        if load.source_at:  # it was placed before, so a try may have published its rows
            withdraw(self.platform, self.platform.tables[load.table], load, self._is_free)
        self.platform.ledger.outcomes.reject(load.id, LoadError.of(error))

    def _retry(self, load: Load, error: RetriableError) -> None:
        tried = replace(load, attempts=min(load.attempts + 1, self.platform.limits.max_attempts))
        retry_at = self.platform.clock.now() + pause_after(tried.attempts)
        is_last = is_exhausted(tried, self.platform.limits)
        reason = error.problem if is_last else str(error)  # which says that it will be tried again
        self.platform.ledger.plans.wait(load.id, reason, retry_at, attempts=tried.attempts)
        if is_last:
            self._give_up(tried, error)
        else:
            _log.warning("load not planned", reason=reason, attempts=tried.attempts, retry_at=retry_at.isoformat())

    def _give_up(self, load: Load, error: RetriableError) -> None:
        if load.source_at:
            withdraw_if_possible(self.platform, self.platform.tables[load.table], load, self._is_free)
        self.platform.ledger.outcomes.reject(load.id, LoadError.of(given_up(load, error)))

    def _is_free(self, load: Load) -> bool:
        now = self.platform.ledger.queries.load(load.id)
        return now is not None and now.status is LoadStatus.READY and now.claimed_by is None
