"""One object in S3 that answers every GET wrongly: what becomes of it, and of everything else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion.ports import Stores
from cubic_ingestion.storage.s3_client import s3_client
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.s3 import name_s3, new_bucket, s3
from cubic_ingestion_tests.s3_refusals import Refusal, Refusals, refusing_s3

pytestmark = pytest.mark.slow

__all__ = ["s3"]

BASE, DMAP = an_ods_table(), a_table()
OTHER = an_ods_table(name="cubic__ods_qlik__edw_other", prefix="cubic/ods_qlik/EDW.OTHER/")
BAD = "LOAD00000002"
ZONES = ("incoming", "archive", "error", "springboard")
ANSWERS = [Refusal.ACCESS_DENIED, Refusal.NO_ETAG, Refusal.CUT_OFF, Refusal.BROKEN_XML, Refusal.A_PAGE]
FOR_EVER = 1_000_000


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two requests."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def refusals() -> Refusals:
    """Refuse nothing, until it is said."""
    return Refusals()


@pytest.fixture
def depot(s3: Any, refusals: Refusals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    """A depot on S3 behind a proxy, into which five loads of three tables came; its client is that of production."""
    with refusing_s3(refusals) as url:
        name_s3(s3, monkeypatch, url)
        client = s3_client.__wrapped__("path", 10)
        bucket = new_bucket(s3)
        zones = {zone: S3ObjectStore(client, bucket, f"{zone}/") for zone in ZONES}
        built = Depot.build(tmp_path, [BASE, OTHER, DMAP])
        built.clock.advance(minutes=10)
        for key, body in delivery().items():
            s3.put_object(Bucket=bucket, Key=f"incoming/{key}", Body=body)
        yield replace(built, platform=replace(built.platform, stores=Stores(**zones)))
        client.close()


def delivery() -> dict[str, bytes]:
    """Return the files by their keys."""
    stems = [f"{BASE.prefix}LOAD0000000{number}" for number in (1, 2, 3)] + [f"{OTHER.prefix}LOAD00000001"]
    files = {f"{DMAP.prefix}20220304.csv": b"sample_id,sample_name,sample_count\n1,a,5\n"}
    for stem in stems:
        files[f"{stem}.csv.gz"] = csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n")
        files[f"{stem}.dfm"] = a_dfm(started_at="2022-03-01T00:00:00.000")
    return files


def work(depot: Depot) -> None:
    """Ingest and move all that is ready; DuckDB's views over S3 would take an extension from the network."""
    depot.ingest()
    depot.archive()


def bad_one(depot: Depot) -> Load:
    """Return the load with the object that answers wrongly."""
    (load,) = [load for load in depot.loads() if load.version.file_name.startswith(BAD)]
    return load


def others(depot: Depot) -> set[LoadStatus]:
    """Return the statuses of the other loads."""
    found = [load.status for load in depot.loads() if not load.version.file_name.startswith(BAD)]
    assert len(found) == 4
    return set(found)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("ending", [".csv.gz", ".dfm"])
def test_one_wrong_answer_delays_its_own_load_alone(
    depot: Depot, refusals: Refusals, answer: Refusal, ending: str
) -> None:
    refusals.refusal, refusals.only, refusals.only_key, refusals.times = answer, "GetObject", BAD + ending, FOR_EVER
    work(depot)

    assert others(depot) == {LoadStatus.ARCHIVED}
    load = bad_one(depot)
    assert (load.status, load.attempts, load.claimed_by) == (LoadStatus.READY, 1, None)
    assert load.waits_for is not None
    assert f"{BAD}{ending}" in load.waits_for

    refusals.times = 0
    depot.clock.advance(minutes=11)
    work(depot)
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    assert audit(depot.platform).n_findings == 0


@pytest.mark.parametrize("answer", [Refusal.ACCESS_DENIED, Refusal.NO_ETAG, Refusal.CUT_OFF])
@pytest.mark.parametrize("ending", [".csv.gz", ".dfm"])
def test_an_object_that_always_answers_wrongly_is_given_up_after_its_attempts(
    depot: Depot, refusals: Refusals, answer: Refusal, ending: str
) -> None:
    refusals.refusal, refusals.only, refusals.only_key, refusals.times = answer, "GetObject", BAD + ending, FOR_EVER
    for _ in range(depot.platform.limits.max_attempts + 2):
        work(depot)
        depot.clock.advance(minutes=11)

    assert others(depot) == {LoadStatus.ARCHIVED}
    load = bad_one(depot)
    assert load.error is not None
    assert (load.error.code, load.attempts) == ("attempts_exhausted", depot.platform.limits.max_attempts)
    # What cannot be read cannot be copied either; a file without its sidecar can.
    assert load.status is (LoadStatus.ERRORED if ending == ".dfm" else LoadStatus.READY_FOR_ERRORING)
    assert audit(depot.platform).n_findings == 0

    refusals.times = 0
    work(depot)
    assert retry(depot.platform, [bad_one(depot)]).refused == []
    work(depot)
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    assert audit(depot.platform).n_findings == 0


@pytest.mark.parametrize("answer", [Refusal.ACCESS_DENIED, Refusal.NO_ETAG, Refusal.CUT_OFF])
@pytest.mark.parametrize("ending", [".csv.gz", ".dfm"])
def test_one_wrong_answer_delays_the_move_of_its_own_original_alone(
    depot: Depot, refusals: Refusals, answer: Refusal, ending: str
) -> None:
    depot.ingest()
    refusals.refusal, refusals.only, refusals.only_key, refusals.times = answer, "GetObject", BAD + ending, FOR_EVER
    depot.archive()

    assert others(depot) == {LoadStatus.ARCHIVED}
    assert bad_one(depot).status is LoadStatus.READY_FOR_ARCHIVING
    assert f"{BAD}{ending}" in (bad_one(depot).waits_for or "")

    refusals.times = 0
    depot.clock.advance(minutes=1)
    depot.archive()
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    assert audit(depot.platform).n_findings == 0
