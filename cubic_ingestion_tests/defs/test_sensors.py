"""What the sensors see, request and leave alone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test

from cubic_ingestion.defs import sensors
from cubic_ingestion.defs.jobs import move_originals
from cubic_ingestion.defs.translator import asset_key, lane_tags
from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.pipeline.claim import claim
from cubic_ingestion.storage import local_object_store
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.defs.conftest import BASE_TABLE, CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import QUIET, sweep
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, put_dmap, put_kafka, put_ods

Tick = list[dg.RunRequest] | str


class Ticker:
    """Evaluates one sensor again and again, keeping its cursor as the daemon does."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, name: str) -> None:
        self._definitions = definitions
        self._instance = instance
        self._sensor = definitions.resolve_sensor_def(name)
        self.cursor: str | None = None

    def tick(self) -> Tick:
        """Evaluate once; returns the run requests, or why there are none."""
        with dg.build_sensor_context(
            instance=self._instance,
            definitions=self._definitions,
            cursor=self.cursor,
            resources=self._definitions.resources,
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return list(data.run_requests or ()) or (data.skip_message or "")


def a_run(instance: dg.DagsterInstance, tags: Mapping[str, str], status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """Record a run of another process, which got as far as ``status``."""
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elsewhere"), "elsewhere"), "elsewhere"
    )
    return create_run_for_test(instance, job_name="elsewhere", tags=dict(tags), status=status, remote_job_origin=origin)


def test_a_tick_requests_one_run_for_all_tables_with_something_ready(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz")
    for minute in range(5):
        put_ods(depot, f"{CHANGES}20991231-00{minute:02}00000.csv.gz")

    [request] = Ticker(definitions, instance, "ods_incoming").tick()

    assert isinstance(request, dg.RunRequest)
    assert list(request.asset_selection or ()) == [asset_key(tables[name]) for name in (BASE_TABLE, CHANGE_TABLE)]
    assert request.partition_key is None
    assert request.tags.items() >= {"cubic/stream": "ods", "cubic/lane": "ods-ingest"}.items()
    assert request.run_key is None  # a used key is never run again


def test_a_tick_selects_only_the_tables_with_something_ready(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz")

    [request] = Ticker(definitions, instance, "ods_incoming").tick()

    assert isinstance(request, dg.RunRequest)
    assert request.asset_selection == [asset_key(tables[BASE_TABLE])]


def test_an_empty_incoming_and_one_seen_before_request_nothing(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    ticker = Ticker(definitions, instance, "dmap_incoming")
    assert ticker.tick() == "Nothing new among 0 files."
    put_dmap(depot, "20220304.csv")
    assert isinstance(ticker.tick(), list)
    sweep(definitions, instance, [tables[DMAP_TABLE]])

    assert ticker.tick() == "Nothing new among 1 file."


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
)
def test_nothing_is_requested_while_a_run_of_the_lane_waits_to_start(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    put_dmap(depot, "20220304.csv")
    ticker = Ticker(definitions, instance, "dmap_incoming")
    run = a_run(instance, lane_tags(StreamName.DMAP, "ingest"), status)

    assert "has not started yet" in str(ticker.tick())

    instance.report_run_canceled(run)
    assert isinstance(ticker.tick(), list)


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        (lane_tags(StreamName.ODS, "ingest"), dg.DagsterRunStatus.QUEUED),
        (lane_tags(StreamName.DMAP, "move"), dg.DagsterRunStatus.QUEUED),
        (lane_tags(StreamName.DMAP, "ingest"), dg.DagsterRunStatus.STARTED),
        (lane_tags(StreamName.DMAP, "ingest"), dg.DagsterRunStatus.FAILURE),
    ],
)
def test_other_lanes_and_runs_that_claimed_already_hold_nothing_up(
    depot: Depot,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str],
    status: dg.DagsterRunStatus,
) -> None:
    put_dmap(depot, "20220304.csv")
    a_run(instance, tags, status)

    assert isinstance(Ticker(definitions, instance, "dmap_incoming").tick(), list)


def test_a_run_that_hangs_before_it_starts_does_not_stop_its_stream(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dmap(depot, "20220304.csv")
    a_run(instance, lane_tags(StreamName.DMAP, "ingest"), dg.DagsterRunStatus.STARTING)
    monkeypatch.setattr(sensors, "_LONGEST_START", timedelta(seconds=-60))

    assert isinstance(Ticker(definitions, instance, "dmap_incoming").tick(), list)


def test_what_expired_is_requested_again(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dmap(depot, "20220304.csv")
    ticker = Ticker(definitions, instance, "dmap_incoming")
    ticker.tick()
    held = claim(depot.platform, [DMAP_TABLE], Work.INGEST, run_id="killed")
    assert str(ticker.tick()).startswith("Nothing new")

    later = depot.clock.now() + timedelta(hours=1)
    monkeypatch.setattr(type(depot.platform.clock), "now", lambda _clock: later)

    assert isinstance(ticker.tick(), list)
    assert len(held.loads) == 1


def test_a_listing_that_takes_too_long_goes_on_at_the_next_tick(
    depot: Depot,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for batch in range(7):
        put_kafka(depot, f"{batch}.json")
    monkeypatch.setattr(sensors, "TICK_SECONDS", 0)
    monkeypatch.setattr(local_object_store, "PAGE_SIZE", 3)
    ticker = Ticker(definitions, instance, "kafka_incoming")

    cursors: list[str | None] = []
    for n_loads in (3, 6, 7):
        ticker.tick()
        cursors.append(ticker.cursor)
        assert len(depot.loads()) == n_loads
    ticker.tick()

    assert cursors == [f'"cubic/kafka/sample/{last}.json"' for last in (2, 5, 6)]
    assert ticker.cursor == ""  # from the beginning again
    assert len(depot.loads()) == 7


def test_a_file_that_sorts_before_the_cursor_is_seen_at_the_next_round(
    depot: Depot,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for batch in "bcdefg":
        put_kafka(depot, f"{batch}.json")
    monkeypatch.setattr(sensors, "TICK_SECONDS", 0)
    monkeypatch.setattr(local_object_store, "PAGE_SIZE", 3)
    ticker = Ticker(definitions, instance, "kafka_incoming")
    ticker.tick()
    put_kafka(depot, "a.json")

    for _ in range(4):
        ticker.tick()

    assert depot.statuses().keys() == {f"{batch}.json" for batch in "abcdefg"}


def test_a_stream_that_cannot_be_listed_fails_its_own_sensor_alone(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_listing(monkeypatch, StreamName.ODS)
    put_ods(depot, BASE + "LOAD1.csv.gz")
    put_dmap(depot, "20220304.csv")

    with pytest.raises(Exception, match="could not be reached"):
        Ticker(definitions, instance, "ods_incoming").tick()

    assert isinstance(Ticker(definitions, instance, "dmap_incoming").tick(), list)
    assert [load.table for load in depot.loads()] == [DMAP_TABLE]


def break_listing(monkeypatch: pytest.MonkeyPatch, stream: StreamName) -> None:
    """Have the folder of one stream refuse to be listed, as one without permission does."""
    listed = LocalObjectStore.list

    def refusing(store: LocalObjectStore, prefix: str, **how: Any) -> Iterator[Sequence[ObjectVersion]]:
        if prefix.startswith(stream.prefix):
            raise StoreUnavailableError(prefix, "Permission denied")
        return listed(store, prefix, **how)

    monkeypatch.setattr(LocalObjectStore, "list", refusing)


def test_originals_are_moved_by_one_run_a_stream(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    ticker = Ticker(definitions, instance, "originals")
    assert isinstance(ticker.tick(), str)
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv", "1,a,many\n")
    put_kafka(depot, "a.json")
    for name in ("dmap", "kafka"):
        Ticker(definitions, instance, f"{name}_incoming").tick()
    sweep(definitions, instance, [tables[DMAP_TABLE], tables[KAFKA_TABLE]])

    requests = ticker.tick()

    assert isinstance(requests, list)
    assert [request.tags["cubic/lane"] for request in requests] == ["dmap-move", "kafka-move"]
    for request in requests:
        config: dict[str, Any] = {**request.run_config, **QUIET}
        result = definitions.resolve_job_def(move_originals.name).execute_in_process(config, instance=instance)
        assert result.success
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED, LoadStatus.ERRORED}
    assert isinstance(ticker.tick(), str)


def test_originals_are_not_requested_twice(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "readme.txt")
    Ticker(definitions, instance, "dmap_incoming").tick()
    ticker = Ticker(definitions, instance, "originals")
    assert isinstance(ticker.tick(), list)

    a_run(instance, lane_tags(StreamName.DMAP, "move"), dg.DagsterRunStatus.QUEUED)

    assert isinstance(ticker.tick(), str)


def test_a_failed_run_gives_back_what_it_held_and_no_more(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")
    for name in ("dmap", "kafka"):
        Ticker(definitions, instance, f"{name}_incoming").tick()
    run = a_run(instance, {}, dg.DagsterRunStatus.STARTED)
    claim(depot.platform, [DMAP_TABLE], Work.INGEST, run_id=run.run_id)
    claim(depot.platform, [KAFKA_TABLE], Work.INGEST, run_id="another")
    assert set(depot.statuses().values()) == {LoadStatus.INGESTING}
    event = instance.report_run_failed(run)
    sensor = definitions.resolve_sensor_def("release_failed_run")

    with dg.build_run_status_sensor_context(
        "release_failed_run",
        event,
        instance,
        run,
        resources=definitions.resources,
    ) as context:
        sensor(context.for_run_failure())

    assert depot.statuses() == {"20220304.csv": LoadStatus.READY, "a.json": LoadStatus.INGESTING}
    assert isinstance(Ticker(definitions, instance, "dmap_incoming").tick(), list)


def test_a_run_whose_process_is_gone_is_ended(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    Ticker(definitions, instance, "dmap_incoming").tick()
    tags = lane_tags(StreamName.DMAP, "ingest")
    dead, working, talking = (a_run(instance, tags, dg.DagsterRunStatus.STARTED) for _ in range(3))
    elsewhere = a_run(instance, {}, dg.DagsterRunStatus.STARTED)
    claim(depot.platform, [DMAP_TABLE], Work.INGEST, run_id=working.run_id)
    instance.report_engine_event("A step begins.", talking)

    told = Ticker(definitions, instance, "dead_runs").tick()

    assert told == f"Ended: {dead.run_id}."
    statuses = [run.status.value for run in (instance.get_run_by_id(r.run_id) for r in (dead, working, talking)) if run]
    assert statuses == ["FAILURE", "STARTED", "STARTED"]
    left = instance.get_run_by_id(elsewhere.run_id)
    assert left
    assert left.status is dg.DagsterRunStatus.STARTED
