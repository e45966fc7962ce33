"""The change feed: what each transaction records, to whom it is delivered, and what is forgotten."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from cubic_ingestion.domain.changes import WHOLE_TABLE, ChangeKind, Consumer
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.steps import StepKind
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.feeds import changes, deliveries, process, replay
from cubic_ingestion_tests.contracts.ledgers import (
    AT_NOON,
    DAY,
    LATER,
    an_ingested,
    archived,
    claim,
    ingested,
    place,
    ready,
    register,
)

ERROR = LoadError("bad_value", "It is bad.")
SOON = datetime.now(UTC) + timedelta(days=1)
"""After all that a test records."""


def test_rows_are_published_replaced_and_withdrawn(ledger: Ledger, engine: Engine) -> None:
    (load,) = archived(ledger, "a.csv")
    replay(ledger, load)
    replay(ledger, load, "elsewhere")

    first = f"{load.version.key}.parquet"
    assert changes(engine, load) == [
        ("published", first),
        ("replaced", first),
        ("withdrawn", first),
        ("published", "elsewhere"),
    ]


def test_a_load_that_takes_the_place_of_another_withdraws_its_rows(ledger: Ledger, engine: Engine) -> None:
    (old,) = ingested(ledger, "a.csv")
    (new,) = ready(ledger, "b.csv")
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(new, location=f"{old.version.key}.parquet")])

    taken = f"{old.version.key}.parquet"
    assert changes(engine, old) == [("published", taken), ("withdrawn", taken)]
    assert changes(engine, new) == [("published", taken)]


def test_a_load_that_is_rejected_while_it_is_archived_withdraws_its_rows(ledger: Ledger, engine: Engine) -> None:
    (load,) = ingested(ledger, "a.csv")
    claim(ledger, Work.ARCHIVE)
    assert ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")

    assert changes(engine, load)[-1] == ("withdrawn", f"{load.version.key}.parquet")


def feed(engine: Engine, load: Load) -> list[tuple[str, str, str | None]]:
    """Return the feed of a load, in order, as kind, partition and location."""
    with engine.connect() as connection:
        statement = "SELECT kind, partition_key, location FROM cubic_changes WHERE load_id = :id ORDER BY id"
        rows = connection.execute(text(statement), {"id": load.id}).tuples()
        return [(kind, partition_key, location) for kind, partition_key, location in rows]


def test_a_replay_withdraws_rows_from_the_partition_that_they_were_in(ledger: Ledger, engine: Engine) -> None:
    (load,) = archived(ledger, "a.csv")
    place(ledger, [load], "2022-03-05", snapshot=NOON)
    claim(ledger, Work.REPLAY)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, "2022-03-05", location="elsewhere")])

    assert feed(engine, load)[-3:] == [
        ("withdrawn", DAY, f"{load.version.key}.parquet"),
        ("marked", "2022-03-05", None),
        ("published", "2022-03-05", "elsewhere"),
    ]


def test_a_rejection_withdraws_rows_from_where_they_were_and_marks_the_partition_that_it_is_of(
    ledger: Ledger, engine: Engine
) -> None:
    (load,) = ingested(ledger, "a.csv")
    place(ledger, [load], "2022-03-05", snapshot=NOON)
    claim(ledger, Work.ARCHIVE)
    assert ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")

    assert feed(engine, load)[-2:] == [
        ("withdrawn", DAY, f"{load.version.key}.parquet"),
        ("marked", "2022-03-05", None),
    ]


def test_a_load_whose_place_is_taken_withdraws_rows_from_where_they_were(ledger: Ledger, engine: Engine) -> None:
    (old,) = ingested(ledger, "a.csv")
    place(ledger, [old], "2022-03-05", snapshot=NOON)
    (new,) = ready(ledger, "b.csv")
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(new, location=f"{old.version.key}.parquet")])

    assert feed(engine, old)[-2:] == [
        ("withdrawn", DAY, f"{old.version.key}.parquet"),
        ("marked", "2022-03-05", None),
    ]


def test_what_changes_no_rows_is_marked_and_delivered_to_dagster_alone(ledger: Ledger, engine: Engine) -> None:
    (load,) = ready(ledger, "a.csv")
    assert ledger.outcomes.reject(load.id, ERROR)

    assert changes(engine, load) == [("marked", None)]
    assert deliveries(ledger, Consumer.CATALOG) == []
    (work,) = deliveries(ledger, Consumer.DAGSTER)
    assert [(each.kind, each.load_id, each.partition_key) for each in work.deliveries] == [
        (ChangeKind.MARKED, load.id, DAY)
    ]


def test_a_renewed_lease_on_deliveries_ends_later_and_no_other_consumers_does(ledger: Ledger) -> None:
    archived(ledger, "a.csv")
    for consumer in Consumer:
        deliveries(ledger, consumer)

    assert ledger.deliveries[Consumer.CATALOG].renew("run-9/a", LATER) == 1
    assert ledger.deliveries[Consumer.CATALOG].renew("run-8/a", LATER) == 0

    held = {holding.consumer: holding.ends_at for holding in ledger.claims.holdings()}
    assert held == {"catalog": LATER, "dagster": AT_NOON["expires_at"], "products": AT_NOON["expires_at"]}


def test_an_acknowledgement_marks_the_table_as_a_whole_once(ledger: Ledger) -> None:
    loads = ready(ledger, "a.csv", "b.csv")
    for load in loads:
        ledger.outcomes.reject(load.id, ERROR)
    process(ledger, Consumer.DAGSTER)
    ledger.trouble.acknowledge([load.id for load in loads], "Dana", "known")

    (work,) = deliveries(ledger, Consumer.DAGSTER)
    assert [(each.load_id, each.partition_key) for each in work.deliveries] == [(None, WHOLE_TABLE)]


def test_a_change_stays_in_the_feed_when_everybody_has_processed_it(ledger: Ledger, engine: Engine) -> None:
    (load,) = ingested(ledger, "a.csv")
    for consumer in Consumer:
        process(ledger, consumer)

    assert [ledger.deliveries[consumer].backlog() for consumer in Consumer] == [[] for _ in Consumer]
    assert changes(engine, load) == [("published", f"{load.version.key}.parquet")]


def test_what_one_consumer_has_processed_waits_for_the_other(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    process(ledger, Consumer.CATALOG)

    assert [behind.n_changes for behind in ledger.deliveries[Consumer.DAGSTER].backlog()] == [1]


def test_old_changes_go_except_the_last_of_each_load_and_what_somebody_waits_for(
    ledger: Ledger, engine: Engine
) -> None:
    (load,) = archived(ledger, "a.csv")
    replay(ledger, load)
    replay(ledger, load, "elsewhere")
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")
    steps = n_steps(ledger, load)
    assert ledger.retention.forget(SOON) == steps
    assert len(changes(engine, load)) == 5
    for consumer in Consumer:
        process(ledger, consumer)

    assert ledger.retention.forget(SOON - timedelta(days=9)) == 0
    assert ledger.retention.forget(SOON) == 3

    assert changes(engine, load) == [("published", "elsewhere"), ("marked", None)]


def n_steps(ledger: Ledger, load: Load) -> int:
    """Count the steps that are on record beside the load itself."""
    return len([step for step in ledger.steps.of(load.id) if step.kind is not StepKind.REGISTERED])


def test_a_change_of_no_load_goes_when_it_is_old(ledger: Ledger, engine: Engine) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.outcomes.reject(load.id, ERROR)
    ledger.trouble.acknowledge([load.id], "Dana", "known")
    process(ledger, Consumer.DAGSTER)
    ledger.retention.forget(SOON)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT load_id FROM cubic_changes")).tuples().all() == [(load.id,)]


def test_forgetting_goes_on_over_pages(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cubic_ingestion.ledger.retention.PAGE_IDS", 2)
    loads = archived(ledger, *(f"{number}.csv" for number in range(5)))
    for load in loads:
        replay(ledger, load)
    for consumer in Consumer:
        process(ledger, consumer)
    steps = sum(n_steps(ledger, load) for load in loads)

    assert ledger.retention.forget(SOON) == 5 + steps


def test_a_load_has_its_steps_with_times_and_runs(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")

    steps = ledger.steps.of(load.id)

    assert {step.kind: step.run_id for step in steps} == {
        StepKind.REGISTERED: None,
        StepKind.PLANNED: None,
        StepKind.CLAIMED: "run-1",
        StepKind.PUBLISHED: "run-1",
        StepKind.ARCHIVED: "run-1",
    }
    assert steps[0].kind is StepKind.CLAIMED  # the test's claims are of a noon long ago
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert ledger.steps.of(load.id + 1) == []


def test_a_rejected_load_that_is_brought_back_has_the_steps_of_both_tries(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    claim(ledger)
    ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")
    claim(ledger, Work.ERROR, "run-2/b")
    ledger.outcomes.complete_error("run-2/b", {load.id: "error/a.csv"})
    ledger.outcomes.retry([load.id])
    claim(ledger, claimant="run-3/c", now=LATER, expires_at=LATER + timedelta(minutes=15))

    steps = [(step.kind, step.run_id) for step in ledger.steps.of(load.id)]

    assert (StepKind.REJECTED, "run-1") in steps
    assert (StepKind.ERRORED, "run-2") in steps
    assert (StepKind.RETRIED, None) in steps
    assert steps.count((StepKind.CLAIMED, "run-1")) == 1


def test_a_step_that_came_to_nothing_is_not_recorded(ledger: Ledger) -> None:
    (load,) = register(ledger, "a.csv")
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)]) == [load.id]
    assert not ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")

    assert [step.kind for step in ledger.steps.of(load.id)] == [StepKind.REGISTERED]
