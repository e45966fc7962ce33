"""What sensors and daemon do, in one process: all streams, until nothing is ready."""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import dagster as dg
import pytest

from cubic_ingestion.defs.cleaning import clean_warehouse
from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import SettingsError, StoreUnavailableError
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.passes import is_catalog_update_due
from cubic_ingestion.ports import TellSkipped
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.defs.conftest import CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.troubled import Trouble, troubled
from cubic_ingestion_tests.homes import BASE, CHANGES, depot_of, put_dmap, put_kafka, put_ods
from cubic_ingestion_tests.permissions import without_permission

WORKS = {
    "move_originals": "move",
    "update_catalog": "catalog",
    "update_products": "products",
    "clean_warehouse": "clean",
}
MANY_LISTINGS = 12
"""More than a command needs that has two files per stream to do."""


def runs(instance: dg.DagsterInstance) -> list[str]:
    """Name each run's stream and work, apart from the cleaning; none is in a lane, which it would close if it died."""
    found = [run for run in instance.get_runs() if run.job_name != clean_warehouse.name]
    assert all("cubic/lane" not in run.tags for run in found)
    return sorted(f"{run.tags['cubic/stream']}-{WORKS.get(run.job_name, 'ingest')}" for run in found)


def test_all_streams_are_done_in_one_ingesting_and_one_moving_run_each(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz")
    for day in range(10, 20):
        put_dmap(depot, f"202203{day}.csv")
    put_kafka(depot, "a.json")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert depot.files("incoming") == []
    lanes = [f"{stream}-{work}" for stream in ("dmap", "kafka", "ods") for work in ("ingest", "move")]
    assert runs(instance) == ["all-catalog", "all-products", *lanes]


def test_a_second_time_there_is_nothing_to_run(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingest_incoming(definitions, instance, depot.platform)
    before = runs(instance), depot.loads()

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert (runs(instance), depot.loads()) == before


def test_more_loads_than_a_run_may_take_need_more_runs(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIC_MAX_LOADS_PER_RUN", "2")
    for batch in range(5):
        put_kafka(depot, f"{batch}.json")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert runs(instance).count("kafka-ingest") == 3


def test_streams_take_turns_and_files_that_keep_arriving_do_not_prolong_the_command(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")

    arriving = with_a_file_before_each_listing(depot, StreamName.ODS)
    assert ingest_incoming(definitions, instance, arriving) == []

    there_at_the_start = ("LOAD1.csv.gz", "20220304.csv", "a.json")
    assert {name: depot.statuses()[name] for name in there_at_the_start} == dict.fromkeys(
        there_at_the_start, LoadStatus.ARCHIVED
    )
    assert not is_catalog_update_due(depot.platform)


def test_the_catalog_is_brought_up_to_date_after_each_round(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIC_MAX_LOADS_PER_RUN", "2")
    for batch in range(6):
        put_kafka(depot, f"{batch}.json")
    put_dmap(depot, "20220304.csv")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    in_order = [WORKS.get(run.job_name) or run.tags["cubic/stream"] for run in reversed(instance.get_runs())]
    assert [work for work in in_order if work not in {"move", "clean"}] == [
        *("dmap", "kafka", "catalog"),
        *("kafka", "catalog"),
        *("kafka", "catalog"),
        "products",
    ]


def test_a_file_that_was_still_being_written_at_the_start_is_waited_for_once(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIC_SETTLE_SECONDS", "1")
    put_kafka(depot, "a.json")
    put_dmap(depot, "20220304.csv")

    arriving = with_a_file_before_each_listing(depot_of(depot.root), StreamName.ODS)
    assert ingest_incoming(definitions, instance, arriving) == []

    assert {depot.statuses()[name] for name in ("a.json", "20220304.csv")} == {LoadStatus.ARCHIVED}


def with_a_file_before_each_listing(depot: Depot, stream: StreamName) -> Platform:
    """Return the platform with an Incoming in which an ODS file has arrived whenever a stream is listed."""

    class Filling(LocalObjectStore):
        n_listings = 0

        def list(
            self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
        ) -> Iterator[Sequence[ObjectVersion]]:
            if prefix == stream.prefix:
                Filling.n_listings += 1
                assert Filling.n_listings < MANY_LISTINGS, "The command goes on for as long as files arrive."
                put_ods(depot, f"{CHANGES}20220304-1345564{Filling.n_listings:02}.csv.gz")
            return super().list(prefix, after=after, skipped=skipped)

    stores = replace(depot.platform.stores, incoming=Filling(depot.root / "incoming"))
    return replace(depot.platform, stores=stores)


def test_what_waits_for_its_sidecar_ends_the_pass_and_not_the_command(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz").with_name("LOAD1.dfm").unlink()

    assert ingest_incoming(definitions, instance, depot.platform) == []

    [load] = depot.loads()
    assert (load.status, load.waits_for) == (LoadStatus.READY, "waits for its .dfm sidecar")


def test_a_late_snapshot_brings_changes_to_their_place_in_the_same_pass(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220601-000000000.csv.gz")
    ingest_incoming(definitions, instance, depot.platform)
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-05-01T00:00:00.000")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert [key.split("/")[3] for key in depot.files("springboard") if "__ct" in key] == ["snapshot=20220501T000000Z"]
    partitions = instance.get_materialized_partitions(asset_key(tables[CHANGE_TABLE]))
    assert "20220501T000000Z_2022-06-01" in partitions


def test_a_replay_that_is_due_and_cannot_succeed_does_not_run_for_ever(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220601-000000000.csv.gz")
    ingest_incoming(definitions, instance, depot.platform)
    next((depot.root / "archive").rglob("20220601*.dfm")).write_bytes(b"no json")
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-05-01T00:00:00.000")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    change = depot.loads()[1]
    assert change.status is LoadStatus.ARCHIVED
    assert change.error is not None
    assert len(runs(instance)) < 10


def test_one_streams_failing_run_stops_no_other_and_holds_nothing(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")
    put_ods(depot, BASE + "LOAD1.csv.gz")
    break_rows_of(depot, "dmap")

    [failure] = ingest_incoming(definitions, instance, depot.platform)

    assert "springboard__dmap__cubic__dmap__agg_sample" in failure
    assert "this table is broken" in failure
    statuses = depot.statuses()
    assert statuses["20220304.csv"] is LoadStatus.READY
    assert {statuses["a.json"], statuses["LOAD1.csv.gz"]} == {LoadStatus.ARCHIVED}


def break_rows_of(depot: Depot, stream: str) -> None:
    """Make a table refuse all work on its loads, after they were claimed."""
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute(
            "create trigger breaks before update on cubic_loads when new.attempts > old.attempts "
            f"and new.s3_key like 'cubic/{stream}/%' begin select raise(abort, 'this table is broken'); end"
        )


def test_a_stream_that_cannot_be_listed_stops_no_other(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")

    failures = ingest_incoming(definitions, instance, without_listing_of(depot, StreamName.DMAP))

    assert failures == ["dmap: Object 'cubic/dmap/' could not be reached (Permission denied)."]
    assert depot.statuses() == {"a.json": LoadStatus.ARCHIVED}


@pytest.mark.parametrize(
    "refusal",
    [partial(SettingsError, "AWS", "ListObjectsV2 is not permitted.", "Permit it."), partial(KeyError, "LastModified")],
)
def test_whatever_keeps_a_stream_from_being_listed_stops_no_other(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, refusal: Trouble
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")

    failures = ingest_incoming(definitions, instance, without_listing_of(depot, StreamName.ODS, refusal))

    assert len(failures) == 1
    assert re.match(r"ods: (AWS: ListObjectsV2 is not permitted|An error that nobody foresaw \(KeyError )", failures[0])
    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED, "a.json": LoadStatus.ARCHIVED}


def test_a_folder_that_cannot_be_listed_is_a_failure_and_everything_else_is_ingested(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz")
    put_dmap(depot, "20220304.csv")

    with without_permission(depot.root / "incoming" / CHANGES):
        failures = ingest_incoming(definitions, instance, depot.platform)

    assert failures == [f"ods: Folders could not be listed: '{CHANGES}' (Permission denied)."]
    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED, "LOAD1.csv.gz": LoadStatus.ARCHIVED}
    (group,) = depot.platform.ledger.intake.scans()[StreamName.ODS.prefix].seen.unknown
    assert (group.folder + group.names[0], group.why) == (CHANGES, "it cannot be listed (Permission denied)")


def without_listing_of(depot: Depot, stream: StreamName, refusal: Trouble | None = None) -> Platform:
    """Return the platform with an Incoming that refuses to list one stream, as without permission."""
    denied = partial(StoreUnavailableError, stream.prefix, "Permission denied")
    return troubled(depot, "incoming", f"^{stream.prefix}$", listing=refusal or denied).platform


def test_a_rejected_load_is_no_failure(depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    put_dmap(depot, "20220305.csv")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert depot.statuses() == {"20220304.csv": LoadStatus.ERRORED, "20220305.csv": LoadStatus.ARCHIVED}


@pytest.mark.parametrize("table", [DMAP_TABLE, KAFKA_TABLE])
def test_what_was_done_headless_shows_as_materialised(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance, table: str
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "2022-03-04.json")

    ingest_incoming(definitions, instance, depot.platform)

    assert instance.get_materialized_partitions(asset_key(tables[table])) == {"2022-03-04"}
