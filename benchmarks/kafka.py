"""``make kafka``: the batcher's speed, and the proof that each record is in exactly one file.

Shards are filled with events of some 300 bytes on two topics. With ``--http`` they are read from moto's Kinesis, a
process of its own beside the batcher; without it from memory, so that the batcher alone is measured.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.aws import moto_server
from benchmarks.project import open_platform
from cubic_ingestion.bootstrap import batcher_limits, postgres_limits
from cubic_ingestion.domain.batch import Position
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.fetchers.kinesis_record_source import KinesisRecordSource
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.kafka import Batcher
from cubic_ingestion.ports import Page, Record, RecordSource, Shard
from cubic_ingestion.settings import read_settings

N_SHARDS = 3
STREAM = "benchmark"
TABLES = [
    Table(f"cubic__kafka__{name}", StreamName.KAFKA, f"cubic/kafka/{name}/", (Column("n", "int64"),), topic=name)
    for name in ("taps", "sales")
]
_PUT_RECORDS = 500
_PAGE_RECORDS = 10_000


@dataclass
class MemoryShards:
    """A Kinesis stream in memory."""

    shards_by_id: dict[str, list[Record]]
    stream: str = STREAM

    def shards(self) -> Sequence[Shard]:
        """Return all shards."""
        return [Shard(name) for name in self.shards_by_id]

    def reader(self, shard: str, after: str | None) -> "MemoryPages":
        """Read a shard; positions are counted from 1."""
        return MemoryPages(self.shards_by_id[shard], int(after or 0))


@dataclass
class MemoryPages:
    """Reads a shard to its end."""

    records: Sequence[Record]
    start: int

    def read(self) -> Page:
        """Return the next page."""
        page = self.records[self.start : self.start + _PAGE_RECORDS]
        self.start += len(page)
        return Page(page, str(self.start) if page else None, 0, self.start >= len(self.records))


def event(number: int) -> bytes:
    """Return an event with a number of its own."""
    body = {"topic": TABLES[number % 2].topic, "n": number, "device": {"id": number % 997, "line": "Red"}}
    return json.dumps(body | {"at": "2022-03-04T13:45:56.444Z", "note": "x" * 180}).encode()


def in_memory(n_records: int) -> RecordSource:
    """Fill shards in memory."""
    now = datetime.now(UTC)
    return MemoryShards(
        {
            f"shardId-{shard:012}": [
                Record(Position(n + 1), now, event(shard * n_records + n)) for n in range(n_records)
            ]
            for shard in range(N_SHARDS)
        }
    )


@contextmanager
def over_http(n_records: int, port: int) -> Generator[RecordSource]:
    """Start moto's Kinesis, and fill it."""
    with moto_server(port):
        source = KinesisRecordSource(STREAM)
        source.client.create_stream(StreamName=STREAM, ShardCount=N_SHARDS)
        for start in range(0, N_SHARDS * n_records, _PUT_RECORDS):
            numbers = range(start, min(start + _PUT_RECORDS, N_SHARDS * n_records))
            rows = [{"Data": event(n), "PartitionKey": str(n)} for n in numbers]
            source.client.put_records(StreamName=STREAM, Records=rows)
        yield source


def measure(source: RecordSource, home: Path) -> tuple[float, Iterator[list[int]]]:
    """Read all shards to what is in them; returns the seconds, and the numbers in each file and part."""
    platform = open_platform(home, TABLES)
    batcher = Batcher(
        source=source,
        ledger=Ledger(make_engine(f"sqlite:///{home / 'metadata.sqlite'}", postgres_limits(read_settings()))),
        stores=platform.stores,
        tables=platform.tables,
        clock=platform.clock,
        limits=batcher_limits(read_settings()),
        owner="benchmark",
    )
    started = time.perf_counter()
    batcher.run_once()
    seconds = time.perf_counter() - started
    files = [*(home / "incoming").rglob("*.json"), *(home / "incoming").rglob("*.jsonl")]
    return seconds, ([json.loads(line)["n"] for line in path.open("rb")] for path in files)


def main() -> int:
    """Measure, prove, print."""
    parser = argparse.ArgumentParser(prog="make kafka", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records a shard")
    parser.add_argument("--http", action="store_true", help="read from moto's Kinesis over HTTP")
    parser.add_argument("--port", type=int, default=0, help="of moto's server; 0: any")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, ExitStack() as opened:
        by_http = opened.enter_context(over_http(options.records, options.port)) if options.http else None
        source = by_http or in_memory(options.records)
        seconds, files = measure(source, Path(home))
        sizes: list[int] = []
        seen: Counter[int] = Counter()
        for numbers in files:
            sizes.append(len(numbers))
            seen.update(numbers)
    total = N_SHARDS * options.records
    is_exact = seen == Counter(range(total))
    print(f"{total:,} records of {N_SHARDS} shards in {seconds:.1f} s: {total / seconds:,.0f} records/s")
    print(f"{len(sizes)} files, the largest of {max(sizes):,} records; each record in one file: {is_exact}")
    return 0 if is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
