"""A shard that a killed batcher held is taken by the next one at once."""

from datetime import timedelta
from pathlib import Path

from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.pipeline.kafka.memory_stream import FIRST, MemoryStream, a_batcher, a_depot
from cubic_ingestion_tests.processes import a_dead_holder


def test_the_shard_of_a_batcher_whose_process_was_killed_is_taken_at_once(tmp_path: Path) -> None:
    source = MemoryStream()
    source.put_all(["taps"] * 4)
    batcher = a_batcher(a_depot(tmp_path), source)
    batcher.ledger.shards.lease("fares", FIRST, a_dead_holder(), now=NOON, expires_at=NOON + timedelta(minutes=1))
    assert batcher.run_once().done.n_records == 4
