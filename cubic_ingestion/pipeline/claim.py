"""Claim: hold loads for a while, so that nobody else works on them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import Work
from cubic_ingestion.pipeline.heartbeat import Heartbeat
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.process import this_process
from cubic_ingestion.pipeline.release import release_dead


@dataclass(slots=True)
class Claim:
    """The loads one worker holds; renewed while it works, expired if it dies."""

    platform: Platform
    claimant: str
    """Who holds them, from ``claimant_of``."""
    loads: Sequence[Load] = ()
    _heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        """Remember when the claim was fresh."""
        self._heartbeat = Heartbeat(self.platform.clock, self.platform.limits.claim_timeout_seconds)

    def keep(self) -> None:
        """Renew the claim if it is time; cheap to call often."""
        self._heartbeat.beat(partial(self.platform.ledger.claims.renew, self.claimant))

    def holds(self, load: Load) -> bool:
        """Say whether the load is still ours: the fence before anything is published."""
        return self.platform.ledger.claims.holds(self.claimant, load.id)


def claimant_of(run_id: str) -> str:
    """Make a claimant's name: the run's id, a token that no other claim has, and this process."""
    return f"{run_id}/{uuid4().hex}/{this_process()}"


def claim(
    platform: Platform,
    tables: Collection[str],
    work: Work,
    *,
    run_id: str,
    limit: int | None = None,
    partition_keys: Collection[str] | None = None,
) -> Claim:
    """Take the loads of some tables that wait for a kind of work, atomically; what a dead process held waits too.

    Args:
        platform: The platform.
        tables: Names of tables.
        work: What for.
        run_id: The run that works; ``release`` gives back by it.
        limit: At most so many loads; the setting's if None.
        partition_keys: Only these partitions.

    Returns:
        What is held now; possibly nothing.
    """
    held = Claim(platform, claimant_of(run_id))
    now, expires_at = platform.claim_term()
    release_dead(platform.ledger, now)
    held.loads = platform.ledger.claims.take(
        tables,
        work,
        claimant=held.claimant,
        now=now,
        expires_at=expires_at,
        limit=limit or platform.limits.max_loads_per_run,
        partition_keys=partition_keys,
    )
    return held
