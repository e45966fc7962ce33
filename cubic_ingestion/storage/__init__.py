"""Object stores: adapters to the ``ObjectStore`` port, named vendor and role."""

from cubic_ingestion.storage.open_store import S3Options, open_store

__all__ = ["S3Options", "open_store"]
