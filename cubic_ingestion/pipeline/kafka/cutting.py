"""Where batches end: a function of the records alone, but for what is on record already. It touches nothing outside.

A batch takes a table's records of one shard in their order, and ends

* with its ``max_records``-th record;
* before a record that would make it larger than ``max_bytes``;
* before a record that arrived ``max_seconds`` or more after its first one, or when nothing younger can still come;
* where an earlier try put on record that it ends (docs/adr/0012), whatever the limits are by now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from cubic_ingestion.domain.batch import Batch, Part, Position


@dataclass(frozen=True, slots=True)
class CutLimits:
    """When a batch is full."""

    max_records: int
    max_seconds: int
    max_bytes: int


class Line(NamedTuple):
    """A record as it will stand in its file."""

    position: Position
    arrived_at: datetime
    text: bytes
    """With its newline."""


@dataclass(slots=True)
class Gathering:
    """A batch while records join it: those of earlier commits are in parts, the others in ``lines``."""

    table: str
    first: Position
    opened_at: datetime
    last: Position
    n_records: int = 0
    n_bytes: int = 0
    parts: Sequence[Part] = ()
    lines: list[bytes] = field(default_factory=list[bytes])
    lines_from: Position | None = None
    """Where the first of ``lines`` stood."""
    end: Position | None = None
    """Where an earlier try put on record that it ends."""

    def add(self, line: Line) -> None:
        """Take one more record."""
        self.lines_from = self.lines_from if self.lines else line.position
        self.last = line.position
        self.n_records += 1
        self.n_bytes += len(line.text)
        self.lines.append(line.text)

    def batch(self, key: str | None = None) -> Batch:
        """Return it as it goes on record."""
        return Batch(
            self.table, self.first, self.last, self.n_records, self.n_bytes, self.opened_at, key, tuple(self.parts)
        )


class Cutter:
    """The open batches of one shard.

    Args:
        limits: When a batch is full.
        batches: Batches on record that are not written: open ones, and cut ones, which have a key.
    """

    def __init__(self, limits: CutLimits, batches: Iterable[Batch] = ()) -> None:
        self._limits = limits
        self._max_age = timedelta(seconds=limits.max_seconds)
        self._open: dict[str, Gathering] = {}
        self._cut: dict[str, list[Batch]] = {}
        self._closed: list[Gathering] = []
        for batch in sorted(batches, key=lambda batch: batch.first):
            if batch.parts:
                self._resume(batch)
            elif batch.key:
                self._cut.setdefault(batch.table, []).append(batch)

    @property
    def open(self) -> Sequence[Gathering]:
        """The batches that are not full."""
        return list(self._open.values())

    def take_closed(self) -> Sequence[Gathering]:
        """Return the batches that came to their end since this was last called."""
        closed, self._closed = self._closed, []
        return closed

    def add(self, table: str, line: Line) -> int:
        """Let a record join its table's batch; returns how many batches came to their end by it."""
        n_before = len(self._closed)
        gathering = self._open.get(table)
        if gathering is not None and self._ends_before(gathering, line):
            self._close(gathering)
            gathering = None
        if gathering is None:
            gathering = self._begin(table, line)
        gathering.add(line)
        self._close_if_full(gathering)
        return len(self._closed) - n_before

    def close_overdue(self, read_until: datetime) -> None:
        """End the batches that can get no more records.

        Args:
            read_until: Every record that arrived earlier has been added.
        """
        for gathering in self.open:
            if gathering.end is None and gathering.opened_at + self._max_age <= read_until:
                self._close(gathering)

    def close_all(self) -> None:
        """End all batches, since no record can follow."""
        for gathering in self.open:
            self._close(gathering)

    def _resume(self, batch: Batch) -> None:
        """Go on with a batch that has records in parts."""
        kept = Gathering(
            batch.table,
            batch.first,
            batch.opened_at,
            batch.parts[-1].last,
            sum(part.n_records for part in batch.parts),
            sum(part.n_bytes for part in batch.parts),
            batch.parts,
            end=batch.last if batch.key else None,
        )
        self._open[batch.table] = kept
        self._close_if_full(kept)

    def _begin(self, table: str, line: Line) -> Gathering:
        gathering = Gathering(table, line.position, line.arrived_at, line.position)
        cut = self._cut.get(table, [])
        while cut and cut[0].last < line.position:  # none of its records is in the Kinesis stream any more
            self._closed.append(_as_cut(cut.pop(0)))
        if cut:
            gathering = _as_cut(cut.pop(0))
        self._open[table] = gathering
        return gathering

    def _ends_before(self, gathering: Gathering, line: Line) -> bool:
        if gathering.end is not None:
            return line.position > gathering.end
        is_too_large = gathering.n_bytes + len(line.text) > self._limits.max_bytes
        return is_too_large or line.arrived_at - gathering.opened_at >= self._max_age

    def _close_if_full(self, gathering: Gathering) -> None:
        if gathering.end is not None:
            is_full = gathering.last >= gathering.end
        else:
            is_full = gathering.n_records >= self._limits.max_records
        if is_full:
            self._close(gathering)

    def _close(self, gathering: Gathering) -> None:
        del self._open[gathering.table]
        self._closed.append(gathering)


def _as_cut(batch: Batch) -> Gathering:
    """Gather again what an earlier try cut."""
    return Gathering(batch.table, batch.first, batch.opened_at, batch.last, end=batch.last)
