"""What every batch ledger does, on each database in turn."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.batch import Advance, Batch, Part, Position, ShardState
from cubic_ingestion.domain.holding import Holding, Right
from cubic_ingestion.errors import ShardLeaseLostError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.shards import Shards
from cubic_ingestion_tests.builders import NOON

LATER = NOON + timedelta(minutes=1)
SHARD = ("fares", "shardId-000000000000")
HUGE = 10**55


@pytest.fixture
def shards(engine: Engine) -> Shards:
    """A ledger that knows nothing."""
    return Ledger(engine).shards


def a_batch(first: int, last: int, *, key: str | None = None, parts: tuple[Part, ...] = ()) -> Batch:
    """Build a batch of taps."""
    return Batch("taps", Position(HUGE + first), Position(HUGE + last), last - first + 1, 100, NOON, key, parts)


def a_part(last: int) -> Part:
    """Build a part that ends somewhere."""
    return Part(f"open/{last}", Position(HUGE + last, 0), 1, 100)


def lease(shards: Shards, owner: str = "one") -> ShardState | None:
    """Take the shard at noon for a minute."""
    return shards.lease(*SHARD, owner, now=NOON, expires_at=LATER)


def advance(shards: Shards, owner: str = "one", *, to: str | None = "9", **batches: list[Batch]) -> None:
    """Move the checkpoint."""
    done = Advance(to, NOON, 250)
    shards.advance(
        *SHARD, owner, done, written=batches.get("written", []), still_open=batches.get("still_open", []), now=NOON
    )


def test_a_shard_is_held_by_one_until_its_lease_expires_or_is_given_back(shards: Shards) -> None:
    assert lease(shards) == ShardState(None)
    assert lease(shards) is not None
    assert lease(shards, "two") is None
    assert shards.lease(*SHARD, "two", now=LATER, expires_at=LATER) is not None
    assert lease(shards) is None
    assert shards.lease(*SHARD, "one", now=LATER, expires_at=LATER) is not None  # that of two has expired
    shards.release(*SHARD, "two")
    assert shards.leases("fares")[SHARD[1]].owner == "one"
    shards.release(*SHARD, "one")
    assert shards.leases("fares")[SHARD[1]].owner is None
    assert shards.leases("another") == {}


def test_a_lease_that_a_clock_took_that_is_ahead_is_taken_over(shards: Shards) -> None:
    assert shards.lease(*SHARD, "one", now=NOON, expires_at=LATER + timedelta(minutes=1))
    assert lease(shards, "two") is None
    shards.renew("fares", "one", LATER + timedelta(days=1))
    assert lease(shards, "two") is not None
    assert shards.renew("fares", "one", LATER) == set()


def test_a_leased_shard_is_listed_and_given_back_with_all_that_its_owner_has(shards: Shards, ledger: Ledger) -> None:
    lease(shards)
    shards.lease("fares", "other", "two", now=NOON, expires_at=LATER)
    held = [Holding(Right.SHARD, "other", "two", LATER), Holding(Right.SHARD, SHARD[1], "one", LATER)]
    assert ledger.claims.holdings() == held
    assert ledger.claims.release_holder("two", retry_at=NOON) == 0
    assert ledger.claims.holders() == ["one"]


def test_renewing_names_what_is_still_held(shards: Shards) -> None:
    lease(shards)
    shards.lease("fares", "other", "two", now=NOON, expires_at=LATER)
    assert set(shards.renew("fares", "one", LATER + timedelta(minutes=1))) == {SHARD[1]}
    assert shards.lease(*SHARD, "two", now=LATER, expires_at=LATER) is None


def test_asking_for_a_shard_is_seen_by_its_holder_and_over_when_it_is_taken(shards: Shards) -> None:
    lease(shards)
    shards.ask_for(*SHARD, "two")
    assert shards.leases("fares")[SHARD[1]].wanted_by == "two"
    shards.release(*SHARD, "one")
    lease(shards, "two")
    assert shards.leases("fares")[SHARD[1]].wanted_by is None


def test_whoever_lost_the_lease_can_change_nothing(shards: Shards) -> None:
    lease(shards)
    shards.lease(*SHARD, "two", now=LATER, expires_at=LATER)
    with pytest.raises(ShardLeaseLostError):
        shards.cut(*SHARD, "one", [a_batch(1, 2, key="k")], NOON)
    with pytest.raises(ShardLeaseLostError):
        advance(shards)
    assert shards.lease(*SHARD, "two", now=LATER, expires_at=LATER) == ShardState(None)


def test_the_next_holder_gets_checkpoint_cuts_and_parts(shards: Shards) -> None:
    lease(shards)
    still_open = a_batch(1, 3, parts=(a_part(2), a_part(3)))
    advance(shards, still_open=[still_open])
    shards.cut(*SHARD, "one", [a_batch(1, 5, key="kafka/a.json"), a_batch(6, 10, key="kafka/b.json")], NOON)

    state = lease(shards)

    cut = a_batch(1, 5, key="kafka/a.json", parts=(a_part(2), a_part(3)))
    assert state == ShardState("9", (cut, a_batch(6, 10, key="kafka/b.json")))


def test_a_cut_stays_where_it_was_put_though_its_batch_goes_on_record_as_open(shards: Shards) -> None:
    lease(shards)
    shards.cut(*SHARD, "one", [a_batch(1, 5, key="kafka/a.json")], NOON)
    advance(shards, still_open=[a_batch(1, 3, key="kafka/a.json", parts=(a_part(3),))])

    state = lease(shards)

    assert state is not None
    assert state.batches == (a_batch(1, 5, key="kafka/a.json", parts=(a_part(3),)),)


def test_written_batches_leave_their_parts_to_be_removed(shards: Shards) -> None:
    lease(shards)
    advance(shards, still_open=[a_batch(1, 3, parts=(a_part(3),))])
    done = a_batch(1, 4, key="kafka/a.json", parts=(a_part(3),))
    shards.cut(*SHARD, "one", [done], NOON)
    advance(shards, to="10", written=[done])

    assert lease(shards) == ShardState("10", (), (a_part(3).key,))
    shards.forget_parts([a_part(3).key])
    assert lease(shards) == ShardState("10")


def test_progress_tells_lag_and_open_batches_and_an_idle_read_keeps_the_newest_time(
    shards: Shards, ledger: Ledger
) -> None:
    lease(shards)
    advance(shards, still_open=[a_batch(1, 3, parts=(a_part(3),)), a_batch(4, 4, parts=(a_part(4),))][:1])
    shards.advance(*SHARD, "one", Advance("9", None, 0), written=[], still_open=[], now=LATER)

    (progress,) = ledger.shards.progress()

    assert (progress.stream, progress.shard, progress.checkpoint, progress.owner) == (*SHARD, "9", "one")
    assert (progress.n_open_batches, progress.n_open_records, progress.oldest_open_at) == (1, 3, NOON)
    assert (progress.arrived_at, progress.read_at, progress.behind_milliseconds) == (NOON, LATER, 0)
    assert not progress.is_ended


def test_files_of_batches_are_known_by_their_keys(shards: Shards, ledger: Ledger) -> None:
    lease(shards)
    shards.cut(*SHARD, "one", [a_batch(1, 2, key="kafka/a.json")], NOON)
    assert set(ledger.batches.files(["kafka/a.json", "kafka/b.json"])) == {"kafka/a.json"}
