"""Names of Kafka batches."""

import pytest

from cubic_ingestion.streams.kafka import KafkaStream
from cubic_ingestion_tests.builders import NOON, a_table

KAFKA = KafkaStream()


@pytest.mark.parametrize(
    ("name", "partition"),
    [("vytxeTZskVKR7C7WgdSP3d.json", "vytxeTZskVKR7C7WgdSP3d"), ("a,b[c]|d:e.json", "a%2Cb%5Bc%5D%7Cd%3Ae")],
)
def test_a_batch_is_its_own_partition_without_what_the_ui_splits_on(name: str, partition: str) -> None:
    assert KAFKA.accepts(a_table(), name)
    assert KAFKA.partition_key(a_table(), name, NOON, None) == partition
