"""Checks of keys that read rows: whether each key is in ``__current`` once, and which are twice in the LOAD files."""

from collections.abc import Iterator

import pyarrow as pa

from cubic_ingestion.ports import keep_nothing
from cubic_ingestion.products.folded_state import FoldedState
from cubic_ingestion.products.key_order import is_increasing
from cubic_ingestion.products.workspace import open_workspace

_KEYS, _COUNT = "load_keys", pa.schema([pa.field("n", pa.int64())])
_TWICE = f"SELECT count(*) AS n FROM (SELECT *, count(*) AS times FROM {_KEYS} GROUP BY ALL) WHERE times > 1"  # noqa: S608 - all constant


def is_key_unique(state: FoldedState) -> bool:
    """Say whether each key is in the product once, and the rows are in its order.

    One row group after another is read, and of it only the key columns.
    """
    key, last = state.shape.law.key, None
    for rows in state.keys_in_order():
        together = rows if last is None else pa.concat_tables([last, rows])
        if not is_increasing(together.combine_chunks(), key):
            return False
        last = rows.slice(rows.num_rows - 1)
    return True


def n_duplicate_keys(state: FoldedState) -> int:
    """Count the keys that occur more than once in the LOAD files; DuckDB sorts them, on disk.

    Raises:
        LoadChangedError: A LOAD file is another one by now.
    """
    shape = state.shape
    schema = pa.schema([shape.rows.field(name) for name in shape.law.key])
    with open_workspace() as workspace:
        workspace.store(_KEYS, schema, _only(schema, state.load_rows(keep_nothing)))
        return int(workspace.rows(_TWICE, _COUNT)["n"][0].as_py())


def _only(schema: pa.Schema, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    return (rows.select(schema.names) for rows in pieces)
