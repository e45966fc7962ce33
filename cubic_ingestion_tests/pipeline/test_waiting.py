"""Files that wait: for their sidecar, for their snapshot, or to be whole."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.test_flow import BASE, CHANGES, DMAP, MARCH, MAY, put_dmap, put_ods


def test_a_late_sidecar_delays_only_its_own_load(depot: Depot) -> None:
    depot.put(BASE + "LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
    put_dmap(depot, "20220304.csv")
    depot.settle()
    waiting = depot.loads()[0]
    assert waiting.status is LoadStatus.READY
    assert waiting.waits_for
    assert ".dfm" in waiting.waits_for
    assert depot.statuses()["20220304.csv"] is LoadStatus.ARCHIVED
    depot.clock.advance(minutes=10)
    depot.put(BASE + "LOAD1.dfm", a_dfm(started_at=MARCH))
    depot.settle()
    assert depot.loads()[0].status is LoadStatus.ARCHIVED


@pytest.mark.parametrize("was_written", [False, True])
@pytest.mark.slow
def test_a_restated_file_is_not_read_with_the_sidecar_of_the_version_before(depot: Depot, *, was_written: bool) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,a", started_at=MARCH)
    if was_written:
        depot.ingest()
    else:
        register(depot.platform, StreamName.ODS)
        plan(depot.platform, StreamName.ODS)
    depot.put(BASE + "LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n0001,b"))
    depot.settle()

    old, new = depot.loads()
    assert (old.status, old.error and old.error.code) == (LoadStatus.ERRORED, "superseded")
    assert new.waits_for == "waits for a .dfm sidecar newer than the version before it"
    assert depot.rows(an_ods_table()) == []

    columns = [{"ordinal": 1, "name": "SAMPLE_ID", "type": "STRING"}, {"name": "SAMPLE_NAME", "type": "STRING"}]
    depot.put(BASE + "LOAD1.dfm", a_dfm(columns, started_at=MAY))
    depot.clock.advance(minutes=10)
    depot.settle()
    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED, LoadStatus.ARCHIVED]
    assert [row["sample_id"] for row in depot.rows(an_ods_table())] == ["0001"]


def test_a_restated_file_whose_sidecar_stays_is_read_with_it_after_the_wait(depot: Depot) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", "1,a", started_at=MARCH)
    depot.ingest()
    depot.put(BASE + "LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n2,b"))
    depot.settle()
    assert depot.rows(an_ods_table()) == []

    depot.clock.advance(seconds=depot.platform.limits.sidecar_wait_seconds)
    depot.settle()
    old, new = depot.loads()
    assert (new.status, new.sidecar_etag) == (LoadStatus.ARCHIVED, old.sidecar_etag)
    assert [row["sample_id"] for row in depot.rows(an_ods_table())] == [2]


def test_what_is_still_being_written_is_not_looked_at(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [an_ods_table(), a_table()], limits=builders.limits(settle_seconds=5))
    now = depot.clock.now()
    depot.put(DMAP + "20220304.csv", b"sample_id\n1\n", modified_at=now - timedelta(seconds=4))
    depot.put(DMAP + "20220305.csv", b"sample_id\n1\n", modified_at=now + timedelta(hours=1))
    depot.put(BASE + "LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"), modified_at=now - timedelta(seconds=9))
    depot.put(BASE + "LOAD1.dfm", a_dfm()[:50], modified_at=now - timedelta(seconds=4))
    depot.settle()
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.READY, "20220305.csv": LoadStatus.ARCHIVED}
    depot.put(BASE + "LOAD1.dfm", a_dfm(), modified_at=now)
    depot.clock.advance(seconds=60)
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert len(depot.statuses()) == 3


@pytest.mark.parametrize("code", ["sidecar_missing", "snapshot_missing"])
def test_what_never_comes_is_waited_for_until_the_deadline(tmp_path: Path, code: str) -> None:
    limits = builders.limits(sidecar_wait_seconds=3600, snapshot_wait_seconds=3600)
    depot = Depot.build(tmp_path, [an_ods_table(), a_change_table()], limits=limits)
    depot.put(CHANGES + "20220304-134556444.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
    if code == "snapshot_missing":
        depot.put(CHANGES + "20220304-134556444.dfm", a_dfm())
    for minutes in (0, 30, 29):
        depot.clock.advance(minutes=minutes)
        depot.settle()
        assert depot.loads()[0].status is LoadStatus.READY
    depot.clock.advance(minutes=2)
    depot.settle()
    [load] = depot.loads()
    assert load.status is LoadStatus.ERRORED
    assert load.error is not None
    assert load.error.code == code


class StoreThatWaitsForThree(LocalObjectStore):
    """A store that tells nothing of a sidecar before three are asked for at once."""

    three = Barrier(3)

    def head(self, key: str) -> ObjectVersion | None:
        """Wait for two others."""
        if key.endswith(".dfm"):
            self.three.wait(timeout=10)
        return super().head(key)


def test_sidecars_are_looked_for_several_at_a_time(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [an_ods_table()], limits=builders.limits(parallel_loads=3))
    for number in (1, 2, 3):
        put_ods(depot, f"{BASE}LOAD{number}.csv.gz", "1,a", started_at=MARCH)
    stores = replace(depot.platform.stores, incoming=StoreThatWaitsForThree(tmp_path / "incoming"))
    register(depot.platform, StreamName.ODS)

    assert plan(replace(depot.platform, stores=stores), StreamName.ODS) == 3
