"""Names of Kafka batches."""

from cubic_ingestion.streams.kafka import KafkaStream
from cubic_ingestion_tests.builders import NOON, a_table

KAFKA = KafkaStream()


def test_a_batch_is_its_own_partition() -> None:
    assert KAFKA.accepts(a_table(), "vytxeTZskVKR7C7WgdSP3d.json")
    partition = KAFKA.partition_key(a_table(), "vytxeTZskVKR7C7WgdSP3d.json.gz", NOON, None)
    assert partition == "vytxeTZskVKR7C7WgdSP3d"
