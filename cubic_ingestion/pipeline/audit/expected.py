"""What each load should have, and a tally by which a zone's listing shows that nothing of it is missing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE
from cubic_ingestion.domain.layout import REASON_ENDING, Filing, quarantine_key, reason_key
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import ENDED, INGESTED, LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.process import is_gone
from cubic_ingestion.streams import STREAMS

_PARTS_OF_A_PLACE = ("snapshot=", "timestamp=", "version=")
_FILES_OF_A_SIDECAR = (".csv.gz", ".csv")


class Part(StrEnum):
    """What a load may have in the zones."""

    ARCHIVED = "archived original"
    SIDECAR = "sidecar"
    ERRORED = "rejected original"
    REASON = "reason"
    ROWS = "rows"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Expected:
    """An object that a load should have."""

    part: Part
    zone: str
    key: str


def expected(tables: Mapping[str, Table], load: Load) -> Iterator[Expected]:
    """Yield the objects that must be there for a load as it is on record."""
    table = tables.get(load.table)
    if load.status is LoadStatus.ARCHIVED and load.archive_key:
        yield Expected(Part.ARCHIVED, "archive", load.archive_key)
        sidecar_key = STREAMS[table.stream].sidecar_key(load.archive_key) if table and load.sidecar_etag else None
        if sidecar_key:
            yield Expected(Part.SIDECAR, "archive", sidecar_key)
    if load.status is LoadStatus.ERRORED and load.error_key:
        yield Expected(Part.REASON, "error", reason_key(load, Filing(folder_of(load.error_key))))
        if not is_superseded(load):
            yield Expected(Part.ERRORED, "error", load.error_key)
    if load.status in INGESTED and load.location:
        yield Expected(Part.ROWS, "springboard", load.location)
        if load.n_quarantined and table:
            yield Expected(Part.QUARANTINE, "springboard", quarantine_key(table, load.location))


def is_superseded(load: Load) -> bool:
    """Say whether the load's original was gone before it could be moved, so that Error has its reason alone."""
    return load.error is not None and load.error.code == "superseded"


def is_under_way(load: Load, now: datetime) -> bool:
    """Say whether somebody works on a load, or will: what stands around of it meanwhile is nothing wrong."""
    has_claim = load.claim_expires_at is not None and load.claim_expires_at > now
    return load.status not in ENDED or load.is_replay_due or has_claim


def is_held(platform: Platform, load: Load) -> bool:
    """Say whether somebody works on a load at this moment.

    A claim that no right clock can have made does not count, nor does one whose process is gone.
    """
    now = platform.clock.now()
    longest = timedelta(seconds=platform.limits.claim_timeout_seconds) + CLOCK_TOLERANCE
    has_claim = load.claim_expires_at is not None and now < load.claim_expires_at <= now + longest
    return has_claim and not (load.claimed_by and is_gone(load.claimed_by))


def files_of(key: str) -> list[str]:
    """Keys of the file that an object may go with: itself, that of a sidecar, that of a reason."""
    keys = [key]
    if key.endswith(".dfm"):
        keys += [key.removesuffix(".dfm") + ending for ending in _FILES_OF_A_SIDECAR]
    if key.endswith(REASON_ENDING):
        keys.append(key.removesuffix(REASON_ENDING))
    return keys


def incoming_key(key: str) -> str:
    """Key in Incoming of the file that an object of another zone comes from.

    >>> incoming_key("raw/cubic/dmap/agg/identifier=20220304.csv/part-0.parquet")
    'cubic/dmap/agg/20220304.csv'
    """
    parts = [part for part in key.removeprefix("raw/").split("/") if not part.startswith(_PARTS_OF_A_PLACE)]
    if len(parts) > 1 and parts[-2].startswith("identifier="):
        parts[-2:] = [parts[-2].removeprefix("identifier=")]
    return "/".join(parts)


def folder_of(key: str) -> str:
    """Everything up to the last slash."""
    return key.rpartition("/")[0] + "/"


def loads_at(ledger: Ledger, place: Place, keys: Collection[str]) -> Mapping[str, Sequence[Load]]:
    """Ask for the loads at some keys; one that is no Unicode, as a local folder may hold, is no load's."""
    return ledger.queries.loads_at(place, [key for key in dict.fromkeys(keys) if is_text(key)])


def is_text(key: str) -> bool:
    """Say whether a key is Unicode."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


class Tally:
    """Sums up which objects of which loads were seen, in constant memory.

    Two tallies are equal if they sum up the same objects of the same loads, in any order; that others do so too has
    a chance of one in 2**64.
    """

    def __init__(self) -> None:
        self._sums: dict[Part, int] = {}

    def add(self, part: Part, load: Load, key: str) -> None:
        """Count one object of one load."""
        self._sums[part] = (self.sum_of(part) + hash((part.value, load.id, key))) % 2**64

    def sum_of(self, part: Part) -> int:
        """Return what was summed up of one part."""
        return self._sums.get(part, 0)

    def differing(self, other: "Tally") -> set[Part]:
        """Return the parts of which the two did not see the same."""
        return {part for part in Part if self.sum_of(part) != other.sum_of(part)}
