"""A wire to moto's Glue that counts calls and may answer in its place, and entries to send over it."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
from botocore.awsrequest import AWSResponse

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.ports import CatalogEntry, CatalogPartition
from cubic_ingestion_tests.builders import a_table

TABLE = a_table()
SCHEMA = pa.schema([("sample_id", pa.int64()), ("load_id", pa.int64())])


def an_entry(n_partitions: int = 1, schema: pa.Schema = SCHEMA, **changes: Any) -> CatalogEntry:
    """Describe a table on S3 with some partitions."""
    location = "s3://springboard/cubic/dmap/agg_sample/"
    partitions = [
        CatalogPartition((f"{number}.csv",), f"{location}identifier={number}.csv/", schema)
        for number in range(n_partitions)
    ]
    entry = CatalogEntry(TABLE, location, schema, partition_names=("identifier",), partitions=partitions)
    return replace(entry, **changes)


def definition(glue: Any, database: str, name: str = TABLE.name) -> dict[str, Any]:
    """Return a table as Glue has it."""
    return glue.get_table(DatabaseName=database, Name=name)["Table"]


class Wire:
    """What a catalog's client sends, and what it is answered instead of Glue's own words."""

    def __init__(self, catalog: GlueTableCatalog) -> None:
        self.calls: Counter[str] = Counter()
        self._answers: dict[str, list[Any]] = {}
        events: Any = catalog._client.meta.events  # pyright: ignore[reportPrivateUsage] - botocore's hook is there alone
        events.register("before-send.glue", self._before_send)

    def answer(self, operation: str, *answers: Any) -> None:
        """Answer the next calls of an operation so: a dict is a body, a string an error's code, an exception is raised.

        A function is called first, and then Glue is asked.
        """
        self._answers[operation] = list(answers)

    def _before_send(self, request: Any, **_: Any) -> AWSResponse | None:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        self.calls[operation] += 1
        waiting = self._answers.get(operation)
        if not waiting:
            return None
        given = waiting.pop(0)
        if isinstance(given, Exception):
            raise given
        if callable(given):
            given()
            return None
        if isinstance(given, str):
            return _response(400, {"__type": given, "Message": "as the test wants"})
        return _response(200, given)


class _Body(list[bytes]):
    """A body that is there already."""

    def stream(self) -> Iterator[bytes]:
        """Read it."""
        return iter(self)


def _response(status: int, body: dict[str, Any]) -> AWSResponse:
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    return AWSResponse("http://glue", status, headers, _Body([json.dumps(body).encode()]))
