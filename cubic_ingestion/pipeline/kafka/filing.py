"""Files of batches, and parts of those that are still open: how they are named, written and removed."""

import re
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import shortuuid

from cubic_ingestion.domain.batch import DEAD_LETTER_PREFIX, DEAD_LETTERS, OPEN_PREFIX, Part, Position
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.kafka.cutting import Gathering
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore, Stores

_PIECE_BYTES = 1 << 20
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/mbta/cubic-ingestion/kafka-batch")
"""Of the ids of batches; another one would give the batches of a replay other names."""

_FORSAKEN_AFTER = timedelta(days=1)
_NOT_PLAIN = re.compile(r"[^\w.-]", re.ASCII)


def batch_id(stream: str, shard: str, table: str, first: Position, last: Position) -> str:
    """Return a batch's id, the same whenever the same records are batched again.

    >>> batch_id("events", "shardId-000000000000", "cubic__kafka__sample", Position(1), Position(9))
    'WiVbxzDrwxXMKB3CjXyxGU'
    """
    name = "\n".join((stream, shard, table, str(first), str(last)))
    return shortuuid.encode(uuid.uuid5(_NAMESPACE, name))


@dataclass(frozen=True, slots=True)
class Filing:
    """Where the batches of one shard go."""

    stream: str
    shard: str
    stores: Stores
    ledger: Ledger
    prefixes: dict[str, str]
    """Prefix in Incoming of each table with a topic, by the table's name."""

    def key(self, gathering: Gathering) -> str:
        """Return the key of a batch's file."""
        table, last = gathering.table, gathering.end or gathering.last
        name = batch_id(self.stream, self.shard, table, gathering.first, last)
        prefix = DEAD_LETTER_PREFIX if table == DEAD_LETTERS else self.prefixes[table]
        return f"{prefix}{name}.json"

    def write(self, gathering: Gathering, key: str) -> bool:
        """Write a batch's file, unless it was written before; says whether it was not.

        It may have been ingested and moved away since, so the loads on record are asked too. They are asked last: a
        file is registered before it is moved.
        """
        store = self.stores.error if gathering.table == DEAD_LETTERS else self.stores.incoming
        if not gathering.n_records or store.head(key) or self.ledger.queries.versions(key):
            return False
        with store.writer(key) as out:
            for part in gathering.parts:
                self._copy_part(part, out.file.write)
            out.file.writelines(gathering.lines)
            out.commit()
        return True

    def write_part(self, gathering: Gathering) -> None:
        """Put the records of an open batch that are not in parts into one more."""
        if not gathering.lines or gathering.lines_from is None:
            return
        data = b"".join(gathering.lines)
        name = f"{_file_name(gathering.lines_from)}_{_file_name(gathering.last)}.jsonl"
        key = f"{self._open_prefix}{gathering.table}/{name}"
        with self.stores.incoming.writer(key) as out:
            out.file.write(data)
            out.commit()
        gathering.parts = (*gathering.parts, Part(key, gathering.last, len(gathering.lines), len(data)))
        gathering.lines.clear()

    def remove(self, keys: Collection[str]) -> None:
        """Remove parts whose batches are written."""
        for key in keys:
            _remove(self.stores.incoming, key)

    def sweep(self, kept: Collection[str], now: datetime) -> None:
        """Remove the parts that a batcher wrote before it died, and that never came on record.

        Only old ones: whoever held the shard before may be late, and still be about to put one on record.
        """
        for page in self.stores.incoming.list(self._open_prefix):
            for version in page:
                if version.key not in kept and now - version.modified_at > _FORSAKEN_AFTER:
                    _remove(self.stores.incoming, version.key)

    @property
    def _open_prefix(self) -> str:
        return f"{OPEN_PREFIX}{_NOT_PLAIN.sub('_', self.stream)}/{self.shard}/"

    def _copy_part(self, part: Part, write: Callable[[bytes], int]) -> None:
        """Copy one part into a file.

        Raises:
            StoreUnavailableError: It is not as it was written.
        """
        n_bytes = 0
        try:
            with self.stores.incoming.open(part.key) as body:
                while piece := body.read(_PIECE_BYTES):
                    n_bytes += write(piece)
        except ObjectMissingError as error:
            raise StoreUnavailableError(part.key, "a part of an open batch is gone") from error
        if n_bytes != part.n_bytes:
            raise StoreUnavailableError(part.key, f"it ended after {n_bytes} of {part.n_bytes} bytes")


def table_prefixes(tables: Collection[Table]) -> dict[str, str]:
    """Return the prefixes of the tables that have a topic."""
    return {table.name: table.prefix for table in tables if table.topic}


def _file_name(position: Position) -> str:
    return str(position).replace(":", "-")


def _remove(store: ObjectStore, key: str) -> None:
    standing = store.head(key)
    if standing is not None:
        with suppress(ObjectChangedError):
            store.delete(key, standing.etag)
