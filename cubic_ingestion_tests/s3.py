"""S3 over HTTP: moto's server, and buckets on it."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cubic_ingestion.storage.s3_client import s3_client
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.aws_models import read_aws_models_once

read_aws_models_once()

AWS_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """Run the server on a free port; gives a client."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = client_of(f"http://{host}:{port}")
    yield client
    client.close()
    server.stop()


def new_bucket(s3: Any, *, is_versioned: bool = False) -> str:
    """Make an empty bucket; returns its name."""
    bucket = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    if is_versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def new_store(s3: Any, *, is_versioned: bool = False, prefix: str = "dev/") -> S3ObjectStore:
    """Make an empty bucket, and a store below a prefix of it."""
    return S3ObjectStore(s3, new_bucket(s3, is_versioned=is_versioned), prefix)


def client_of(url: str) -> Any:
    """Make a client of a server."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 - moto takes any
    )


def name_s3(s3: Any, monkeypatch: pytest.MonkeyPatch, url: str | None = None) -> None:
    """Have everything that reads AWS's variables find the server, or another one in front of its buckets."""
    values = (url or s3.meta.endpoint_url, "us-east-1", "testing", "testing")
    for name, value in zip(AWS_VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    s3_client.cache_clear()
