"""Scan: what lies in Incoming, page by page, matched to the declared tables."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile

from cubic_ingestion.domain.batch import OPEN_PREFIX
from cubic_ingestion.domain.incoming import UNLISTED, Unknown, UnknownGroup, UnknownGroups
from cubic_ingestion.domain.load import Arrival, ObjectVersion
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import UnlistedFoldersError
from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.streams import STREAMS

FORSAKEN = "sidecars whose files did not come"
MAX_OUTSIDE = 1_000
"""Objects outside the streams' prefixes that are looked at; a page is always looked at whole."""
_INSIDE = (*(stream.prefix for stream in StreamName), OPEN_PREFIX)
_NEVER = datetime.min.replace(tzinfo=UTC)
_AFTER_ALL = "\U0010ffff"
"""Follows whatever a key may go on with."""


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
    incoming: ObjectStore,
    tables: Mapping[str, Table],
    stream: StreamName,
    *,
    after: str = "",
    forsaken_before: datetime = _NEVER,
) -> Iterator[ScannedPage]:
    """List a stream's part of Incoming; memory stays flat whatever lies there.

    A folder below the stream's own that cannot be listed hides only what is in it.

    Args:
        incoming: The Incoming bucket.
        tables: All declared tables by name.
        stream: Whose prefix to list.
        after: Key to go on after, in listing order.
        forsaken_before: A sidecar that is older, and has no file beside it, will never have one.

    Raises:
        StoreUnavailableError: The stream's own folder cannot be listed.
    """
    matcher = _Matcher({table.prefix: table for table in tables.values() if table.stream is stream}, stream, after)
    skipped: deque[Unknown] = deque()
    unlisted: Mapping[str, str] = {}
    try:
        for page in incoming.list(stream.prefix, after=after, skipped=lambda *each: skipped.append(Unknown(*each))):
            last_key, passed = page[-1].key, list[Unknown]()
            # What comes after the last key is found again if the listing goes on after that.
            while skipped and _in_order(skipped[0].key) < _in_order(last_key):
                passed.append(skipped.popleft())
            arrivals, unknown = matcher.match(page, forsaken_before)
            n_objects = sum(not version.key.endswith("/") for version in page) + len(passed)
            yield ScannedPage(arrivals, [*unknown, *passed], n_objects, last_key)
    except UnlistedFoldersError as error:
        unlisted = error.reasons
        skipped += (Unknown(folder, f"{UNLISTED} ({why})") for folder, why in unlisted.items())
    if skipped:
        yield ScannedPage((), tuple(skipped), len(skipped), unlisted=unlisted)


def outside(incoming: ObjectStore) -> list[UnknownGroup]:
    """Return what lies outside the streams' prefixes, where nothing is ever taken.

    The listing jumps over what lies in them, and ends after a thousand objects outside, or a page more.
    """
    found, skipped = UnknownGroups(), list[Unknown]()
    try:
        _look_outside(incoming, found, skipped)
    except UnlistedFoldersError as error:
        skipped += (Unknown(folder, f"{UNLISTED} ({why})") for folder, why in error.reasons.items())
    _add_outside(found, skipped)
    return found.sorted()


def _look_outside(incoming: ObjectStore, found: UnknownGroups, skipped: list[Unknown]) -> None:
    n_found, after = 0, ""
    while n_found < MAX_OUTSIDE:
        first_inside = None
        for page in incoming.list("", after=after, skipped=lambda *each: skipped.append(Unknown(*each))):
            keys = [version.key for version in page]
            first_inside = next((key for key in keys if key.startswith(_INSIDE)), None)
            for key in takewhile(lambda key: not key.startswith(_INSIDE), keys):
                found.add(Unknown(key, "no table declares it"))
                n_found += 1
            # What comes after that key is found again by the listing that jumps over its prefix.
            _add_outside(found, skipped, before=first_inside)
            skipped.clear()
            if first_inside or n_found >= MAX_OUTSIDE:
                break
        if first_inside is None:
            break
        after = next(prefix for prefix in _INSIDE if first_inside.startswith(prefix)) + _AFTER_ALL


def _add_outside(found: UnknownGroups, skipped: Sequence[Unknown], *, before: str | None = None) -> None:
    for each in skipped:
        if not each.key.startswith(_INSIDE) and (before is None or _in_order(each.key) < _in_order(before)):
            found.add(each)


def undeclared_prefixes(incoming: ObjectStore, tables: Mapping[str, Table]) -> list[str]:
    """Return the folders in Incoming, below the streams' prefixes, that no table declares."""
    declared = {table.prefix for table in tables.values()}
    found = (prefix for stream in StreamName for prefix in incoming.prefixes(stream.prefix))
    return [prefix for prefix in found if prefix not in declared and not any(d.startswith(prefix) for d in declared)]


class _Matcher:
    """Matches the objects of a listing to tables, and sidecars to the files that stand before them in the listing."""

    def __init__(self, by_prefix: Mapping[str, Table], stream: StreamName, after: str) -> None:
        self._by_prefix = by_prefix
        self._stream = STREAMS[stream]
        self._sidecars = {self._stream.sidecar_key(after)} if after else set[str | None]()

    def match(self, page: Sequence[ObjectVersion], forsaken_before: datetime) -> tuple[list[Arrival], list[Unknown]]:
        """Return the arrivals and the unknown objects of a page."""
        arrivals: list[Arrival] = []
        unknown: list[Unknown] = []
        files = [version for version in page if not version.key.endswith("/")]
        sidecars = {self._stream.sidecar_key(file.key) for file in files if not self._stream.is_sidecar(file.key)}
        for version in files:
            table = self._by_prefix.get(version.key.rpartition("/")[0] + "/")
            why = why_unknown(table, version.key)
            if not why and self._stream.is_sidecar(version.key):
                has_file = version.key in sidecars or version.key in self._sidecars
                why = "" if has_file or version.modified_at >= forsaken_before else FORSAKEN
            elif table and not why:
                arrivals.append(Arrival(table.name, table.is_raw, version))
            if why:
                unknown.append(Unknown(version.key, why))
        self._sidecars = sidecars
        return arrivals, unknown


def why_unknown(table: Table | None, key: str) -> str:
    """Say why no table takes an object; empty if one does.

    Args:
        table: The table whose prefix is the object's folder, if there is one.
        key: The object's key.
    """
    if not _is_text(key):
        return "its name is no UTF-8"
    if table is None:
        return "no table declares it"
    return "" if table.is_active else "its table is inactive"


def _is_text(key: str) -> bool:
    """Say whether a key is Unicode; a local folder may hold names that are not, which no database takes."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_order(key: str) -> bytes:
    """Sort key by which stores list."""
    return key.encode(errors="surrogateescape")
