"""The change log of a generation: the rows of ``__changes`` that are of one snapshot, as one merge has left them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cubic_ingestion.domain.product import MERGE, Product
from cubic_ingestion.ledger.records import HeldLoad
from cubic_ingestion.parsing.stored_types import from_stored
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import Keep, WarehouseFile
from cubic_ingestion.products.errors import LogBehindError, LogMovedOnError
from cubic_ingestion.products.log_files import open_file
from cubic_ingestion.products.rows import BATCH_ROWS, product_schema, united
from cubic_ingestion.products.scan import Keys, gathered, rows_of_keys

_LOOKS = 5


@dataclass(frozen=True, slots=True)
class ChangeLog:
    """Reads the rows."""

    platform: Platform
    product: Product
    generation: str
    loads: dict[int, HeldLoad]
    """Loads of the generation whose rows it has; only those that were asked for, if some were."""
    files: Sequence[WarehouseFile]
    own: pa.Schema
    """Columns of ``__changes``, in the types of Springboard."""

    @staticmethod
    def at_present(
        platform: Platform, product: Product, generation: str, load_ids: Sequence[int] | None = None
    ) -> "ChangeLog":
        """Open the log as the last merge on record has left it.

        Args:
            platform: The platform.
            product: The ``__changes``.
            generation: The snapshot.
            load_ids: Loads to look up; all if None.

        Raises:
            LogBehindError: A column is text since a load that it has not taken in yet.
            LogMovedOnError: It is merged so fast that it cannot be read.
        """
        products, source = platform.ledger.products, product.source.name
        for _ in range(_LOOKS):
            merge = products.last_merge(source)
            held = products.held(source, load_ids)
            if products.last_merge(source) != merge:
                continue
            table = platform.warehouse.open(product.name)
            of_merge = [
                each for each in (table.snapshots() if table else ()) if each.properties.get(MERGE) == str(merge)
            ]
            if merge and (table is None or not of_merge):
                continue
            files = table.files(of_merge[-1].id) if table and of_merge else ()
            loads = {load_id: load for load_id, load in held.items() if load.place[0] == generation}
            own = [file for file in files if file.partition[0] == generation]
            schema = product_schema(product, platform.ledger.schemas.known(source))
            if table and _becomes_text(table.schema, schema):
                raise LogBehindError(product.name)
            return ChangeLog(platform, product, generation, loads, own, schema)
        raise LogMovedOnError(product.name)

    def rows(self, schema: pa.Schema, keep: Keep) -> Iterator[pa.Table]:
        """Yield all rows, with some of the columns.

        Args:
            schema: Columns, in types that hold the values; one that the log has not is NULL.
            keep: Called for each piece.
        """
        for file in self.files:
            with open_file(self.platform.warehouse, file) as parquet:
                columns = [name for name in parquet.schema_arrow.names if _is_wanted(name, schema)]
                for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
                    keep()
                    yield self._typed(pa.Table.from_batches([batch]), schema)

    def rows_of(self, keys: Keys, schema: pa.Schema, keep: Keep) -> pa.Table:
        """Return the rows of some keys.

        Raises:
            TooMuchError: There are more than are folded in memory.
        """
        return gathered(schema, self._pieces_of(keys, schema, keep))

    def _pieces_of(self, keys: Keys, schema: pa.Schema, keep: Keep) -> Iterator[pa.Table]:
        key_schema = pa.schema([schema.field(name) for name in keys.columns])
        for file in self.files:
            keep()
            with open_file(self.platform.warehouse, file) as parquet:
                names = {name: name for name in parquet.schema_arrow.names}
                for _, rows in rows_of_keys(parquet, keys, names, lambda rows: self._typed(rows, key_schema)):
                    yield self._typed(rows, schema)

    def _typed(self, rows: pa.Table, schema: pa.Schema) -> pa.Table:
        names = [name for name in schema.names if name in self.own.names]
        return united(from_stored(rows, pa.schema([self.own.field(name) for name in names])), schema)


def _becomes_text(stored: pa.Schema, own: pa.Schema) -> bool:
    """Say whether a column is text now and stored as something else: only a merge of the log writes it as views do."""
    return any(
        pa.types.is_string(field.type) and field.name in stored.names and stored.field(field.name).type != field.type
        for field in own
    )


def _is_wanted(name: str, schema: pa.Schema) -> bool:
    return name in schema.names or name.removesuffix("__ns") in schema.names
