"""What every load repository promises of what waits for a person."""

from datetime import timedelta

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ports import WHOLE_TABLE, LoadRepository, OpenState
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


def state(repository: LoadRepository) -> OpenState:
    return repository.open_state(DMAP.name, LONG_AGO, 2)


def test_each_kind_of_trouble_is_open_until_it_is_acknowledged(repository: LoadRepository) -> None:
    (bad,) = register(repository, "bad.csv")
    repository.reject(bad.id, ERROR)
    (replayed,) = archived(repository, "old.csv")
    claim(repository, Work.REPLAY, partition_keys=[DAY])
    repository.reject(replayed.id, ERROR, claimant="run-1/a")
    (sifted,) = ready(repository, "sifted.csv")
    claim(repository)
    repository.complete_ingest("run-1/a", [an_ingested(sifted, n_quarantined=2)])
    found = state(repository)
    assert [load.id for load in found.rejected.loads] == [bad.id]
    assert [load.id for load in found.failed_replays.loads] == [replayed.id]
    assert [load.id for load in found.quarantined.loads] == [sifted.id]
    assert not repository.open_state(BASE.name, LONG_AGO, 2)

    ids = [bad.id, replayed.id, sifted.id]
    assert sorted(repository.acknowledge(ids, "ann", "They are known.")) == ids

    assert not state(repository)
    acknowledged = reread(repository, bad)
    assert (acknowledged.acknowledged_by, acknowledged.acknowledged_reason) == ("ann", "They are known.")
    assert acknowledged.acknowledged_at is not None
    assert acknowledged.error == ERROR
    assert WHOLE_TABLE in repository.dagster_pending(DMAP.name, [WHOLE_TABLE])


def test_sound_loads_and_unknown_ids_cannot_be_acknowledged(repository: LoadRepository) -> None:
    (sound,) = archived(repository, "a.csv")
    (waiting,) = ready(repository, "b.csv")

    assert repository.acknowledge([sound.id, waiting.id, 99], "ann", "Why not?") == []


def test_an_acknowledgement_is_not_replaced_by_another(repository: LoadRepository) -> None:
    (load,) = register(repository, "a.csv")
    repository.reject(load.id, ERROR)
    repository.acknowledge([load.id], "ann", "Known.")
    first = reread(repository, load)

    assert repository.acknowledge([load.id], "bob", "Unknown.") == []

    assert reread(repository, load) == first


def test_all_are_counted_and_the_newest_are_shown(repository: LoadRepository) -> None:
    loads = register(repository, "a.csv", "b.csv", "c.csv")
    for load in loads:
        repository.reject(load.id, ERROR)

    found = state(repository)

    assert found.rejected.n_loads == 3
    assert [load.id for load in found.rejected.loads] == [loads[2].id, loads[1].id]


def test_another_rejection_is_open_again(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv")
    for _ in range(2):
        claim(repository, Work.REPLAY, partition_keys=[DAY])
        repository.reject(load.id, ERROR, claimant="run-1/a")
        assert state(repository).failed_replays
        repository.acknowledge([load.id], "ann", "Known.")
        assert not state(repository)


def test_a_replay_with_success_closes_what_was_open(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv")
    claim(repository, Work.REPLAY, partition_keys=[DAY])
    repository.reject(load.id, ERROR, claimant="run-1/a")
    claim(repository, Work.REPLAY, partition_keys=[DAY])
    repository.complete_ingest("run-1/a", [an_ingested(load)])

    assert not state(repository)


def test_only_a_load_that_lacks_nothing_waits_too_long(repository: LoadRepository) -> None:
    (waiting,) = ready(repository, "a.csv")
    (lacking,) = register(repository, "b.csv")
    repository.wait(lacking.id, "waits for its .dfm sidecar", NOON)
    since = reread(repository, waiting).inserted_at

    assert not repository.open_state(DMAP.name, since, 2)
    found = repository.open_state(DMAP.name, since + timedelta(seconds=1), 2)
    assert [load.id for load in found.waiting.loads] == [waiting.id]
