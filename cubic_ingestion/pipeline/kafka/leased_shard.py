"""One shard while this batcher holds its lease: records in, commits out.

A commit is four steps, each safe to repeat: put on record where batches end; write their files, and parts for what
stays open; move the checkpoint, in one transaction with both; remove the parts that are not needed any more. A crash
after any of them leaves what the next holder goes on from (docs/adr/0012).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cubic_ingestion.domain.batch import DEAD_LETTERS, Advance, Batch, Position, ShardState
from cubic_ingestion.ledger.shards import Shards
from cubic_ingestion.pipeline.kafka.cutting import CutLimits, Cutter, Gathering
from cubic_ingestion.pipeline.kafka.filing import Filing
from cubic_ingestion.pipeline.kafka.routing import Router
from cubic_ingestion.ports import Page


@dataclass(slots=True)
class Tally:
    """What a batcher has done."""

    n_records: int = 0
    """Records read, dead letters among them."""
    n_dead_letters: int = 0
    n_files: int = 0
    """Files written, those of dead letters among them."""


class LeasedShard:
    """A shard's open batches, and what was read since its checkpoint.

    Args:
        state: From ``Shards.lease``.
        shards: Where it is put on record.
        owner: Who holds the lease.
        filing: Where its batches go.
        limits: When a batch is full.
        tally: Counts along.
    """

    def __init__(
        self, state: ShardState, shards: Shards, owner: str, filing: Filing, limits: CutLimits, tally: Tally
    ) -> None:
        self._shards = shards
        self._owner = owner
        self._filing = filing
        self._cutter = Cutter(limits, state.batches)
        self._spent = list(state.spent_keys)
        self._tally = tally
        self._advance = Advance(state.checkpoint, None, 0)
        self._n_bytes = 0
        self._has_read = False

    @property
    def checkpoint(self) -> str | None:
        """Sequence number of the last record that was taken, committed or not."""
        return self._advance.checkpoint

    @property
    def arrived_at(self) -> datetime | None:
        """When the newest record that was taken arrived in the Kinesis stream."""
        return self._advance.arrived_at

    @property
    def n_bytes(self) -> int:
        """Size of what was taken since the last commit."""
        return self._n_bytes

    @property
    def is_ended(self) -> bool:
        """Whether no record can follow."""
        return self._advance.is_ended

    def sweep(self, kept: ShardState, now: datetime) -> None:
        """Remove what a batcher that died left behind."""
        keys = {part.key for batch in kept.batches for part in batch.parts}
        self._filing.sweep({*keys, *kept.spent_keys}, now)

    def take(self, page: Page, router: Router, read_at: datetime | None) -> None:
        """Let the records of a page join their tables' batches; those before the checkpoint were taken earlier.

        Args:
            page: What was read.
            router: Sorts records by topic.
            read_at: When reading it began; None if it does not tell how far the shard has been read.
        """
        taken = Position(int(self.checkpoint), _PAST_ALL) if self.checkpoint else None
        records = [record for record in page.records if taken is None or record.position > taken]
        for table, line in router.lines(self._filing.shard, records):
            self._cutter.add(table, line)
            self._n_bytes += len(line.text)
            self._tally.n_dead_letters += table == DEAD_LETTERS
        self._tally.n_records += len(records)
        newest = max(filter(None, (self.checkpoint, page.last_sequence_number)), key=int, default=None)
        arrived_at = records[-1].arrived_at if records else self.arrived_at
        self._advance = Advance(newest, arrived_at, page.behind_milliseconds, page.is_end)
        self._has_read = True
        if page.is_end:
            self._cutter.close_all()
        elif read_at is not None:
            self._cutter.close_overdue(read_at - timedelta(milliseconds=page.behind_milliseconds))

    def close_overdue(self, read_until: datetime) -> None:
        """End the batches whose time is up, without reading."""
        self._cutter.close_overdue(read_until)

    def commit(self, now: datetime) -> None:
        """Put on record, and in Incoming, what was taken since the last commit.

        Raises:
            RetriableError: A store or the ledger refused, or the lease is lost. What was taken since the
                last commit is to be read again.
        """
        closed = self._cutter.take_closed()
        written = [gathering.batch(self._filing.key(gathering)) for gathering in closed]
        self._cut(closed, written, now)
        for gathering, batch in zip(closed, written, strict=True):
            self._tally.n_files += self._filing.write(gathering, batch.key or "")
        still_open = self._cutter.open
        for gathering in still_open:
            self._filing.write_part(gathering)
        if self._has_read or closed:
            self._move_checkpoint(written, still_open, now)
        self._spent += [part.key for batch in written for part in batch.parts]
        self._filing.remove(self._spent)
        self._shards.forget_parts(self._spent)
        self._spent.clear()
        self._n_bytes = 0

    def _cut(self, closed: Sequence[Gathering], written: Sequence[Batch], now: datetime) -> None:
        new = [batch for gathering, batch in zip(closed, written, strict=True) if gathering.end is None]
        if new:
            self._shards.cut(self._filing.stream, self._filing.shard, self._owner, new, now)

    def _move_checkpoint(self, written: Sequence[Batch], still_open: Sequence[Gathering], now: datetime) -> None:
        self._shards.advance(
            self._filing.stream,
            self._filing.shard,
            self._owner,
            self._advance,
            written=written,
            still_open=[gathering.batch(self._cut_key(gathering)) for gathering in still_open],
            now=now,
        )

    def _cut_key(self, gathering: Gathering) -> str | None:
        return self._filing.key(gathering) if gathering.end else None


_PAST_ALL = 1 << 62
"""Greater than any number within a Kinesis record: a checkpoint is behind all that its record carries."""
