"""Any interleaving of registering, claiming, expiring, finishing late or in time leaves the ledger right."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from cubic_ingestion.domain.load import Ingested, Load, LoadError, Placement
from cubic_ingestion.domain.status import TRANSITIONS, LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.models import Base
from cubic_ingestion_tests.builders import NOON, a_table, an_arrival

TABLE, DAY = a_table(), "2022-03-04"
HELD = {LoadStatus.INGESTING, LoadStatus.ARCHIVING, LoadStatus.ERRORING}
WORKERS = st.sampled_from(["run-1/a", "run-1/b", "run-2/c"])


class LedgerMachine(RuleBasedStateMachine):
    """Workers that come, work, die and come late; ``self.held`` says who really holds what."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self.ledger = Ledger(engine)
        self.ledger.tables.sync([TABLE])
        self.now: datetime = NOON
        self.versions: set[tuple[int, int]] = set()
        self.held: dict[int, tuple[str, datetime]] = {}
        self.seen: dict[int, Load] = {}

    def teardown(self) -> None:
        with self._engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())

    @rule(page=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=5))
    def register(self, page: list[tuple[int, int]]) -> None:
        arrivals = [an_arrival(TABLE, key=f"{TABLE.prefix}{name}.csv", etag=str(etag)) for name, etag in page]
        assert self.ledger.intake.register(arrivals) == len(set(page) - self.versions)
        self.versions |= set(page)
        new = self.ledger.plans.unplanned([TABLE.name], self.now, 100)
        self.ledger.plans.place([Placement(load.id, NOON, DAY) for load in new])

    @rule(worker=WORKERS, work=st.sampled_from(Work), limit=st.integers(1, 4), by_partition=st.booleans())
    def claim(self, worker: str, work: Work, limit: int, *, by_partition: bool) -> None:
        expires_at = self.now + timedelta(minutes=10)
        keys = [DAY] if by_partition else None
        taken = self.ledger.claims.take(
            [TABLE.name], work, claimant=worker, now=self.now, expires_at=expires_at, limit=limit, partition_keys=keys
        )
        for load in taken:
            assert load.id not in self.held or self.held[load.id][1] <= self.now
            self.held[load.id] = (worker, expires_at)

    @rule(minutes=st.integers(1, 15))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(worker=WORKERS, bad=st.booleans())
    def finish(self, worker: str, *, bad: bool) -> None:
        """End the work on all loads that the worker ever held, also those that it lost."""
        for load in self.ledger.queries.loads(limit=100):
            is_ours = self.held.get(load.id, ("", NOON))[0] == worker
            assert self.ledger.claims.holds(worker, load.id) == is_ours
            if bad and load.status is not LoadStatus.ERRORING:
                assert self.ledger.outcomes.reject(load.id, LoadError("bad", "It is bad."), claimant=worker) == is_ours
            elif load.status is LoadStatus.ARCHIVING:
                assert self.ledger.outcomes.complete_archive(worker, {load.id: "a"}) == ([] if is_ours else [load.id])
            elif load.status is LoadStatus.ERRORING:
                assert self.ledger.outcomes.complete_error(worker, {load.id: "e"}) == ([] if is_ours else [load.id])
            else:
                done = Ingested(load.id, DAY, 1, 1, load.version.key)
                assert self.ledger.outcomes.complete_ingest(worker, [done]) == ([] if is_ours else [load.id])
            if is_ours:
                del self.held[load.id]

    @rule()
    def retry(self) -> None:
        """Bring errored loads back; others are asked for too, and stay."""
        loads = self.ledger.queries.loads(limit=100)
        errored = [load.id for load in loads if load.status is LoadStatus.ERRORED]
        assert sorted(self.ledger.outcomes.retry([load.id for load in loads])) == sorted(errored)
        new = self.ledger.plans.unplanned([TABLE.name], self.now, 100)
        assert {load.id for load in new} >= set(errored)
        assert all(load.error is None and load.attempts == 0 for load in new if load.id in errored)
        self.ledger.plans.place([Placement(load.id, NOON, DAY) for load in new])

    @rule(run=st.sampled_from(["run-1", "run-2"]))
    def run_fails(self, run: str) -> None:
        ours = [load_id for load_id, (worker, _) in self.held.items() if worker.startswith(run)]
        assert self.ledger.claims.release_runs(run, retry_at=self.now) == len(ours)
        for load_id in ours:
            del self.held[load_id]

    @invariant()
    def each_version_is_one_load_and_each_holder_the_right_one(self) -> None:
        loads = self.ledger.queries.loads(limit=100)
        assert len(loads) == len(self.versions)
        assert {load.id: load.claimed_by for load in loads if load.claimed_by} == {
            load_id: worker for load_id, (worker, _) in self.held.items()
        }
        assert all(load.claimed_by for load in loads if load.status in HELD)

    @invariant()
    def every_load_went_a_legal_way(self) -> None:
        for load in self.ledger.queries.loads(limit=100):
            before = self.seen.get(load.id)
            assert before is None or before.status is load.status or load.status in _reachable(before.status)
            self.seen[load.id] = load

    @invariant()
    def whoever_ingests_a_key_is_alone_with_it(self) -> None:
        live = [
            (load.version.key, load.claimed_by)
            for load in self.ledger.queries.loads(statuses=[LoadStatus.INGESTING], limit=100)
            if load.claim_expires_at and load.claim_expires_at > self.now
        ]
        assert len({key for key, _ in live}) == len(set(live))


def _reachable(status: LoadStatus) -> set[LoadStatus]:
    """Statuses at most two steps on: one rule may reject a load and another worker's turn comes in the same rule."""
    once = TRANSITIONS[status]
    return set(once).union(*(TRANSITIONS[step] for step in once))


@pytest.mark.slow
def test_any_interleaving_leaves_the_ledger_right(engine: Engine) -> None:
    run_state_machine_as_test(
        lambda: LedgerMachine(engine),  # pyright: ignore[reportArgumentType] - a factory is all it calls
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            derandomize=True,
        ),
    )
