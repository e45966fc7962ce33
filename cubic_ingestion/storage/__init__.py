"""Object stores: adapters to the ``ObjectStore`` port, named vendor and role."""

from cubic_ingestion.storage.open_store import open_store

__all__ = ["open_store"]
