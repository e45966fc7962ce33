"""Partitions of a table in the Glue Data Catalog: many a call, whatever another writer does meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cubic_ingestion.catalog.glue_definitions import Definition, is_as_wanted, partition_definition
from cubic_ingestion.catalog.glue_errors import ALREADY_EXISTS, NOT_FOUND
from cubic_ingestion.errors import CatalogUnavailableError
from cubic_ingestion.ports import CatalogPartition, Keep

GET_AT_ONCE, WRITE_AT_ONCE, DELETE_AT_ONCE = 1_000, 100, 25
"""What Glue takes in one call."""

ROUNDS = 5
"""How often something that others change at the same moment is looked at again."""

Values = tuple[str, ...]
Item = TypeVar("Item")


class GluePartitions:
    """The partitions of one table.

    Args:
        client: boto3's client of Glue.
        database: The database's name.
        table: The table's name.
    """

    def __init__(self, client: Any, database: str, table: str) -> None:  # noqa: ANN401 - boto3 makes clients at run time
        self._client = client
        self._table = table
        self._names = {"DatabaseName": database, "TableName": table}

    def put(self, partitions: Sequence[CatalogPartition], keep: Keep) -> None:
        """Create those that are missing, and update those that differ; the others cost nothing but a look.

        Args:
            partitions: The partitions.
            keep: Called before each call that writes.

        Raises:
            CatalogUnavailableError: Glue refused one, or others change them again and again.
        """
        for page in _pages(partitions, GET_AT_ONCE):
            pending = {partition.values: partition_definition(partition) for partition in page}
            for _ in range(ROUNDS):
                pending = self._put_page(pending, keep)
                if not pending:
                    break
            else:
                raise CatalogUnavailableError(self._table, f"others change the same {len(pending)} partitions")

    def remove(self, partitions: Sequence[Values], keep: Keep) -> None:
        """Delete partitions. A partition that does not exist is ignored. ``put`` describes ``keep``.

        Raises:
            CatalogUnavailableError: Glue refused one.
        """
        for page in _pages(partitions, DELETE_AT_ONCE):
            keep()
            wanted = [{"Values": list(values)} for values in page]
            answer = self._client.batch_delete_partition(**self._names, PartitionsToDelete=wanted)
            self._contested(answer, "PartitionValues", NOT_FOUND)

    def pages(self) -> Iterator[Sequence[Values]]:
        """Yield the values of all partitions, page by page."""
        pages = self._client.get_paginator("get_partitions").paginate(**self._names, ExcludeColumnSchema=True)
        yield from ([tuple(each["Values"]) for each in page["Partitions"]] for page in pages)

    def standing(self, wanted: Sequence[Values]) -> dict[Values, Definition]:
        """Read some partitions, at most ``GET_AT_ONCE``, also those that Glue leaves for a second call.

        Raises:
            CatalogUnavailableError: Glue leaves some unread.
        """
        found: dict[Values, Definition] = {}
        asked = [{"Values": list(values)} for values in wanted]
        for _ in range(ROUNDS):
            answer = self._client.batch_get_partition(**self._names, PartitionsToGet=asked)
            found |= {tuple(each["Values"]): each for each in answer["Partitions"]}
            asked = answer.get("UnprocessedKeys") or []
            if not asked:
                return found
        raise CatalogUnavailableError(self._table, f"Glue leaves {len(asked)} partitions unread")

    def _put_page(self, wanted: Mapping[Values, Definition], keep: Keep) -> dict[Values, Definition]:
        """Write what has to be written; returns what another writer created or deleted in between."""
        standing = self.standing(list(wanted))
        missing = [definition for values, definition in wanted.items() if values not in standing]
        differing = [
            definition
            for values, definition in wanted.items()
            if values in standing and not is_as_wanted(standing[values], definition)
        ]
        contested: set[Values] = set()
        for page in _pages(missing, WRITE_AT_ONCE):
            keep()
            answer = self._client.batch_create_partition(**self._names, PartitionInputList=list(page))
            contested |= self._contested(answer, "PartitionValues", ALREADY_EXISTS)
        for page in _pages(differing, WRITE_AT_ONCE):
            keep()
            entries = [{"PartitionValueList": each["Values"], "PartitionInput": each} for each in page]
            answer = self._client.batch_update_partition(**self._names, Entries=entries)
            contested |= self._contested(answer, "PartitionValueList", NOT_FOUND)
        return {values: definition for values, definition in wanted.items() if values in contested}

    def _contested(self, answer: Mapping[str, Any], field: str, expected: str) -> set[Values]:
        """Return the partitions of an answer with the error that another writer causes; any other is raised."""
        errors = answer.get("Errors", [])
        for each in errors:
            detail = each["ErrorDetail"]
            if detail["ErrorCode"] != expected:
                reason = f"{'/'.join(each[field])}: {detail['ErrorCode']}: {detail.get('ErrorMessage', '')}"
                raise CatalogUnavailableError(self._table, reason)
        return {tuple(each[field]) for each in errors}


def _pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
