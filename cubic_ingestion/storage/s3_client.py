"""The client that S3 is spoken to with, and the store behind a URL."""

from functools import lru_cache
from typing import Any

from boto3.session import Session
from botocore.config import Config

from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion.storage.s3_options import AddressingStyle, S3Options

TRIES = 6
"""``SlowDown``, 5xx and lost connections are tried again, after pauses that grow, with jitter."""


def open_s3_store(url: str, options: S3Options) -> S3ObjectStore:
    """Return the store of ``s3://bucket/prefix``; nothing is asked of S3."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": options.kms_key_id} if options.kms_key_id else {}
    return S3ObjectStore(s3_client(options.addressing_style, options.connections), bucket, prefix, encryption)


@lru_cache
def s3_client(addressing_style: AddressingStyle, connections: int) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
    """Return the one client of this process; boto3's clients may be used by several threads."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=connections,
        connect_timeout=10,
        read_timeout=60,
        s3={"addressing_style": addressing_style},
    )
    return Session().client("s3", config=config)
