"""How objects are removed from the warehouse: marked when they are first found not to be needed, removed later.

Iceberg does not record when a file left the last kept snapshot. So each table has an object, ``unneeded.json``, with
the moment at which each object was first found not to be needed. If that record is lost, the grace period begins
anew; an object is never removed too early. Two cleaners at once overwrite the record of each other, with the same
effect.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.ports import ObjectMissingError, ObjectStore
from cubic_ingestion.warehouse.locations import UNNEEDED


def sweep(
    bucket: ObjectStore, objects: Collection[ObjectVersion], marks: dict[str, str], now: datetime, grace: timedelta
) -> int:
    """Remove the marked objects whose grace period is over, with their marks. Return how many there were."""
    due = [each for each in objects if each.key in marks and now - datetime.fromisoformat(marks[each.key]) >= grace]
    for each in due:
        bucket.delete(each.key, each.etag)
        del marks[each.key]
    return len(due)


def read_marks(bucket: ObjectStore, folder: str) -> Mapping[str, str]:
    """Return the record of a table; empty if there is none."""
    try:
        with bucket.open(folder + UNNEEDED) as file:
            return json.load(file)
    except ObjectMissingError:
        return {}


def write_marks(bucket: ObjectStore, folder: str, marks: Mapping[str, str]) -> None:
    """Replace the record of a table; remove it if it is empty."""
    if not marks:
        if version := bucket.head(folder + UNNEEDED):
            bucket.delete(version.key, version.etag)
        return
    with bucket.writer(folder + UNNEEDED) as writer:
        writer.file.write(json.dumps(marks).encode())
        writer.commit()
