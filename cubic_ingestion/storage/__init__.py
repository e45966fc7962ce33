"""Object stores: adapters to the ``ObjectStore`` port, named vendor and role."""

from cubic_ingestion.storage.open_store import open_store
from cubic_ingestion.storage.s3_options import S3Options

__all__ = ["S3Options", "open_store"]
