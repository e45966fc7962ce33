"""The change feed: what each transaction records, to whom it is delivered, how a consumer begins, what is forgotten."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from cubic_ingestion.domain.changes import WHOLE_TABLE, ChangeKind, Consumer
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.steps import StepKind
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import TableDeliveries
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import (
    AT_NOON,
    BASE,
    DAY,
    DMAP,
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


def changes(engine: Engine, *loads: Load) -> list[tuple[str, str | None]]:
    """Return the feed of some loads, in order, as kind and location."""
    ids = ", ".join(str(load.id) for load in loads)
    with engine.connect() as connection:
        rows = connection.execute(
            text(f"SELECT kind, location FROM cubic_changes WHERE load_id IN ({ids}) ORDER BY id")
        ).tuples()
        return [(kind, location) for kind, location in rows]


def deliveries(ledger: Ledger, consumer: Consumer, claimant: str = "run-9/a") -> Sequence[TableDeliveries]:
    tables = [DMAP.name, BASE.name]
    return ledger.deliveries[consumer].claim(tables, claimant=claimant, **AT_NOON, n_tables=9, n_changes=99)


def process(ledger: Ledger, consumer: Consumer) -> None:
    """Process all that waits for a consumer."""
    for work in deliveries(ledger, consumer):
        assert ledger.deliveries[consumer].complete("run-9/a", work)


def become_new(engine: Engine, consumer: Consumer) -> None:
    """Have a consumer that the ledger has never heard of."""
    with engine.begin() as connection:
        for table in ("cubic_consumers", "cubic_deliveries"):
            connection.execute(text(f"DELETE FROM {table} WHERE consumer = '{consumer}'"))


def replay(ledger: Ledger, load: Load, location: str | None = None) -> None:
    ledger.outcomes.mark_replay([load.id])
    claim(ledger, Work.REPLAY)
    stands_at = location or f"{load.version.key}.parquet"
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, location=stands_at)])


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
    assert held == {"catalog": LATER, "dagster": AT_NOON["expires_at"]}


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

    assert [ledger.deliveries[consumer].backlog() for consumer in Consumer] == [[], []]
    assert changes(engine, load) == [("published", f"{load.version.key}.parquet")]


def test_what_one_consumer_has_processed_waits_for_the_other(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    process(ledger, Consumer.CATALOG)

    assert [behind.n_changes for behind in ledger.deliveries[Consumer.DAGSTER].backlog()] == [1]


def test_a_new_consumer_begins_with_the_last_change_of_each_load_that_has_rows(ledger: Ledger, engine: Engine) -> None:
    kept, moved = archived(ledger, "a.csv", "b.csv")
    replay(ledger, moved, "elsewhere")
    (rejected,) = ready(ledger, "c.csv")
    ledger.outcomes.reject(rejected.id, ERROR)
    become_new(engine, Consumer.CATALOG)
    catalog = ledger.deliveries[Consumer.CATALOG]

    assert catalog.due([DMAP.name, BASE.name], **AT_NOON) == [DMAP.name]
    (work,) = deliveries(ledger, Consumer.CATALOG)
    assert [(each.load_id, each.kind, each.location, each.is_seed) for each in work.deliveries] == [
        (kept.id, ChangeKind.PUBLISHED, f"{kept.version.key}.parquet", True),
        (moved.id, ChangeKind.PUBLISHED, "elsewhere", True),
    ]
    assert catalog.complete("run-9/a", work)
    ingested(ledger, "d.csv")
    (follows,) = deliveries(ledger, Consumer.CATALOG)
    assert [(each.location, each.is_seed) for each in follows.deliveries] == [(f"{DMAP.prefix}d.csv.parquet", False)]


def test_rows_of_before_there_was_a_feed_are_delivered_to_a_new_consumer(ledger: Ledger, engine: Engine) -> None:
    (load,) = archived(ledger, "a.csv")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM cubic_deliveries"))
        connection.execute(text("DELETE FROM cubic_changes"))
    become_new(engine, Consumer.CATALOG)

    (work,) = deliveries(ledger, Consumer.CATALOG)

    assert [(each.load_id, each.location, each.is_seed) for each in work.deliveries] == [
        (load.id, f"{load.version.key}.parquet", True)
    ]
    assert work.deliveries[0].partition_key == DAY


@pytest.mark.parametrize("is_new", [True, False])
def test_a_seed_and_a_refresh_name_where_rows_are_now_whatever_moved_them(
    ledger: Ledger, engine: Engine, *, is_new: bool
) -> None:
    moved, placed, back, kept = archived(ledger, "a.csv", "b.csv", "c.csv", "d.csv")
    replay(ledger, back, "elsewhere")
    process(ledger, Consumer.CATALOG)
    first = f"{back.version.key}.parquet"
    with engine.begin() as connection:  # a release without a feed is at work
        move = text("UPDATE cubic_loads SET location = :place, partition_key = :day WHERE id = :id")
        connection.execute(move, {"place": "moved", "day": "2022-03-05", "id": moved.id})
        connection.execute(move, {"place": f"{placed.version.key}.parquet", "day": "2022-03-06", "id": placed.id})
        connection.execute(move, {"place": first, "day": DAY, "id": back.id})
    if is_new:
        become_new(engine, Consumer.CATALOG)
    else:
        assert ledger.deliveries[Consumer.CATALOG].refresh() == 4

    (work,) = deliveries(ledger, Consumer.CATALOG)

    assert {each.load_id: (each.kind, each.partition_key, each.location) for each in work.deliveries} == {
        moved.id: (ChangeKind.PUBLISHED, "2022-03-05", "moved"),
        placed.id: (ChangeKind.PUBLISHED, "2022-03-06", f"{placed.version.key}.parquet"),
        back.id: (ChangeKind.PUBLISHED, DAY, first),
        kept.id: (ChangeKind.PUBLISHED, DAY, f"{kept.version.key}.parquet"),
    }
    assert len(work.deliveries) == 4
    assert ledger.deliveries[Consumer.CATALOG].refresh() == 4
    assert len(changes(engine, moved, placed, back, kept)) == 9  # and no more the next time


def test_what_is_recorded_before_a_new_consumer_begins_is_delivered_once(ledger: Ledger, engine: Engine) -> None:
    ingested(ledger, "a.csv")
    become_new(engine, Consumer.CATALOG)
    (b,) = ingested(ledger, "b.csv")

    (work,) = deliveries(ledger, Consumer.CATALOG)

    assert len(work.deliveries) == 2
    assert [each.is_seed for each in work.deliveries if each.load_id == b.id] == [False]


def test_deliveries_made_again_while_they_are_processed_are_processed_once_more(ledger: Ledger) -> None:
    ingested(ledger, "a.csv", "b.csv")
    catalog = ledger.deliveries[Consumer.CATALOG]
    (work,) = deliveries(ledger, Consumer.CATALOG)
    assert catalog.refresh() == 2
    assert catalog.complete("run-9/a", work)

    (again,) = deliveries(ledger, Consumer.CATALOG)

    assert again.locations == work.locations
    assert catalog.complete("run-9/a", again)
    assert catalog.backlog() == []


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


def test_the_last_page_of_a_lost_claim_leaves_no_delivery_of_a_forgotten_change(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    (slow,) = deliveries(ledger, Consumer.CATALOG)
    ledger.claims.release_runs("run-9", retry_at=NOON)
    replay(ledger, load)
    for consumer in Consumer:
        process(ledger, consumer)
    ledger.retention.forget(SOON)

    assert not ledger.deliveries[Consumer.CATALOG].complete("gone/b", slow)

    assert ledger.deliveries[Consumer.CATALOG].backlog() == []


def test_deliveries_whose_changes_are_gone_end_with_the_next_claim(ledger: Ledger, engine: Engine) -> None:
    ingested(ledger, "a.csv")
    for consumer in Consumer:
        process(ledger, consumer)
    ingested(ledger, "b.csv")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM cubic_changes"))

    assert [deliveries(ledger, consumer) for consumer in Consumer] == [[], []]

    assert [ledger.deliveries[consumer].due([DMAP.name], **AT_NOON) for consumer in Consumer] == [[], []]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM cubic_deliveries")).scalar_one() == 0


def test_deliveries_of_a_table_that_is_no_longer_declared_wait_until_it_is_again(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    ingested(ledger, "LOAD1.csv.gz", table=BASE)
    ledger.tables.sync([DMAP])
    catalog = ledger.deliveries[Consumer.CATALOG]

    assert catalog.refresh() == 1
    assert [[behind.table for behind in each.backlog()] for each in ledger.deliveries.values()] == [[DMAP.name]] * 2

    ledger.tables.sync([DMAP, BASE])
    assert [[behind.table for behind in each.backlog()] for each in ledger.deliveries.values()] == [
        [DMAP.name, BASE.name]
    ] * 2
