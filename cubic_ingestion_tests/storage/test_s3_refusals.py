"""S3 refuses, or its answers are lost: each verb is asked again after a pause, and loads end as they would have."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import CubicIngestionError, ObjectDeniedError, SettingsError, StoreUnavailableError
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.ports import Stores
from cubic_ingestion.storage import s3_object_writer as writing
from cubic_ingestion.storage.s3_client import TRIES, s3_client
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.s3 import name_s3, new_bucket, s3
from cubic_ingestion_tests.s3_refusals import Refusal, Refusals, refusing_s3

pytestmark = pytest.mark.slow

__all__ = ["s3"]

VERBS = {
    *("ListObjectsV2", "HeadObject", "GetObject", "PutObject", "DeleteObject"),
    *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
}
PART_BYTES = 5 << 20
ZONES = ("incoming", "archive", "error", "springboard")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What botocore would have waited between two tries, in seconds; nobody waits here."""
    waited: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def refusals() -> Refusals:
    """Refuse nothing, until it is said."""
    return Refusals()


@pytest.fixture
def client(s3: Any, refusals: Refusals, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client of production, on an S3 that refuses."""
    with refusing_s3(refusals) as url:
        name_s3(s3, monkeypatch, url)
        client = s3_client.__wrapped__("path", 10)
        yield client
        client.close()


def a_depot_on(root: Path, client: Any, bucket: str, environment: str = "dev") -> Depot:
    """Make a depot whose zones are prefixes of one bucket."""
    built = Depot.build(root, [a_table(), an_ods_table()])
    zones = {zone: S3ObjectStore(client, bucket, f"{environment}/{zone}/") for zone in ZONES}
    return replace(built, platform=replace(built.platform, stores=Stores(**zones)))


def deliver(s3: Any, bucket: str, n_rows: int = 1) -> None:
    """Let a load with a sidecar, one of so many rows, and one that is wrong arrive."""
    large = "\n".join(f"{n},{n * 7919 % 1_000_003:060}" for n in range(n_rows))
    files = {
        "ods_qlik/EDW.SAMPLE/LOAD1.csv.gz": csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"),
        "ods_qlik/EDW.SAMPLE/LOAD1.dfm": a_dfm(started_at="2022-03-01T00:00:00.000"),
        "dmap/agg_sample/20220304.csv": f"sample_id,sample_name\n{large}\n".encode(),
        "dmap/agg_sample/20220305.csv": b"sample_id,sample_name,sample_count\n1,a,bad\n",
    }
    for key, body in files.items():
        s3.put_object(Bucket=bucket, Key=f"dev/incoming/cubic/{key}", Body=body)


def work(depot: Depot) -> None:
    """Bring all loads to their end; DuckDB's views over S3 would take an extension from the network."""
    for _ in range(3):
        depot.ingest()
        depot.archive()


@pytest.mark.parametrize("refusal", [Refusal.SLOW_DOWN, Refusal.INTERNAL_ERROR, Refusal.ANSWER_LOST])
@pytest.mark.parametrize("is_versioned", [False, True], ids=["unversioned", "versioned"])
def test_loads_end_well_though_each_verb_is_refused(
    s3: Any,
    client: Any,
    refusals: Refusals,
    pauses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
    *,
    is_versioned: bool,
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", PART_BYTES)
    bucket = new_bucket(s3, is_versioned=is_versioned)
    deliver(s3, bucket, 90_000)  # enough for parts
    depot = a_depot_on(tmp_path, client, bucket)
    depot.clock.advance(minutes=10)

    refusals.refusal, refusals.times = refusal, TRIES - 1
    work(depot)

    assert {verb for verb, n in refusals.refused.items() if n == TRIES - 1} == VERBS
    assert depot.statuses() == {
        "20220304.csv": LoadStatus.ARCHIVED,
        "20220305.csv": LoadStatus.ERRORED,
        "LOAD1.csv.gz": LoadStatus.ARCHIVED,
    }
    assert max(load.attempts for load in depot.loads()) == 1
    assert list(depot.platform.stores.incoming.list("")) == []
    assert audit(depot.platform).n_findings == 0
    assert len(pauses) == len(VERBS) * (TRIES - 1)


def test_pauses_after_slow_down_grow_and_no_two_are_the_same(
    client: Any, s3: Any, refusals: Refusals, pauses: list[float]
) -> None:
    store = S3ObjectStore(client, new_bucket(s3))
    for _ in range(10):  # botocore's quota would end tries early after 100 of them
        refusals.times += TRIES - 1
        list(store.list(""))

    assert len(pauses) == len(set(pauses)) == 10 * (TRIES - 1)
    for number in range(TRIES - 1):
        at_this_try = pauses[number :: TRIES - 1]
        assert 2**number / 4 < max(at_this_try) <= 2**number


def test_an_upload_that_is_answered_by_success_and_fails_all_the_same_is_sent_again(
    client: Any, s3: Any, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", PART_BYTES)
    store = S3ObjectStore(client, new_bucket(s3))
    with store.writer("a") as writer:
        writer.file.write(bytes(PART_BYTES + 1))
        refusals.refusal, refusals.times = Refusal.ERROR_IN_SUCCESS, 1
        writer.commit()
    refusals.times = 0

    assert (standing := store.head("a"))
    assert standing.size_bytes == PART_BYTES + 1
    assert refusals.asked["CompleteMultipartUpload"] == 2


@pytest.mark.parametrize(
    ("verb", "ask", "meaning"),
    [
        ("ListObjectsV2", lambda store: list(store.list("")), SettingsError),
        ("HeadObject", lambda store: store.head("a"), ObjectDeniedError),
        ("GetObject", lambda store: store.open("a").__enter__(), ObjectDeniedError),
        ("PutObject", lambda store: put(store, "a"), ObjectDeniedError),
        ("DeleteObject", lambda store: store.delete("a", put(store, "a")), ObjectDeniedError),
    ],
)
def test_what_is_not_permitted_is_named_and_not_asked_again(
    client: Any,
    s3: Any,
    refusals: Refusals,
    verb: str,
    ask: Callable[[S3ObjectStore], object],
    meaning: type[CubicIngestionError],
) -> None:
    """An object that is denied is that object's trouble alone; a listing that is denied is a matter of settings."""
    store = S3ObjectStore(client, bucket := new_bucket(s3))
    refusals.refusal, refusals.only, refusals.times = Refusal.ACCESS_DENIED, verb, 1

    with pytest.raises(meaning, match=rf"{verb} is not permitted on '.*' in bucket '{bucket}'.*deploy/iam"):
        ask(store)

    assert refusals.asked[verb] == 1


def put(store: S3ObjectStore, key: str) -> str:
    with store.writer(key) as writer:
        writer.file.write(b"content")
        return writer.commit().etag


def test_loads_wait_for_an_s3_that_refuses_on_and_on(client: Any, s3: Any, refusals: Refusals, tmp_path: Path) -> None:
    bucket = new_bucket(s3)
    deliver(s3, bucket)
    depot = a_depot_on(tmp_path, client, bucket)
    depot.clock.advance(minutes=10)
    depot.ingest()

    refusals.times = 1_000_000
    originals = keys(s3, bucket, "dev/incoming/")
    depot.archive()
    assert refusals.refused == {"HeadObject": 3 * TRIES}
    assert keys(s3, bucket, "dev/incoming/") == originals
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        depot.ingest()

    refusals.times = 0
    depot.clock.advance(seconds=2 * depot.platform.limits.claim_timeout_seconds)
    work(depot)

    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED, LoadStatus.ERRORED}
    assert audit(depot.platform).n_findings == 0


def test_environments_that_share_a_bucket_do_not_touch_each_other(client: Any, s3: Any, tmp_path: Path) -> None:
    bucket = new_bucket(s3)
    deliver(s3, bucket)
    depots: dict[str, Depot] = {}
    for environment in ("dev", "dev2"):
        (tmp_path / environment).mkdir()
        depots[environment] = a_depot_on(tmp_path / environment, client, bucket, environment)
        depots[environment].clock.advance(minutes=10)
    s3.put_object(Bucket=bucket, Key="dev2/incoming/cubic/dmap/agg_sample/20220306.csv", Body=b"sample_id\n1\n")

    work(depots["dev"])

    assert set(depots["dev"].statuses()) == {"20220304.csv", "20220305.csv", "LOAD1.csv.gz"}
    assert keys(s3, bucket, "dev2/") == ["dev2/incoming/cubic/dmap/agg_sample/20220306.csv"]
    before = keys(s3, bucket, "dev/")

    work(depots["dev2"])

    assert depots["dev2"].statuses() == {"20220306.csv": LoadStatus.ARCHIVED}
    assert keys(s3, bucket, "dev/") == before
    assert all(audit(depot.platform).n_findings == 0 for depot in depots.values())


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
