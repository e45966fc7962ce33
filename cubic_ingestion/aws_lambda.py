"""AWS Lambda's entry point for the Kafka batcher: ``cubic_ingestion.aws_lambda.batch_kinesis``.

Two triggers call it. An event source mapping of the Kinesis stream (one concurrent batch a shard, report batch item
failures) hands over records; open batches are kept between calls as parts in Incoming, as they are by every other way
to run the batcher. A schedule of some minutes, whose event has no records, cuts the batches whose hour is over while
nothing arrives (docs/adr/0013).
"""

import logging
from collections.abc import Mapping
from typing import Any

from cubic_ingestion.bootstrap import SharedPlatform, build_batcher
from cubic_ingestion.errors import RetriableError
from cubic_ingestion.fetchers.kinesis_event import pages_of
from cubic_ingestion.settings import read_settings

_LOG = logging.getLogger(__name__)

PLATFORM = SharedPlatform()
"""Of the container: AWS Lambda calls it many times."""


def batch_kinesis(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Take an event's records, or cut what is overdue.

    Returns:
        The first record that could not be taken, from which AWS Lambda tries again; none if all went well.
    """
    del context
    batcher = build_batcher(read_settings(), PLATFORM.get(), _LOG.warning)
    if "Records" not in event:
        report = batcher.cut_overdue()
        return {"files": report.done.n_files, "problems": list(report.problems)}
    for shard, first_sequence_number, page in pages_of(event):
        try:
            batcher.take_page(shard, page)
        except RetriableError as error:
            _LOG.warning("%s", error)
            return {"batchItemFailures": [{"itemIdentifier": first_sequence_number}]}
    return {"batchItemFailures": []}
