"""The full load of a generation: the rows of its LOAD files, read from Springboard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.ledger.records import StandingLoad
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import Keep, ObjectChangedError, ObjectMissingError
from cubic_ingestion.products.arrays import Positions
from cubic_ingestion.products.errors import LoadChangedError
from cubic_ingestion.products.law import COUNTER, Event
from cubic_ingestion.products.rows import Addition, free_names, united
from cubic_ingestion.products.scan import Keys, gathered, rows_of_keys
from cubic_ingestion.products.source import rows_of_all
from cubic_ingestion.streams.ods import load_counter


@dataclass(frozen=True, slots=True)
class FullLoad:
    """Reads the rows. They have the columns of a schema, and ``counter``."""

    platform: Platform
    additions: Sequence[Addition]
    """The LOAD files, in the order of the law: by time and counter."""

    @staticmethod
    def of(platform: Platform, additions: Sequence[Addition]) -> "FullLoad":
        """Put LOAD files in their order."""
        return FullLoad(platform, sorted(additions, key=lambda addition: _place(addition.load)))

    def rows(self, schema: pa.Schema, keep: Keep, load_ids: frozenset[int] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of all files, or of some.

        Raises:
            LoadChangedError: A file is another version by now.
        """
        wanted = [each for each in self.additions if load_ids is None or each.load.load_id in load_ids]
        for rows in rows_of_all(self.platform, wanted, schema):
            keep()
            yield self._with_counter(rows)

    def rows_of(self, keys: Keys, schema: pa.Schema, keep: Keep) -> pa.Table:
        """Return the rows of some keys.

        Raises:
            LoadChangedError: A file is another version by now, or cannot be read.
            TooMuchError: There are more than are folded in memory.
        """
        return self._with_counter(gathered(schema, self._pieces_of(keys, schema, keep)))

    def _pieces_of(self, keys: Keys, schema: pa.Schema, keep: Keep) -> Iterator[pa.Table]:
        key_schema = pa.schema([schema.field(name) for name in keys.columns])
        for addition in self.additions:
            keep()
            load = addition.load
            try:
                with self.platform.stores.springboard.open(load.location, addition.etag) as body:
                    parquet = pq.ParquetFile(body, pre_buffer=False)
                    names = {**free_names(parquet.schema_arrow.names), Event.LOAD: Event.LOAD}
                    pieces = rows_of_keys(parquet, keys, names, lambda rows: united(rows, key_schema))
                    for positions, rows in pieces:
                        yield united(_with_origin(rows, load, positions), schema)
            except (ObjectChangedError, ObjectMissingError, pa.ArrowException, OSError) as error:
                raise LoadChangedError(load.load_id, load.location) from error

    def no_rows(self, schema: pa.Schema) -> pa.Table:
        """Return no rows, with the columns that rows have."""
        return self._with_counter(schema.empty_table())

    def _with_counter(self, rows: pa.Table) -> pa.Table:
        ids = np.array([each.load.load_id for each in self.additions] or [0], np.int64)
        order = np.argsort(ids)
        places = order[np.searchsorted(ids, rows[Event.LOAD].to_numpy(), sorter=order)]
        return rows.append_column(COUNTER, pa.array(places, pa.int64()))


def _place(load: StandingLoad) -> tuple[object, ...]:
    segment, counter = load_counter(load.identifier) or ("", "")
    # Decimal and hexadecimal counters of any width are in this order.
    texts = (each.lstrip("0").upper() for each in (segment, counter))
    return load.source_at, *((len(text), text) for text in texts), load.load_id


def _with_origin(rows: pa.Table, load: StandingLoad, positions: Positions) -> pa.Table:
    times = pa.array([load.source_at.replace(tzinfo=None)] * rows.num_rows, pa.timestamp("us"))
    return rows.append_column(Event.FILE_TIME, times).append_column(Event.ROW_NUMBER, pa.array(positions + 1))
