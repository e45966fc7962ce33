"""Keys of the warehouse's bucket and the locations that Iceberg records for them.

``cubic/<table>/data/`` has the data files of a table, ``cubic/<table>/metadata/`` all else that Iceberg writes,
``cubic/<table>/unneeded.json`` is the record of ``clean``, and ``cubic/<table>/dropped`` says that the table was
dropped.
"""

from urllib.parse import unquote

from cubic_ingestion.ports import ObjectStore

ROOT = "cubic/"
UNNEEDED = "unneeded.json"
DROPPED = "dropped"


def table_folder(name: str) -> str:
    """Return the prefix of everything that belongs to a table; ends with ``/``."""
    return f"{ROOT}{name}/"


def location_of(bucket: ObjectStore, key: str) -> str:
    """Return the location of a key: its URI, with a local path as it is, because readers of Iceberg decode nothing."""
    uri = bucket.uri(key)
    return unquote(uri, errors="surrogateescape") if uri.startswith("file:") else uri


class ForeignLocationError(ValueError):
    """A location is not in the bucket: the bucket was moved, or another program wrote the table."""


def key_of(bucket: ObjectStore, location: str) -> str:
    """Return the key of a location.

    Raises:
        ForeignLocationError: The location is not in the bucket.
    """
    base = location_of(bucket, "")
    if not location.startswith(base):
        raise ForeignLocationError(f"'{location}' is not in the warehouse's bucket '{base}'.")
    return location.removeprefix(base)
