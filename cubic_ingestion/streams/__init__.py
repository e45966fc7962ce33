"""The three streams behind one protocol: how each names, admits, decodes and files its objects."""

from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.streams.dmap import DmapStream
from cubic_ingestion.streams.kafka import KafkaStream
from cubic_ingestion.streams.ods import OdsStream
from cubic_ingestion.streams.protocol import Stream

__all__ = ["STREAMS", "Stream"]

STREAMS: dict[StreamName, Stream] = {
    StreamName.ODS: OdsStream(),
    StreamName.DMAP: DmapStream(),
    StreamName.KAFKA: KafkaStream(),
}
"""Every stream by its name."""
