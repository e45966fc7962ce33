"""What is S3's own: parts, broken connections, prefixes in a shared bucket, refusals; and loads all their way."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import SettingsError, StoreUnavailableError
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.ports import ObjectChangedError, Stores
from cubic_ingestion.storage import S3Options, open_store
from cubic_ingestion.storage import s3_object_writer as writing
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.s3 import name_s3, new_bucket, new_store, s3

pytestmark = pytest.mark.slow

__all__ = ["s3"]


@pytest.fixture
def store(s3: Any) -> S3ObjectStore:
    """An empty store below a prefix of a bucket."""
    return new_store(s3)


def put(store: S3ObjectStore, key: str, content: bytes) -> str:
    with store.writer(key) as writer:
        writer.file.write(content)
        return writer.commit().etag


def test_a_large_object_goes_in_parts_and_comes_back_whole(
    store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", 5 << 20)
    content = bytes(range(256)) * (12 << 12)
    put(store, "large", content)
    with store.open("large") as file:
        file.seek(-5, io.SEEK_END)
        assert file.read() == content[-5:]
        file.seek(0)
        assert file.read() == content


def test_an_upload_that_is_left_leaves_no_parts(store: S3ObjectStore, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", 5 << 20)
    with store.writer("large") as writer:
        writer.file.write(b"x" * (6 << 20))
    bucket = store.uri("").split("/")[2]
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert store.head("large") is None


class BreaksOff:
    """A body that breaks off once."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._n_reads = 0

    def read(self, size: int) -> bytes:
        self._n_reads += 1
        if self._n_reads > 1:
            raise ReadTimeoutError(endpoint_url="http://s3")
        return self._body.read(min(size, 1_000))

    def close(self) -> None:
        self._body.close()


def broken(store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the first bodies break off after 1,000 bytes."""
    client = store._client  # pyright: ignore[reportPrivateUsage] - the wire is where it breaks
    whole, answers = client.get_object, iter(range(times))

    def get_object(**place: Any) -> Any:
        answer = whole(**place)
        return answer if next(answers, None) is None else answer | {"Body": BreaksOff(answer["Body"])}

    monkeypatch.setattr(client, "get_object", get_object)


def test_a_body_that_breaks_off_is_taken_up_where_it_ended(
    store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a", b"0123456789" * 1_000)
    broken(store, monkeypatch, times=3)
    with store.open("a") as file:
        assert file.read() == b"0123456789" * 1_000


def test_a_body_that_is_another_version_by_then_is_not_mixed_with_it(
    store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = put(store, "a", b"0123456789" * 1_000)
    broken(store, monkeypatch, times=1)
    with store.open("a", etag) as file:
        file.read(10)
        put(store, "a", b"9876543210" * 1_000)
        with pytest.raises(ObjectChangedError):
            file.read()


def test_a_small_object_is_written_by_one_request_and_read_by_another(store: S3ObjectStore, s3: Any) -> None:
    sent: list[str] = []

    def note(event_name: str, **_event: object) -> None:
        sent.append(event_name.rpartition(".")[2])

    s3.meta.events.register("before-send.s3", note)
    try:
        etag = put(store, "a", b"content")
        with store.open("a", etag) as file:
            assert file.read() == b"content"
    finally:
        s3.meta.events.unregister("before-send.s3", note)

    assert sent == ["PutObject", "GetObject"]


def test_as_many_connections_are_kept_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = open_store("s3://bucket", s3=S3Options(connections=70))

    assert isinstance(store, S3ObjectStore)
    assert store._client.meta.config.max_pool_connections == 70  # pyright: ignore[reportPrivateUsage] - boto3 tells it there


def test_stores_of_one_bucket_see_their_own_prefix_alone(s3: Any) -> None:
    dev = new_store(s3, prefix="dev/")
    bucket = dev.uri("").split("/")[2]
    prod = S3ObjectStore(s3, bucket, "prod/")
    put(dev, "a/1", b"dev")
    assert prod.head("a/1") is None
    assert list(prod.list("")) == []
    assert [version.key for page in dev.list("") for version in page] == ["a/1"]


def test_a_bucket_that_is_not_there_is_named(s3: Any) -> None:
    with pytest.raises(SettingsError, match="no bucket 'nowhere'"):
        list(S3ObjectStore(s3, "nowhere").list(""))


def test_a_server_that_does_not_answer_may_answer_later(store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def head_object(**_place: Any) -> Any:
        raise ReadTimeoutError(endpoint_url="http://s3")

    monkeypatch.setattr(store._client, "head_object", head_object)  # pyright: ignore[reportPrivateUsage] - as above
    with pytest.raises(StoreUnavailableError):
        store.head("a")


def test_what_is_hidden_or_has_no_name_is_no_object(store: S3ObjectStore, s3: Any) -> None:
    bucket = store.uri("").split("/")[2]
    for key in ("dev/a//b", "dev/.hidden/c", "dev/a/", "dev/a/../d", "dev/a/e"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [version.key for page in store.list("") for version in page] == ["a/e"]


def test_a_url_names_bucket_and_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert open_store("s3://bucket", s3=S3Options("path")).uri("a") == "s3://bucket/a"
    assert open_store("s3://bucket/dev/", s3=S3Options("path")).uri("a") == "s3://bucket/dev/a"
    with pytest.raises(SettingsError, match="names no place"):
        open_store("s3://")


def test_small_and_large_objects_are_encrypted_with_the_key_that_is_named(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", 5 << 20)
    name_s3(s3, monkeypatch)
    bucket = new_bucket(s3)
    store = open_store(f"s3://{bucket}/dev", s3=S3Options("path", "alias/cubic"))
    assert isinstance(store, S3ObjectStore)
    put(store, "small", b"x")
    put(store, "large", b"x" * (6 << 20))
    for key in ("small", "large"):
        answer = s3.head_object(Bucket=bucket, Key=f"dev/{key}")
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", "alias/cubic")
    with store.open("large", etag := s3.head_object(Bucket=bucket, Key="dev/large")["ETag"].strip('"')) as file:
        assert (len(file.read()), etag.endswith("-2")) == (6 << 20, True)


def test_loads_go_all_their_way_on_s3(s3: Any, tmp_path: Path) -> None:
    built = Depot.build(tmp_path, [a_table(), an_ods_table()])
    zones = {zone: new_store(s3, prefix="") for zone in ("incoming", "archive", "error", "springboard")}
    depot = replace(built, platform=replace(built.platform, stores=Stores(**zones)))
    put(zones["incoming"], "cubic/dmap/agg_sample/20220304.csv", b"sample_id,sample_name,sample_count\n1,a,5\n")
    put(zones["incoming"], "cubic/dmap/agg_sample/20220305.csv", b"sample_id,sample_name,sample_count\n1,a,bad\n")
    put(zones["incoming"], "cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
    put(zones["incoming"], "cubic/ods_qlik/EDW.SAMPLE/LOAD1.dfm", a_dfm(started_at="2022-03-01T00:00:00.000"))

    depot.clock.advance(minutes=10)
    for _ in range(3):  # without the catalog: DuckDB's views over S3 would take an extension from the network
        depot.ingest()
        depot.archive()

    assert depot.statuses() == {
        "20220304.csv": LoadStatus.ARCHIVED,
        "20220305.csv": LoadStatus.ERRORED,
        "LOAD1.csv.gz": LoadStatus.ARCHIVED,
    }
    assert list(zones["incoming"].list("")) == []
    assert audit(depot.platform).n_findings == 0
