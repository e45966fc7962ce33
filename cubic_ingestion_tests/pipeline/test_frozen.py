"""Files in an archive storage class of S3: given up by a reason of their own, left in place, read once restored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion.ports import Stores
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.s3 import new_bucket, s3

pytestmark = pytest.mark.slow

__all__ = ["s3"]

DMAP = "cubic/dmap/agg_sample/20220304.csv"
ODS = "cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv.gz"
SIDECAR = "cubic/ods_qlik/EDW.SAMPLE/LOAD1.dfm"
SOUND = "cubic/dmap/agg_sample/20220305.csv"
BODIES = {
    DMAP: b"sample_id,sample_name,sample_count\n1,a,5\n",
    SOUND: b"sample_id,sample_name,sample_count\n1,a,5\n",
    ODS: csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"),
    SIDECAR: a_dfm(started_at="2022-03-01T00:00:00.000"),
}


@pytest.fixture
def bucket(s3: Any) -> str:
    """An empty bucket."""
    return new_bucket(s3)


@pytest.fixture
def depot(s3: Any, bucket: str, tmp_path: Path) -> Depot:
    """A depot whose zones are in S3, and whose loads have two tries."""
    built = Depot.build(tmp_path, [a_table(), an_ods_table()], limits=builders.limits(max_attempts=2))
    zones = {zone: S3ObjectStore(s3, bucket, f"{zone}/") for zone in ("incoming", "archive", "error", "springboard")}
    return replace(built, platform=replace(built.platform, stores=Stores(**zones)))


def work(depot: Depot) -> None:
    """Do what there is to do, for a while."""
    for _ in range(6):
        depot.clock.advance(minutes=2)
        depot.ingest()
        depot.archive()


def load_of(depot: Depot, key: str) -> Load:
    (load,) = depot.platform.ledger.queries.versions(key)
    return load


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
@pytest.mark.parametrize(("frozen", "key"), [(DMAP, DMAP), (ODS, ODS), (SIDECAR, ODS)])
def test_a_frozen_file_is_given_up_by_its_own_name_and_read_once_it_is_restored(
    s3: Any, bucket: str, depot: Depot, frozen: str, key: str, storage_class: str
) -> None:
    for each in {SOUND, key, *({SIDECAR} if key == ODS else ())}:
        kind = storage_class if each == frozen else "STANDARD"
        s3.put_object(Bucket=bucket, Key=f"incoming/{each}", Body=BODIES[each], StorageClass=kind)

    work(depot)

    load = load_of(depot, key)
    assert (load.status, load.error_key, load.attempts) == (LoadStatus.ERRORED, None, 2)
    assert load.error is not None
    assert load.error.code == "object_frozen"
    assert frozen in load.error.message
    assert load.error.message.endswith(f"Restore it in S3. Then run 'cubic loads retry {load.id}'.")
    assert "tried again" not in load.error.message
    assert load_of(depot, SOUND).status is LoadStatus.ARCHIVED
    assert depot.platform.stores.incoming.head(key) == load.version
    assert audit(depot.platform).findings == []

    s3.restore_object(
        Bucket=bucket,
        Key=f"incoming/{frozen}",
        RestoreRequest={"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}},
    )
    assert [each.id for each in retry(depot.platform, [load]).retried] == [load.id]
    work(depot)

    assert load_of(depot, key).status is LoadStatus.ARCHIVED
    assert list(depot.platform.stores.incoming.list("")) == []
    assert audit(depot.platform).findings == []


def test_a_frozen_file_that_was_removed_is_not_brought_back(s3: Any, bucket: str, depot: Depot) -> None:
    s3.put_object(Bucket=bucket, Key=f"incoming/{DMAP}", Body=BODIES[DMAP], StorageClass="GLACIER")
    work(depot)
    s3.delete_object(Bucket=bucket, Key=f"incoming/{DMAP}")

    report = retry(depot.platform, [load_of(depot, DMAP)])

    assert [reason for _, reason in report.refused] == ["has no original in Incoming any longer"]
