"""Tests of the Kafka batcher, on a Kinesis stream in memory and everything else real."""
