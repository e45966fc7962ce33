"""Fetch, for Kafka: records of a Kinesis stream become batches in Incoming, each record in exactly one of them."""

from cubic_ingestion.pipeline.kafka.batcher import Batcher, BatcherLimits, BatcherReport

__all__ = ["Batcher", "BatcherLimits", "BatcherReport"]
