"""Incoming: whether it is there, and whether somebody lists it, so that what lands there is registered at all."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cubic_ingestion.domain.incoming import UNLISTED, Scan, UnknownGroup
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import SettingsError, StoreUnavailableError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.observability.problems import Problem, ProblemCode
from cubic_ingestion.pipeline.incoming import require_incoming
from cubic_ingestion.ports import ObjectStore

_REMEDY = "Start the daemon, or look at the sensors whose names end in '_incoming'; 'cubic ingest' scans once."


def incoming_missing(incoming: ObjectStore) -> list[Problem]:
    """Return a problem if Incoming is not there, or cannot be listed."""
    try:
        require_incoming(incoming)
    except SettingsError as error:
        return [_missing(error.what, error.fix)]
    except StoreUnavailableError as error:
        return [_missing(error.problem, "Permit listing it, or mend CUBIC_INCOMING_URL.")]
    return []


def _missing(what: str, fix: str) -> Problem:
    return Problem(ProblemCode.INCOMING_MISSING, "", None, what, f"{fix} Nothing is ingested until then.")


def not_scanned(
    tables: Mapping[str, Table], ledger: Ledger, incoming: ObjectStore | None, now: datetime, longest: timedelta
) -> Iterator[Problem]:
    """Yield one problem for all streams that nobody has listed for too long, and one for those never listed.

    A stream that was never listed is a problem only if an object lies there; at most one page is listed for that.
    """
    streams = {table.stream for table in tables.values() if table.is_active}
    prefixes = [stream.prefix for stream in StreamName if stream in streams]
    scans = ledger.intake.scans()
    # A time that lies as far ahead was written by a clock that is wrong, and proves nothing.
    late = [scans[prefix] for prefix in prefixes if prefix in scans and abs(now - scans[prefix].active_at) > longest]
    if late:
        yield _late(late)
    newest = [scans[prefix] for prefix in prefixes if prefix in scans]
    hidden = [group for scan in newest for group in scan.seen.unknown if group.why.startswith(UNLISTED)]
    yield from map(_unlisted, hidden)
    never = [prefix for prefix in prefixes if prefix not in scans]
    if incoming and (holding := [prefix for prefix in never if _holds_an_object(incoming, prefix)]):
        message = f"Objects lie in Incoming that nobody has ever looked at, below {' and '.join(holding)}."
        yield Problem(ProblemCode.NOT_SCANNED, "", None, message, _REMEDY)


def _holds_an_object(incoming: ObjectStore, prefix: str) -> bool:
    try:
        return any(incoming.list(prefix))
    except StoreUnavailableError:
        return True  # something is there, or it could be listed


def _late(late: list[Scan]) -> Problem:
    since = min(scan.active_at for scan in late)
    prefixes = " and ".join(scan.prefix for scan in late)
    message = f"Nobody has listed {prefixes} in Incoming since {since:%Y-%m-%d %H:%M:%S} UTC."
    if why := next((scan.problem for scan in late if scan.problem), None):
        message += f" The last try failed: {why}"
    return Problem(ProblemCode.NOT_SCANNED, "", since, message, _REMEDY)


def _unlisted(group: UnknownGroup) -> Problem:
    message = f"The last listing of Incoming could not see everything: {group}."
    remedy = "Permit this process to list the folder. Everything else is ingested; what lies there waits."
    return Problem(ProblemCode.NOT_SCANNED, "", None, message, remedy)
