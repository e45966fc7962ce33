"""The catalog's own sensor and run: in Glue, chosen by settings alone, and with a Glue that does not answer."""

import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.jobs import move_originals, update_catalog
from cubic_ingestion.defs.translator import catalog_tags
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.catalog import catalog
from cubic_ingestion_tests import glue as glue_reader
from cubic_ingestion_tests.defs.conftest import BASE_TABLE, CHANGE_TABLE, DMAP_TABLE
from cubic_ingestion_tests.defs.runs import QUIET, failures, replay, sweep
from cubic_ingestion_tests.defs.test_sensors import Ticker, a_run
from cubic_ingestion_tests.depot import CatalogThatIsDown, Depot
from cubic_ingestion_tests.glue import database, glue, glue_url
from cubic_ingestion_tests.homes import BASE, CHANGES, depot_of, put_dmap, put_ods

__all__ = ["database", "glue", "glue_url"]


@pytest.fixture
def depot(depot: Depot, glue: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> Depot:
    """The depot in the home, with its catalog in Glue."""
    assert glue
    monkeypatch.setenv("CUBIC_CATALOG", "glue")
    monkeypatch.setenv("CUBIC_GLUE_DATABASE", database)
    return depot_of(depot.root)


@pytest.fixture
def silence() -> Iterator[str]:
    """The address of a Glue that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def tell(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def(update_catalog.name)
    return job.execute_in_process(run_config=QUIET, instance=instance, raise_on_error=False)


def test_a_tick_requests_one_run_that_brings_new_rows_to_glue(
    depot: Depot,
    definitions: dg.Definitions,
    tables: Mapping[str, Table],
    instance: dg.DagsterInstance,
    glue: Any,
    database: str,
) -> None:
    ticker = Ticker(definitions, instance, "catalog")
    assert "knows everything" in str(ticker.tick())
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz")
    put_dmap(depot, "20220304.csv")
    for name in ("ods", "dmap"):
        Ticker(definitions, instance, f"{name}_incoming").tick()
    sweep(definitions, instance, [tables[name] for name in (BASE_TABLE, CHANGE_TABLE, DMAP_TABLE)])

    (request,) = ticker.tick()

    assert isinstance(request, dg.RunRequest)
    assert request.tags.items() >= {"cubic/stream": "all", "cubic/lane": "catalog"}.items()
    waiting = a_run(instance, catalog_tags(in_lane=True), dg.DagsterRunStatus.QUEUED)
    assert "has not started yet" in str(ticker.tick())
    instance.report_run_canceled(waiting)
    assert tell(definitions, instance).success
    assert glue_reader.partitions_of(glue, database, CHANGE_TABLE).keys() == {
        ("20220301T000000Z", "20220304-134556444.csv.gz")
    }
    assert glue_reader.query(glue, database, f"select count(*) from {BASE_TABLE}") == [(1,)]
    assert glue_reader.query(glue, database, f"select sample_count from {DMAP_TABLE}") == [(5,)]
    assert "knows everything" in str(ticker.tick())


def test_a_replay_is_told_too(
    depot: Depot, definitions: dg.Definitions, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    assert ingest_incoming(definitions, instance, depot.platform) == []
    ticker = Ticker(definitions, instance, "catalog")
    assert isinstance(ticker.tick(), str)

    assert replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04").success

    assert isinstance(ticker.tick(), list)


@pytest.mark.usefixtures("depot")
def test_a_glue_that_does_not_answer_delays_neither_ingesting_nor_archiving(
    home: Any,
    silence: str,
    definitions: dg.Definitions,
    tables: Mapping[str, Table],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silence)
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    Ticker(definitions, instance, "dmap_incoming").tick()

    assert sweep(definitions, instance, [tables[DMAP_TABLE]]).success
    (request,) = Ticker(definitions, instance, "originals").tick()
    assert isinstance(request, dg.RunRequest)
    move = definitions.resolve_job_def(move_originals.name)
    assert move.execute_in_process({**request.run_config, **QUIET}, instance=instance).success

    # Had anything asked Glue, it would have waited for half a minute six times over.
    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED}
    assert isinstance(Ticker(definitions, instance, "catalog").tick(), list)


def test_a_refusal_that_passes_fails_no_run_and_is_requested_again_after_its_pause(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dmap(depot, "20220304.csv")
    with monkeypatch.context() as patch:
        patch.setattr(type(depot.platform.catalog), "register", CatalogThatIsDown.register)
        assert ingest_incoming(definitions, instance, depot.platform) == []
    (behind,) = depot.platform.ledger.deliveries[Consumer.CATALOG].backlog()
    assert "throttled" in str(behind.error)
    ticker = Ticker(definitions, instance, "catalog")
    assert "not to be asked again yet" in str(ticker.tick())

    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh()

    assert isinstance(ticker.tick(), list)


def test_what_a_person_has_to_permit_fails_the_run_with_the_fix(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance, glue: Any, database: str
) -> None:
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput={"Name": DMAP_TABLE, "TableType": "VIRTUAL_VIEW"})
    put_dmap(depot, "20220304.csv")

    (failure,) = ingest_incoming(definitions, instance, depot.platform)

    assert "Remove the table, or name another database" in failure
    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED}
    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh()
    assert "was made by somebody else" in failures(tell(definitions, instance))[0]


def test_a_run_that_tells_the_catalog_for_long_is_not_taken_for_dead(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    depot.ingest()
    working, dead = (a_run(instance, catalog_tags(in_lane=True), dg.DagsterRunStatus.STARTED) for _ in range(2))
    now = depot.clock.now()
    depot.platform.ledger.deliveries[Consumer.CATALOG].claim(
        [DMAP_TABLE],
        claimant=f"{working.run_id}/a",
        now=now,
        expires_at=now + timedelta(seconds=depot.platform.limits.claim_timeout_seconds),
        n_tables=1,
        n_changes=1,
    )

    assert Ticker(definitions, instance, "dead_runs").tick() == f"Ended: {dead.run_id}."
    assert catalog(depot.platform, [DMAP_TABLE], run_id="other").n_changes == 0
