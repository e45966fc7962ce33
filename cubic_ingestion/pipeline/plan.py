"""Plan: decide for each new load which partition and snapshot it belongs to, or what it still waits for."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

from cubic_ingestion.domain.layout import LONGEST_NAME_BYTES
from cubic_ingestion.domain.load import Load, Placement
from cubic_ingestion.domain.snapshot import Snapshot, owning_snapshot
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.isolation import FreeIsolation
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion.pipeline.read import Original, original_of, read_sidecar, sidecar_of, superseded
from cubic_ingestion.pipeline.register import is_settled
from cubic_ingestion.streams import STREAMS

PAGE_SIZE = 5_000
"""Loads planned in one go."""

_WHENEVER = datetime(9000, 1, 1, tzinfo=UTC)
_SHORTEST_WAIT = timedelta(seconds=5)
_LONGEST_WAIT = timedelta(minutes=5)
_USABLE_NAME = re.compile(r"(?!\.)[\w.+~@() -]+")
"""Names become folders called ``identifier=<name>``, where ``=``, ``%`` and the like mean something to engines.

A leading dot hides a file. Marks and joiners are looked at without (``_is_usable``)."""
_JOINERS = "\u200c\u200d"
_FOR_SIDECAR = "waits for its .dfm sidecar"
_FOR_NEWER_SIDECAR = "waits for a .dfm sidecar newer than the version before it"
_FOR_SNAPSHOT = "waits for the first LOAD file of its table, which opens a snapshot"


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A load that is complete, with its own time."""

    load: Load
    source_at: datetime
    sidecar_etag: str | None
    """Version of the sidecar that says so."""


def plan(platform: Platform, stream: StreamName) -> int:
    """Place the ready loads of a stream that are not placed yet.

    A load whose sidecar or snapshot is not there yet waits, with the reason on record, and goes to Error after the
    deadline of the settings. So does a load whose sidecar cannot be read, after its tries.

    Returns:
        The number of loads that have their partition now.
    """
    names = [table.name for table in platform.tables.values() if table.stream is stream]
    loads = platform.ledger.plans.unplanned(names, platform.clock.now(), PAGE_SIZE)
    n_placed = 0
    while loads:
        n_placed += _plan_page(platform, loads)
        n_page = len(loads)
        loads = platform.ledger.plans.unplanned(names, platform.clock.now(), PAGE_SIZE) if n_page == PAGE_SIZE else ()
    return n_placed


def _plan_page(platform: Platform, loads: Sequence[Load]) -> int:
    admitted, opened = _open_snapshots(platform, _admitted(platform, loads))
    placed = _place(platform, admitted)
    for table in opened:
        waiting = platform.ledger.plans.unplanned(_followers(platform, table), _WHENEVER, PAGE_SIZE)
        woken = [load for load in waiting if load.waits_for == _FOR_SNAPSHOT]
        placed += _place(platform, _admitted(platform, woken))
    return placed


def _admitted(platform: Platform, loads: Sequence[Load]) -> list[_Admitted]:
    has_sidecar = [load.version.key for load in loads if _sidecar_key(platform, load)]
    versions = platform.ledger.queries.loads_at(Place.INCOMING, has_sidecar) if has_sidecar else {}
    # Nothing but sidecars is read here, so no load is large; and with S3 nearly all the time goes into waiting.
    at_once = platform.limits.parallel_loads

    isolation = FreeIsolation(platform)

    def admit(load: Load) -> _Admitted | None:
        return isolation.run(load, lambda: _admit(platform, load, versions))

    return [ready for ready in in_parallel(admit, loads, at_once, large_bytes=inf) if ready]


def _sidecar_key(platform: Platform, load: Load) -> str | None:
    return STREAMS[platform.tables[load.table].stream].sidecar_key(load.version.key)


def _admit(platform: Platform, load: Load, versions: Mapping[str, Sequence[Load]]) -> _Admitted | None:
    """Check name, size and sidecar; None if the load waits for what it lacks.

    Raises:
        RejectedLoadError: The load is wrong, or has waited for too long.
    """
    table = platform.tables[load.table]
    stream, key = STREAMS[table.stream], load.version.key
    _check_name(table, load)
    if load.version.size_bytes == 0:
        raise RejectedLoadError("empty_file", f"'{key}' has no bytes, not even a header.")
    sidecar = sidecar_of(platform.stores, table, load)
    try:
        data = read_sidecar(sidecar)
        if stream.sidecar_key(key):
            _check_file_stands(platform, load)
            if data is None:
                _wait(platform, load, _FOR_SIDECAR, "sidecar_missing", platform.limits.sidecar_wait_seconds)
                return None
        if sidecar and _is_of_version_before(load, sidecar, versions) and not _is_wait_over(platform, load):
            _wait(platform, load, _FOR_NEWER_SIDECAR, "sidecar_missing", platform.limits.sidecar_wait_seconds)
            return None
        return _Admitted(load, stream.source_at(table, load.version, data), sidecar and sidecar.etag)
    except RejectedLoadError as error:
        if error.code != "sidecar_invalid" or not sidecar or not _is_being_written(platform, sidecar):
            raise
        _wait(platform, load, _FOR_SIDECAR, error.code, platform.limits.sidecar_wait_seconds)
        return None


def _check_file_stands(platform: Platform, load: Load) -> None:
    """Make sure that the version still stands where its sidecar is looked for; else that is the sidecar of another.

    Raises:
        RejectedLoadError: It was replaced or removed (``superseded``).
    """
    original = original_of(platform.stores, load)
    standing = original.store.head(original.key)
    if original.etag is not None and (standing is None or standing.etag != original.etag):
        raise superseded(load)


def _is_of_version_before(load: Load, sidecar: Original, versions: Mapping[str, Sequence[Load]]) -> bool:
    """Say whether an earlier version of the file was planned with this very sidecar, so that its own may yet come."""
    earlier = (other for other in versions.get(load.version.key, ()) if other.id < load.id)
    return any(other.sidecar_etag == sidecar.etag for other in earlier)


def _is_wait_over(platform: Platform, load: Load) -> bool:
    """Say whether no newer sidecar came in all the time that one may take; the one that is there is then its own."""
    waited = platform.clock.now() - load.waiting_since
    return waited >= timedelta(seconds=platform.limits.sidecar_wait_seconds)


def _is_being_written(platform: Platform, sidecar: Original) -> bool:
    version = sidecar.store.head(sidecar.key)
    return version is not None and not is_settled(platform, version)


def _check_name(table: Table, load: Load) -> None:
    name = load.version.file_name
    if not STREAMS[table.stream].accepts(table, name):
        message = f"'{load.version.key}' is no name that the {table.stream} stream gives to files of this table."
        raise RejectedLoadError("unrecognised_name", message)
    if len(name.encode()) > LONGEST_NAME_BYTES:
        message = f"The name '{name[:50]}…' has more than {LONGEST_NAME_BYTES} bytes."
        raise RejectedLoadError("unusable_name", message)
    if not _is_usable(name):
        message = f"The name {name!r} has characters that engines read as something else in 'identifier=<name>'."
        raise RejectedLoadError("unusable_name", message)


def _is_usable(name: str) -> bool:
    r"""Say whether a name can be a folder's.

    ``\w`` has letters and digits, but not the marks of decomposed letters (as macOS writes them) and of vowels (as
    many scripts write them), nor the joiners between letters. They are part of the word that they stand in.
    """
    if not name.isascii():
        name = "".join(each for each in name if each not in _JOINERS and unicodedata.category(each)[0] != "M")
    return _USABLE_NAME.fullmatch(name) is not None


def _open_snapshots(platform: Platform, admitted: Sequence[_Admitted]) -> tuple[list[_Admitted], list[Table]]:
    """Record the snapshots that first LOAD files open.

    Returns:
        The loads that are still admitted, and the tables that have a snapshot by them.
    """
    isolation = FreeIsolation(platform)
    sound: list[_Admitted] = []
    opened: dict[str, Table] = {}
    for ready in admitted:
        table = platform.tables[ready.load.table]
        if not STREAMS[table.stream].opens_snapshot(table, ready.load.version.file_name):
            sound.append(ready)
        elif isolation.run(ready.load, lambda table=table, ready=ready: _open_snapshot(platform, table, ready)):
            sound.append(ready)
            opened[table.name] = table
    return sound, list(opened.values())


def _open_snapshot(platform: Platform, table: Table, ready: _Admitted) -> Snapshot:
    """Record a snapshot, and let it take over what is its own.

    The take-over is repeated for a snapshot that is on record already: its recorder may have crashed half-way.
    """
    snapshot = Snapshot(ready.source_at.replace(microsecond=0), ready.load.version.key)
    platform.ledger.plans.open_snapshot(table.name, snapshot)
    _take_over(platform, table, snapshot)
    return snapshot


def _take_over(platform: Platform, table: Table, opened: Snapshot) -> None:
    """Give a snapshot that became known late the loads that are its own, ingested or not."""
    starts = [snapshot.started_at for snapshot in platform.ledger.plans.snapshots(table.name)]
    later = [start for start in starts if start > opened.started_at]
    since = opened.started_at if min(starts) < opened.started_at else datetime.min.replace(tzinfo=UTC)
    candidates = platform.ledger.plans.placed_since(_followers(platform, table), since, min(later) if later else None)
    placements = [
        placement
        for load in candidates
        if (placement := _placement(platform, _placed_before(load), starts)) and placement.snapshot != load.snapshot
    ]
    platform.ledger.plans.place(placements)


def _placed_before(load: Load) -> _Admitted:
    return _Admitted(load, load.source_at or load.version.modified_at, load.sidecar_etag)


def _place(platform: Platform, admitted: Sequence[_Admitted]) -> int:
    isolation = FreeIsolation(platform)
    placements: list[Placement] = []
    starts: dict[str, list[datetime]] = {}
    for ready in admitted:
        table = platform.tables[ready.load.table]
        owner = table.snapshot_table
        if STREAMS[table.stream].has_snapshots and owner not in starts:
            starts[owner] = [snapshot.started_at for snapshot in platform.ledger.plans.snapshots(owner)]
        known = starts.get(owner, [])
        placement = isolation.run(
            ready.load, lambda ready=ready, known=known: _placed_or_waiting(platform, ready, known)
        )
        if placement:
            placements.append(placement)
    platform.ledger.plans.place(placements)
    return len(placements)


def _placed_or_waiting(platform: Platform, ready: _Admitted, starts: Collection[datetime]) -> Placement | None:
    placement = _placement(platform, ready, starts)
    if placement is None:
        _wait(platform, ready.load, _FOR_SNAPSHOT, "snapshot_missing", platform.limits.snapshot_wait_seconds)
    return placement


def _placement(platform: Platform, ready: _Admitted, starts: Collection[datetime]) -> Placement | None:
    """Compute where a load belongs; None if its snapshot is not known yet."""
    load, table = ready.load, platform.tables[ready.load.table]
    stream = STREAMS[table.stream]
    snapshot = None
    if stream.has_snapshots:
        snapshot = owning_snapshot(
            ready.source_at, list(starts), is_change=table.base is not None, current=load.snapshot
        )
        if snapshot is None:
            return None
    partition_key = stream.partition_key(table, load.version.file_name, ready.source_at, snapshot)
    return Placement(load.id, ready.source_at, partition_key, snapshot, ready.sidecar_etag)


def _followers(platform: Platform, table: Table) -> list[str]:
    """Names of the tables whose loads belong to this table's snapshots."""
    return [other.name for other in platform.tables.values() if other.snapshot_table == table.name]


def _wait(platform: Platform, load: Load, reason: str, code: str, deadline_seconds: int) -> None:
    """Leave a load unplanned, with the reason.

    Raises:
        RejectedLoadError: The deadline has passed.
    """
    now = platform.clock.now()
    deadline = load.waiting_since + timedelta(seconds=deadline_seconds)
    if now < deadline:
        pause = min(max((now - load.waiting_since) / 4, _SHORTEST_WAIT), _LONGEST_WAIT)
        platform.ledger.plans.wait(load.id, reason, min(now + pause, deadline))
        return
    raise RejectedLoadError(code, f"It {reason}, which did not come within {deadline_seconds} seconds.")
