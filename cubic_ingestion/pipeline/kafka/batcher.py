"""The Kafka batcher: reads the shards it holds leases on, alone or beside others.

A shard whose parents have records that are not in Incoming yet waits for them. What goes wrong with one shard does not
stop the others: it is given back, and taken again from its checkpoint.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from cubic_ingestion.domain.batch import ShardLease
from cubic_ingestion.domain.holding import CLOCK_TOLERANCE
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RetriableError, ShardLeaseLostError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.heartbeat import Heartbeat
from cubic_ingestion.pipeline.kafka.cutting import CutLimits
from cubic_ingestion.pipeline.kafka.filing import Filing, table_prefixes
from cubic_ingestion.pipeline.kafka.leased_shard import LeasedShard, Tally
from cubic_ingestion.pipeline.kafka.routing import Router
from cubic_ingestion.pipeline.release import release_dead
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import Clock, Page, RecordSource, Shard, ShardReader, Stores

_SHOWN = 20
_PAUSE = timedelta(seconds=5)
"""Before a shard that could not be read is tried again."""


@dataclass(frozen=True, slots=True)
class BatcherLimits:
    """How long and how much, from the settings."""

    cut: CutLimits
    lease_seconds: int
    poll_seconds: float
    """Pause when no shard had anything new."""
    commit_seconds: int
    """How long what was read may wait to be put on record."""
    commit_bytes: int
    """How much of a shard may."""


@dataclass(slots=True)
class BatcherReport:
    """What one pass, or one life, of a batcher came to."""

    done: Tally = field(default_factory=Tally)
    shards: set[str] = field(default_factory=set[str])
    """Shards that were read."""
    held_elsewhere: set[str] = field(default_factory=set[str])
    """Shards that another batcher reads."""
    problems: deque[str] = field(default_factory=lambda: deque[str](maxlen=_SHOWN))
    """What went wrong last, and will be tried again."""


@dataclass(slots=True)
class _Reading:
    """A shard being read."""

    leased: LeasedShard
    reader: ShardReader
    committed_at: datetime


@dataclass(slots=True)
class Batcher:
    """Everything that reading a Kinesis stream into Incoming needs; built by ``bootstrap``."""

    source: RecordSource
    ledger: Ledger
    stores: Stores
    tables: Mapping[str, Table]
    clock: Clock
    limits: BatcherLimits
    owner: str
    """Unique among all batchers that are running."""
    tell: Callable[[str], object] = lambda _: None
    """Told what goes wrong and will be tried again."""
    report: BatcherReport = field(default_factory=BatcherReport)
    _router: Router = field(init=False)
    _readings: dict[str, _Reading] = field(init=False, default_factory=dict[str, _Reading])
    _not_before: dict[str, datetime] = field(init=False, default_factory=dict[str, datetime])
    _heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        self._router = Router(self.tables.values())
        self._heartbeat = Heartbeat(self.clock, self.limits.lease_seconds)

    def run_once(self) -> BatcherReport:
        """Read every shard up to what was in it when this began, cut what is due, and give all back.

        Raises:
            SettingsError: There is no such Kinesis stream, or it may not be read.
            StreamUnavailableError: Its shards cannot be listed.
        """
        started_at = self.clock.now()
        done: set[str] = set()
        while new := [shard for shard in self._ready_shards() if shard.id not in done]:
            for shard in new:
                done.add(shard.id)
                with_lease = self._attempt(shard.id, lambda shard_id=shard.id: self._take(shard_id))
                if with_lease and shard.id in self._readings:
                    self._attempt(shard.id, lambda shard_id=shard.id: self._catch_up(shard_id, started_at))
        return self.report

    def follow(self, is_stopped: Callable[[], bool], wait: Callable[[float], object]) -> BatcherReport:
        """Read on until told to stop; then put everything on record, and give all shards back.

        Args:
            is_stopped: Asked between two reads.
            wait: Called with seconds when there is nothing to read.
        """
        looked_at: datetime | None = None
        try:
            while not is_stopped():
                if looked_at is None or self.clock.now() - looked_at >= self._third_of_lease:
                    self._attempt("", self._share_shards)
                    looked_at = self.clock.now()
                n_before = self.report.done.n_records
                for shard in list(self._readings):
                    self._attempt(shard, lambda shard=shard: self._read(shard))
                if self._give_back_ended():
                    looked_at = None  # the shards that were split from them can be read now
                if self.report.done.n_records == n_before:
                    wait(self.limits.poll_seconds)
        finally:
            for shard in list(self._readings):
                self._attempt(shard, lambda shard=shard: self._give_back(shard))
        return self.report

    def take_page(self, shard: str, page: Page) -> None:
        """Take what somebody else has read from a shard, and put it on record at once.

        Raises:
            RetriableError: Nothing of it was taken.
        """
        if not self._take(shard):
            raise ShardLeaseLostError(shard)
        try:
            leased = self._readings[shard].leased
            leased.take(page, self._router, None)
            leased.commit(self.clock.now())
        finally:
            self._drop(shard)

    def cut_overdue(self) -> BatcherReport:
        """Cut the batches whose time is up, without reading; for a Kinesis stream that somebody else reads."""
        now = self.clock.now()
        due_before = now - timedelta(seconds=self.limits.cut.max_seconds)
        for progress in self.ledger.shards.progress():
            is_due = progress.oldest_open_at is not None and progress.oldest_open_at <= due_before
            if progress.stream == self.source.stream and is_due:
                self._attempt(progress.shard, lambda shard=progress.shard: self._cut_overdue(shard, now))
        return self.report

    @property
    def _third_of_lease(self) -> timedelta:
        return timedelta(seconds=self.limits.lease_seconds / 3)

    def _ready_shards(self) -> Iterator[Shard]:
        """Yield the shards that are not done, and whose parents are; parents that Kinesis has forgotten are done."""
        shards = self.source.shards()
        listed = {shard.id for shard in shards}
        ended = {lease.shard for lease in self.ledger.shards.leases(self.source.stream).values() if lease.is_ended}
        for shard in shards:
            if shard.id not in ended and not (set(shard.parent_ids) & listed) - ended:
                yield shard

    def _attempt(self, shard: str, work: Callable[[], object]) -> bool:
        """Do something with a shard; if it may pass, or nobody foresaw it, the shard is let go for a while."""
        try:
            with last_resort():
                work()
        except RetriableError as error:
            self.report.problems.append(str(error))
            self.tell(str(error))
            self._not_before[shard] = self.clock.now() + _PAUSE
            self._drop(shard)
            return False
        return True

    def _take(self, shard: str) -> bool:
        """Take a shard's lease, and go on from what is on record; says whether that worked."""
        now = self.clock.now()
        expires_at = now + timedelta(seconds=self.limits.lease_seconds)
        release_dead(self.ledger, now)
        state = self.ledger.shards.lease(self.source.stream, shard, self.owner, now=now, expires_at=expires_at)
        if state is None:
            self.report.held_elsewhere.add(shard)
            return False
        filing = Filing(self.source.stream, shard, self.stores, self.ledger, table_prefixes(self.tables.values()))
        leased = LeasedShard(state, self.ledger.shards, self.owner, filing, self.limits.cut, self.report.done)
        self._readings[shard] = _Reading(leased, self.source.reader(shard, state.checkpoint), now)
        leased.sweep(state, now)
        self.report.shards.add(shard)
        return True

    def _catch_up(self, shard: str, until: datetime) -> None:
        leased = self._readings[shard].leased
        while not leased.is_ended:
            page = self._read(shard)
            if leased.is_ended or (leased.arrived_at and leased.arrived_at >= until):
                break
            if page.behind_milliseconds == 0 and not page.records:
                break
        self._give_back(shard)

    def _read(self, shard: str) -> Page:
        """Read a page of a shard, and commit if it is time to."""
        self._keep_leases()
        if shard not in self._readings:
            raise ShardLeaseLostError(shard)
        reading, read_at = self._readings[shard], self.clock.now()
        page = reading.reader.read()
        reading.leased.take(page, self._router, read_at)
        is_time = self.clock.now() - reading.committed_at >= timedelta(seconds=self.limits.commit_seconds)
        if is_time or reading.leased.n_bytes >= self.limits.commit_bytes or reading.leased.is_ended:
            reading.leased.commit(self.clock.now())
            reading.committed_at = self.clock.now()
        return page

    def _keep_leases(self) -> None:
        """Renew the leases while there is time, and let go what was lost."""
        kept = self._heartbeat.beat(partial(self.ledger.shards.renew, self.source.stream, self.owner))
        if kept is None:
            return
        for shard in [shard for shard in self._readings if shard not in kept]:
            del self._readings[shard]

    def _give_back(self, shard: str) -> None:
        """Put all of a shard on record, and release it."""
        self._readings[shard].leased.commit(self.clock.now())
        self._drop(shard)

    def _give_back_ended(self) -> bool:
        """Release the shards that nothing can follow in; says whether there was one."""
        ended = [shard for shard, reading in self._readings.items() if reading.leased.is_ended]
        for shard in ended:
            self._attempt(shard, lambda shard=shard: self._give_back(shard))
        return bool(ended)

    def _drop(self, shard: str) -> None:
        """Let a shard go; what was not committed is read again by whoever takes it next."""
        if self._readings.pop(shard, None) is not None:
            with suppress(RetriableError):  # then the lease ends by itself
                self.ledger.shards.release(self.source.stream, shard, self.owner)

    def _cut_overdue(self, shard: str, now: datetime) -> None:
        if self._take(shard):
            self._readings[shard].leased.close_overdue(now)
            self._give_back(shard)

    def _share_shards(self) -> None:
        """Take a fair share of the shards, give back what another asks for, and ask if there is nothing to take."""
        self._keep_leases()
        now = self.clock.now()
        latest_end = now + timedelta(seconds=self.limits.lease_seconds) + CLOCK_TOLERANCE
        release_dead(self.ledger, now)
        leases = self.ledger.shards.leases(self.source.stream)
        for shard in [shard for shard in self._readings if leases[shard].wanted_by]:
            self._attempt(shard, lambda shard=shard: self._give_back(shard))
            self._not_before[shard] = now + 2 * self._third_of_lease
        ready = list(self._ready_shards())
        held = {shard.id: lease.owner for shard in ready if (lease := _live(leases.get(shard.id), now, latest_end))}
        owners = {owner for owner in held.values() if owner} | {self.owner}
        share = math.ceil(len(ready) / len(owners))
        for shard in _free(ready, held, self._not_before, now)[: max(share - len(self._readings), 0)]:
            self._attempt(shard, lambda shard=shard: self._take(shard))
        self._ask(held)

    def _ask(self, held: Mapping[str, str | None]) -> None:
        """Ask the batcher with the most shards, if it has two more than this one, for one of them."""
        by_owner: dict[str, list[str]] = {}
        for shard, owner in held.items():
            if owner and owner != self.owner:
                by_owner.setdefault(owner, []).append(shard)
        most = max(by_owner.values(), key=len, default=[])
        if len(most) > len(self._readings) + 1:
            self.ledger.shards.ask_for(self.source.stream, most[-1], self.owner)


def _live(lease: ShardLease | None, now: datetime, latest_end: datetime) -> ShardLease | None:
    """Return a lease if somebody holds it; one that ends too late was taken by a clock that is ahead."""
    is_live = lease and lease.owner and lease.expires_at and now < lease.expires_at <= latest_end
    return lease if is_live else None


def _free(
    ready: Sequence[Shard], held: Mapping[str, str | None], not_before: Mapping[str, datetime], now: datetime
) -> list[str]:
    return [shard.id for shard in ready if shard.id not in held and not_before.get(shard.id, now) <= now]
