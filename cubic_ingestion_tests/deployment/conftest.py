"""What deployments stand on: a PostgreSQL, and an S3 over HTTP."""

from cubic_ingestion_tests.databases import postgres_url
from cubic_ingestion_tests.s3 import s3

__all__ = ["postgres_url", "s3"]
