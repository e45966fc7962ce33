"""Incoming: whether somebody lists it, so that what lands there is registered at all."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cubic_ingestion.domain.incoming import Scan
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.observability.problems import Problem, ProblemCode
from cubic_ingestion.ports import LoadObserver, ObjectStore

_REMEDY = "Start the daemon, or look at the sensors whose names end in '_incoming'; 'cubic ingest' scans once."


def not_scanned(
    tables: Mapping[str, Table], observer: LoadObserver, incoming: ObjectStore | None, now: datetime, longest: timedelta
) -> Iterator[Problem]:
    """Yield one problem for all streams that nobody has listed for too long, and one for those never listed.

    A stream that was never listed is a problem only if an object lies there; at most one page is listed for that.
    """
    streams = {table.stream for table in tables.values() if table.is_active}
    prefixes = [stream.prefix for stream in StreamName if stream in streams]
    scans = observer.scans()
    # A time that lies as far ahead was written by a clock that is wrong, and proves nothing.
    late = [scans[prefix] for prefix in prefixes if prefix in scans and abs(now - scans[prefix].active_at) > longest]
    if late:
        yield _late(late)
    never = [prefix for prefix in prefixes if prefix not in scans]
    if incoming and (holding := [prefix for prefix in never if any(incoming.list(prefix))]):
        message = f"Objects lie in Incoming that nobody has ever looked at, below {' and '.join(holding)}."
        yield Problem(ProblemCode.NOT_SCANNED, "", None, message, _REMEDY)


def _late(late: list[Scan]) -> Problem:
    since = min(scan.active_at for scan in late)
    prefixes = " and ".join(scan.prefix for scan in late)
    message = f"Nobody has listed {prefixes} in Incoming since {since:%Y-%m-%d %H:%M:%S} UTC."
    if why := next((scan.problem for scan in late if scan.problem), None):
        message += f" The last try failed: {why}"
    return Problem(ProblemCode.NOT_SCANNED, "", since, message, _REMEDY)
