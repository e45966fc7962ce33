"""The policies in force: moto's S3, Glue and Kinesis refuse what a role's policy does not grant, as AWS does.

moto weighs an action's resource for S3 alone; for Glue and Kinesis it asks for the resource ``*``, which is put in the
place of theirs. What ``test_iam.py`` reads off the code, these tests see at work.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.session import Session
from botocore.exceptions import ClientError
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from moto.core.authorization import disable_iam_authentication, enable_iam_authentication

from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion.settings import BUCKETS
from cubic_ingestion.storage.s3_client import s3_client
from cubic_ingestion_tests.cli.conftest import Cubic, cubic
from cubic_ingestion_tests.deployment.test_iam import statements
from cubic_ingestion_tests.homes import enter

__all__ = ["cubic"]

EVERY_BUCKET = (*BUCKETS, "logs")
Become = Callable[[str], None]


@pytest.fixture
def place() -> str:
    """What the names of this test's buckets, catalog and Kinesis stream begin with."""
    return f"iam-{uuid.uuid4().hex}"


@pytest.fixture
def owner(
    aws: dict[str, str],
    place: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """Whoever owns the account, before permissions are asked for; the settings name buckets of the test's own."""
    enter(tmp_path_factory.mktemp("iam"), monkeypatch)
    zones = {f"CUBIC_{zone.upper()}_URL": f"s3://{place}-{zone}/prod" for zone in BUCKETS}
    settings = {
        "CUBIC_S3_ADDRESSING_STYLE": "path",
        "CUBIC_CATALOG": "glue",
        "CUBIC_GLUE_DATABASE": place.replace("-", "_"),
        "CUBIC_KINESIS_STREAM": place,
    }
    for name, value in (aws | zones | settings).items():
        monkeypatch.setenv(name, value)
    session = Session()
    s3: Any = session.client("s3")
    for each in EVERY_BUCKET:
        s3.create_bucket(Bucket=f"{place}-{each}")
    return session


@pytest.fixture
def become(owner: Session, place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Become]:
    """Permissions are asked for from now on; be a role."""
    keys = {role: _keys(owner, place, role) for role in ("worker", "code-server", "webserver", "batcher", "auditor")}

    def be(role: str) -> None:
        for name, value in keys[role].items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers who one was; Dagster uses it
        s3_client.cache_clear()

    with enable_iam_authentication():
        yield be
    s3_client.cache_clear()


def _keys(owner: Session, place: str, role: str) -> dict[str, str]:
    """Make a user with the policy of a role; returns the variables that lead to it."""
    iam: Any = owner.client("iam")
    name = f"{place}-{role}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=role, PolicyDocument=_filled(place, role))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def _filled(place: str, role: str) -> str:
    """Return a policy with names in the place of the words in capitals."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements(role)})
    for each in EVERY_BUCKET:
        text = text.replace(f"{each.upper()}_BUCKET", f"{place}-{each}").replace(f"{each.upper()}_PREFIX", "prod")
    policy = json.loads(text)
    for statement in policy["Statement"]:
        statement["Resource"] = [each if ":s3:" in each else "*" for each in statement["Resource"]]
    return json.dumps(policy)


@pytest.fixture
def sample(owner: Session, place: str) -> None:
    """What the sample has of DMAP and Kafka lies in Incoming."""
    s3: Any = owner.client("s3")
    for key, body in sample_files().items():
        if not key.startswith("cubic/ods_qlik"):
            s3.put_object(Bucket=f"{place}-incoming", Key=f"prod/{key}", Body=body)


@pytest.fixture
def records(owner: Session, place: str) -> None:
    """An event, and what is none, lie in the Kinesis stream."""
    kinesis: Any = owner.client("kinesis")
    kinesis.create_stream(StreamName=place, ShardCount=1)
    for data in (b'{"topic": "sample", "event_id": "1"}', b"no JSON"):
        kinesis.put_record(StreamName=place, Data=data, PartitionKey="1")


def keys_in(owner: Session, bucket: str) -> list[str]:
    """List a bucket, past all permissions."""
    s3: Any = owner.client("s3")
    with disable_iam_authentication():
        return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.mark.usefixtures("sample")
def test_a_worker_ingests_archives_and_tells_glue_and_an_auditor_proves_it(become: Become, cubic: Cubic) -> None:
    become("worker")
    ingested = cubic("ingest")
    assert (ingested.exit_code, "Not in the catalog" in ingested.text) == (0, False), ingested.out + ingested.error

    become("auditor")
    audit = cubic("audit", "--json")
    assert audit.exit_code == 0, audit.out + audit.error
    assert audit.json["proved"]["loads"] == sum(not key.startswith("cubic/ods_qlik") for key in sample_files())


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize("role", ["code-server", "auditor", "webserver"])
def test_who_is_no_worker_takes_nothing_and_is_told_so(
    role: str, owner: Session, place: str, become: Become, cubic: Cubic
) -> None:
    before = keys_in(owner, f"{place}-incoming")
    become(role)
    refused = cubic("ingest")

    assert "is not permitted on" in refused.out + refused.error
    assert keys_in(owner, f"{place}-springboard") == keys_in(owner, f"{place}-archive") == []
    assert keys_in(owner, f"{place}-incoming") == before


@pytest.mark.usefixtures("records")
def test_a_batcher_writes_batches_and_dead_letters_and_nothing_beside_them(
    owner: Session, place: str, become: Become, cubic: Cubic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIC_KAFKA_BATCH_RECORDS", "1")
    become("batcher")
    batched = cubic("kafka", "batch", "--json")

    assert batched.exit_code == 0, batched.out + batched.error
    assert (batched.json["files"], batched.json["dead_letters"]) == (2, 1)
    assert [key.split("/")[2] for key in keys_in(owner, f"{place}-error")] == ["kafka_dead_letter"]
    assert [key.rpartition("/")[0] for key in keys_in(owner, f"{place}-incoming")] == ["prod/cubic/kafka/sample"]
    s3: Any = Session().client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=f"{place}-incoming", Key="prod/cubic/dmap/x/1.csv", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=f"{place}-incoming", Key=keys_in(owner, f"{place}-incoming")[0])


def test_what_a_worker_s_run_prints_is_shown_by_the_webserver_which_cannot_change_it(
    place: str, become: Become, tmp_path: Path
) -> None:
    def logs() -> S3ComputeLogManager:
        return S3ComputeLogManager(bucket=f"{place}-logs", local_dir=str(tmp_path), prefix="prod/dagster")

    key = ["a-run", "compute_logs", "a-step"]
    become("worker")
    with logs().open_log_stream(key, ComputeIOType.STDOUT) as stream:
        assert stream is not None
        stream.write("here I am")

    become("webserver")
    assert logs().get_log_data(key).stdout == b"here I am"
    s3: Any = Session().client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=f"{place}-logs", Key="prod/dagster/storage/a-run/compute_logs/a-step.out", Body=b"")
