"""Scan: what lies in Incoming, page by page, matched to the declared tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cubic_ingestion.domain.incoming import Unknown
from cubic_ingestion.domain.load import Arrival, ObjectVersion
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import UnlistedFoldersError
from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.streams import STREAMS


@dataclass(frozen=True, slots=True)
class ScannedPage:
    """One page of a listing."""

    arrivals: Sequence[Arrival]
    """Objects of active declared tables, sidecars left out."""
    unknown: Sequence[Unknown] = ()
    """Objects that no table takes; they are left alone."""
    n_objects: int = 0
    """All objects of the page, sidecars and unknown ones among them."""
    last_key: str = ""
    """Where the listing goes on."""
    unlisted: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why a folder could not be listed, by its key; only the last page knows."""


def scan(
    incoming: ObjectStore, tables: Mapping[str, Table], stream: StreamName, *, after: str = ""
) -> Iterator[ScannedPage]:
    """List a stream's part of Incoming; memory stays flat whatever lies there.

    A folder below the stream's own that cannot be listed hides only what is in it.

    Args:
        incoming: The Incoming bucket.
        tables: All declared tables by name.
        stream: Whose prefix to list.
        after: Key to go on after, in listing order.

    Raises:
        StoreUnavailableError: The stream's own folder cannot be listed.
    """
    by_prefix = {table.prefix: table for table in tables.values() if table.stream is stream}
    try:
        for page in incoming.list(stream.prefix, after=after):
            yield _match(page, by_prefix, stream)
    except UnlistedFoldersError as error:
        hidden = [Unknown(folder, f"it cannot be listed ({why})") for folder, why in error.reasons.items()]
        yield ScannedPage((), hidden, unlisted=error.reasons)


def undeclared_prefixes(incoming: ObjectStore, tables: Mapping[str, Table]) -> list[str]:
    """Return the folders in Incoming, below the streams' prefixes, that no table declares."""
    declared = {table.prefix for table in tables.values()}
    found = (prefix for stream in StreamName for prefix in incoming.prefixes(stream.prefix))
    return [prefix for prefix in found if prefix not in declared and not any(d.startswith(prefix) for d in declared)]


def _match(page: Sequence[ObjectVersion], by_prefix: Mapping[str, Table], stream: StreamName) -> ScannedPage:
    arrivals: list[Arrival] = []
    unknown: list[Unknown] = []
    objects = [version for version in page if not version.key.endswith("/")]
    for version in objects:
        table = by_prefix.get(version.key.rpartition("/")[0] + "/")
        if why := why_unknown(table, version.key):
            unknown.append(Unknown(version.key, why))
        elif table and not STREAMS[stream].is_sidecar(version.key):
            arrivals.append(Arrival(table.name, table.is_raw, version))
    return ScannedPage(arrivals, unknown, len(objects), page[-1].key if page else "")


def why_unknown(table: Table | None, key: str) -> str:
    """Say why no table takes an object; empty if one does.

    Args:
        table: The table whose prefix is the object's folder, if there is one.
        key: The object's key.
    """
    if not _is_text(key):
        return "its name is no UTF-8"
    if table is None:
        return "no table declares its folder"
    return "" if table.is_active else "its table is inactive"


def _is_text(key: str) -> bool:
    """Say whether a key is Unicode; a local folder may hold names that are not, which no database takes."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
