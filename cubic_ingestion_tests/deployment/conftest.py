"""What deployments stand on: a PostgreSQL, S3 and Glue over HTTP, a Redis; and a production on all of them."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.session import Session

from cubic_ingestion.settings import BUCKETS
from cubic_ingestion_tests.databases import postgres_url
from cubic_ingestion_tests.glue import glue_url
from cubic_ingestion_tests.s3 import s3
from local_servers.postgres import make_database
from local_servers.production import Production, prepare

__all__ = ["glue_url", "postgres_url", "s3"]

BUCKET = "production"
CLAIM_TIMEOUT_SECONDS = 5


@pytest.fixture(scope="session")
def redis_server() -> str:
    """Debian's Redis. Without it the tests of many workers are left out, and in CI they fail."""
    found = shutil.which("redis-server")
    if found is None:
        reason = "The tests of many workers need Debian's Redis: apt-get install redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def aws(glue_url: str) -> dict[str, str]:
    """AWS's own variables, for S3 and Glue at one address."""
    return {
        "AWS_ENDPOINT_URL": glue_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="session")
def bucket(glue_url: str) -> Iterator[Any]:
    """The bucket that all zones are prefixes of."""
    session = Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")  # noqa: S106 - moto takes any
    resource: Any = session.resource("s3", endpoint_url=glue_url)
    made = resource.create_bucket(Bucket=BUCKET)
    yield made
    resource.meta.client.close()


@pytest.fixture(scope="module")
def production(
    redis_server: str, postgres_url: str, aws: dict[str, str], bucket: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Production]:
    """Broker, code server, daemon and two workers, each serving all queues."""
    assert redis_server
    zones = {f"CUBIC_{zone.upper()}_URL": f"s3://{bucket.name}/dev/{zone}" for zone in BUCKETS}
    settings = {
        "CUBIC_DATABASE_URL": make_database(postgres_url, "cubic", "postgresql+psycopg"),
        "CUBIC_CATALOG": "glue",
        "CUBIC_GLUE_DATABASE": "production",
        "CUBIC_S3_ADDRESSING_STYLE": "path",
        "CUBIC_CLAIM_TIMEOUT_SECONDS": str(CLAIM_TIMEOUT_SECONDS),
        "CUBIC_LOG_FORMAT": "json",
        "CUBIC_LOG_LEVEL": "info",
        "DAGSTER_POSTGRES_URL": make_database(postgres_url, "dagster", "postgresql+psycopg2"),
        "DAGSTER_COMPUTE_LOGS_BUCKET": bucket.name,
        "DAGSTER_COMPUTE_LOGS_PREFIX": "dev/dagster",
    }
    made = prepare(tmp_path_factory.mktemp("production"), settings | zones | aws, is_hurried=True)
    try:
        made.start_broker()
        made.start_dagster()
        for name in ("worker-1", "worker-2"):
            made.start_worker(name)
        for name in ("worker-1", "worker-2"):
            made.wait_until(lambda name=name: "ready." in made.log(name), f"{name} is ready")
        yield made
    finally:
        made.kill_all()
