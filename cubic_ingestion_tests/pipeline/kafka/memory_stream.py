"""A Kinesis stream in memory, and a batcher on it with a real database and real folders."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cubic_ingestion.bootstrap import batcher_limits
from cubic_ingestion.domain.batch import DEAD_LETTER_PREFIX, OPEN_PREFIX, Position
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.kafka import Batcher
from cubic_ingestion.ports import Page, Record, Shard
from cubic_ingestion_tests.builders import DEFAULTS, NOON
from cubic_ingestion_tests.databases import POSTGRES_LIMITS
from cubic_ingestion_tests.depot import Depot

TAPS = Table("cubic__kafka__taps", StreamName.KAFKA, "cubic/kafka/taps/", columns=(Column("n", "int64"),), topic="taps")
SALES = Table(
    "cubic__kafka__sales", StreamName.KAFKA, "cubic/kafka/sales/", columns=(Column("n", "int64"),), topic="sales"
)
FIRST = "shardId-000000000000"


@dataclass
class MemoryStream:
    """A Kinesis stream; a shard is a list of records."""

    stream: str = "fares"
    records: dict[str, list[Record]] = field(default_factory=dict[str, list[Record]])
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    closed: set[str] = field(default_factory=set[str])
    page_records: int = 1_000
    read: list[str] = field(default_factory=list[str])
    """Shards in the order in which they were first read."""
    trouble: Callable[[str], None] = lambda _: None
    """Called before each read of a shard."""

    def put(self, data: bytes, *, shard: str = FIRST, arrived_at: datetime = NOON) -> Position:
        """Add a record to a shard."""
        of_shard = self.records.setdefault(shard, [])
        position = Position(of_shard[-1].position.sequence_number + 3 if of_shard else 10**55)
        of_shard.append(Record(position, arrived_at, data))
        return position

    def put_all(self, topics: Iterable[str], *, shard: str = FIRST, arrived_at: datetime = NOON) -> None:
        """Add a record a topic, numbered."""
        for topic in topics:
            n = len(self.records.get(shard, ()))
            self.put(f'{{"topic": "{topic}", "n": {n}}}'.encode(), shard=shard, arrived_at=arrived_at)

    def shards(self) -> Sequence[Shard]:
        """Return all shards."""
        names = self.records.keys() | self.parents.keys()
        return [Shard(name, self.parents.get(name, ())) for name in sorted(names)]

    def reader(self, shard: str, after: str | None) -> "MemoryReader":
        """Read a shard from behind a sequence number."""
        return MemoryReader(self, shard, int(after) if after else -1)


@dataclass
class MemoryReader:
    """Reads a shard."""

    source: MemoryStream
    shard: str
    after: int

    def read(self) -> Page:
        """Return what follows."""
        self.source.trouble(self.shard)
        if self.shard not in self.source.read:
            self.source.read.append(self.shard)
        of_shard = self.source.records.get(self.shard, [])
        left = [record for record in of_shard if record.position.sequence_number > self.after]
        page = left[: self.source.page_records]
        if page:
            self.after = page[-1].position.sequence_number
        behind = left[-1].arrived_at - page[-1].arrived_at if page else timedelta(0)
        is_end = self.shard in self.source.closed and len(page) == len(left)
        return Page(page, str(self.after) if page else None, int(behind.total_seconds() * 1_000), is_end)


def a_depot(root: Path) -> Depot:
    """Make a depot with two Kafka tables; its clock stands at noon."""
    depot = Depot.build(root, [TAPS, SALES])
    depot.clock.moment = NOON
    return depot


def a_batcher(depot: Depot, source: MemoryStream, *, owner: str = "one", **cut: int) -> Batcher:
    """Build a batcher on a depot's database and folders; ``cut`` changes when a batch is full."""
    usual = batcher_limits(DEFAULTS)
    return Batcher(
        source=source,
        ledger=Ledger(make_engine(f"sqlite:///{depot.root / 'metadata.sqlite'}", POSTGRES_LIMITS), depot.clock.now),
        stores=depot.platform.stores,
        tables=depot.platform.tables,
        clock=depot.clock,
        limits=replace(usual, cut=replace(usual.cut, **({"max_records": 4} | cut))),
        owner=owner,
    )


def records_of(depot: Depot, zone: str = "incoming", prefix: str = "cubic/kafka/") -> dict[str, list[dict[str, Any]]]:
    """Return the records of each file, by its key."""
    return {
        key: [json.loads(line) for line in (depot.root / zone / key).read_text().splitlines()]
        for key in depot.files(zone)
        if key.startswith(prefix) and not key.rpartition("/")[2].startswith(".")
    }


def dead_letters(depot: Depot) -> list[dict[str, Any]]:
    """Return all dead letters."""
    return [letter for letters in records_of(depot, "error", DEAD_LETTER_PREFIX).values() for letter in letters]


def parts(depot: Depot) -> list[str]:
    """Return the keys of the parts of open batches."""
    return [key for key in depot.files("incoming") if key.startswith(OPEN_PREFIX)]


def numbers(files: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[int]:
    """Return the numbers of all records, sorted."""
    return sorted(record["n"] for records in files.values() for record in records)
