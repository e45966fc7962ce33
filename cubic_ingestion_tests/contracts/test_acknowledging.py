"""What every load ledger promises of what waits for a person."""

from datetime import timedelta

from cubic_ingestion.domain.changes import WHOLE_TABLE, Consumer
from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import OpenState
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import (
    BASE,
    DAY,
    DMAP,
    an_ingested,
    archived,
    claim,
    ready,
    register,
    reread,
)

ERROR = LoadError("bad_value", "It is bad.")
LONG_AGO = NOON - timedelta(days=9_000)


def state(ledger: Ledger) -> OpenState:
    return ledger.trouble.open_state(DMAP.name, LONG_AGO, 2)


def test_each_kind_of_trouble_is_open_until_it_is_acknowledged(ledger: Ledger) -> None:
    (bad,) = register(ledger, "bad.csv")
    ledger.outcomes.reject(bad.id, ERROR)
    (replayed,) = archived(ledger, "old.csv")
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    ledger.outcomes.reject(replayed.id, ERROR, claimant="run-1/a")
    (sifted,) = ready(ledger, "sifted.csv")
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(sifted, n_quarantined=2)])
    found = state(ledger)
    assert [load.id for load in found.rejected.loads] == [bad.id]
    assert [load.id for load in found.failed_replays.loads] == [replayed.id]
    assert [load.id for load in found.quarantined.loads] == [sifted.id]
    assert not ledger.trouble.open_state(BASE.name, LONG_AGO, 2)

    ids = [bad.id, replayed.id, sifted.id]
    assert sorted(ledger.trouble.acknowledge(ids, "ann", "They are known.")) == ids

    assert not state(ledger)
    acknowledged = reread(ledger, bad)
    assert (acknowledged.acknowledged_by, acknowledged.acknowledged_reason) == ("ann", "They are known.")
    assert acknowledged.acknowledged_at is not None
    assert acknowledged.error == ERROR
    assert WHOLE_TABLE in ledger.deliveries[Consumer.DAGSTER].pending_partitions(DMAP.name, [WHOLE_TABLE])


def test_sound_loads_and_unknown_ids_cannot_be_acknowledged(ledger: Ledger) -> None:
    (sound,) = archived(ledger, "a.csv")
    (waiting,) = ready(ledger, "b.csv")

    assert ledger.trouble.acknowledge([sound.id, waiting.id, 99], "ann", "Why not?") == []


def test_an_acknowledgement_is_not_replaced_by_another(ledger: Ledger) -> None:
    (load,) = register(ledger, "a.csv")
    ledger.outcomes.reject(load.id, ERROR)
    ledger.trouble.acknowledge([load.id], "ann", "Known.")
    first = reread(ledger, load)

    assert ledger.trouble.acknowledge([load.id], "bob", "Unknown.") == []

    assert reread(ledger, load) == first


def test_all_are_counted_and_the_newest_are_shown(ledger: Ledger) -> None:
    loads = register(ledger, "a.csv", "b.csv", "c.csv")
    for load in loads:
        ledger.outcomes.reject(load.id, ERROR)

    found = state(ledger)

    assert found.rejected.n_loads == 3
    assert [load.id for load in found.rejected.loads] == [loads[2].id, loads[1].id]


def test_another_rejection_is_open_again(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    for _ in range(2):
        claim(ledger, Work.REPLAY, partition_keys=[DAY])
        ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")
        assert state(ledger).failed_replays
        ledger.trouble.acknowledge([load.id], "ann", "Known.")
        assert not state(ledger)


def test_a_replay_with_success_closes_what_was_open(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)])

    assert not state(ledger)


def test_only_a_load_that_lacks_nothing_waits_too_long(ledger: Ledger) -> None:
    (waiting,) = ready(ledger, "a.csv")
    (lacking,) = register(ledger, "b.csv")
    ledger.plans.wait(lacking.id, "waits for its .dfm sidecar", NOON)
    since = reread(ledger, waiting).inserted_at

    assert not ledger.trouble.open_state(DMAP.name, since, 2)
    found = ledger.trouble.open_state(DMAP.name, since + timedelta(seconds=1), 2)
    assert [load.id for load in found.waiting.loads] == [waiting.id]
