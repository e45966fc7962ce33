"""Frames: what a person's own asset returns, as rows by partition."""

from collections.abc import Collection, Mapping, Sequence

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

PARTITION_EXPR = "partition_expr"
"""Metadata of an asset: the column whose text is the partition key of a row. Dagster's own database IO managers use
the same name."""
_SHOWN = 3


def frames_by_partition(
    obj: object, keys: Sequence[str], partition_column: str | None
) -> Mapping[str | None, pa.RecordBatchReader]:
    """Read what an asset returned.

    Args:
        obj: A ``pa.Table``, ``pa.RecordBatchReader`` or ``pd.DataFrame``; or a dict of them by partition key.
        keys: The partitions that the run materialises; none for an asset without partitions.
        partition_column: The column that holds the partition key; needed where one frame has several partitions.

    Returns:
        The rows by partition key, in the order of ``keys``; None is the key of an asset without partitions.

    Raises:
        DagsterInvariantViolationError: It is something else, or rows cannot be assigned to a partition.
    """
    if isinstance(obj, Mapping):
        return _checked(obj, keys)
    if len(keys) <= 1:
        return {keys[0] if keys else None: _reader(obj)}
    if partition_column is None:
        raise dg.DagsterInvariantViolationError(
            f"One frame came for {len(keys)} partitions ({keys[0]} … {keys[-1]}), and each partition has a file of its "
            "own. Return a dict from partition key to frame, or name the column with the partition key in the asset's "
            f'metadata: metadata={{"{PARTITION_EXPR}": "…"}}.'
        )
    return _split(_reader(obj).read_all(), keys, partition_column)


def _checked(frames: Mapping[object, object], keys: Sequence[str]) -> Mapping[str | None, pa.RecordBatchReader]:
    if set(frames) != set(keys):
        raise dg.DagsterInvariantViolationError(
            f"The asset returned frames for {_list(frames)}, and the run materialises {_list(keys)}."
        )
    return {key: _reader(frames[key]) for key in keys}


def _split(table: pa.Table, keys: Sequence[str], column: str) -> Mapping[str | None, pa.RecordBatchReader]:
    """Split a frame by a column; a partition without rows gets a frame without rows."""
    if column not in table.column_names:
        raise dg.DagsterInvariantViolationError(
            f"'{PARTITION_EXPR}' names the column '{column}'; the frame has {_list(table.column_names)}."
        )
    texts = pc.cast(table.column(column), pa.string())
    foreign = pc.unique(texts.filter(pc.invert(pc.is_in(texts, pa.array(keys, pa.string()))))).to_pylist()
    if foreign:
        raise dg.DagsterInvariantViolationError(
            f"Column '{column}' has values that are none of the partitions of this run: {_list(foreign)}."
        )
    return {key: table.filter(pc.is_in(texts, pa.array([key]))).to_reader() for key in keys}


def _list(values: Collection[object]) -> str:
    shown = [repr(value) for value in values]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "") or "nothing"


def _reader(obj: object) -> pa.RecordBatchReader:
    if isinstance(obj, pa.RecordBatchReader):
        return obj
    return (obj if isinstance(obj, pa.Table) else _from_pandas(obj)).to_reader()


def _from_pandas(obj: object) -> pa.Table:
    """Convert a frame; its index is only row labels, or else the frame is refused."""
    import pandas as pd  # noqa: PLC0415 - only for those that write frames; every process imports this module

    if not isinstance(obj, pd.DataFrame):
        raise dg.DagsterInvariantViolationError(
            f"Springboard takes a pa.Table, pa.RecordBatchReader or pd.DataFrame, not a {type(obj).__name__}."
        )
    names = [name for name in obj.index.names if name is not None]
    if names or isinstance(obj.index, pd.MultiIndex):
        raise dg.DagsterInvariantViolationError(
            f"The frame's index ({_list(names) if names else 'of several levels'}) is no column and would be lost. "
            "Call reset_index(), or groupby(…, as_index=False)."
        )
    return pa.Table.from_pandas(obj, preserve_index=False)
