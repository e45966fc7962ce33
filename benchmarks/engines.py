"""Each engine's way from one file to Parquet, with its own best settings; a function returns the rows it wrote."""

import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow.parquet as pq

from benchmarks.files import COLUMNS, EVENT, numeric

if TYPE_CHECKING:
    from polars import Expr

Value = TypeVar("Value")
TIMESTAMPS = "%Y-%m-%d %H:%M:%S%.f"


def duckdb(source: Path, target: Path, *, typed: bool) -> int:
    """COPY from read_csv with every column declared; order kept, as a load keeps it."""
    import duckdb as engine

    names = {"INT8": "BIGINT", "INT4": "BIGINT", "REAL8": "DOUBLE", "DATETIME": "TIMESTAMP", "STRING": "VARCHAR"}
    kinds = [(name, kind.replace("NUMERIC", "DECIMAL")) for name, kind, *_ in COLUMNS]
    columns = {name: names.get(kind, kind) if typed else "VARCHAR" for name, kind in kinds}
    query = (
        f"COPY (SELECT * FROM read_csv('{source}', auto_detect = false, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = '', allow_quoted_nulls = false, columns = {columns})) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    with engine.connect() as connection:
        return int(connection.execute(query).fetchall()[0][0])


def polars(source: Path, target: Path, *, typed: bool) -> int:
    """scan_csv as text, cast strictly (it reads no seven digits itself), sink_parquet."""
    import polars as pl

    columns = [_polars_cast(name, kind) for name, kind, *_ in COLUMNS] if typed else []
    frame = pl.scan_csv(source, schema={name: pl.String for name, *_ in COLUMNS}).with_columns(columns)
    frame.sink_parquet(target, compression="zstd", compression_level=1)
    return pq.read_metadata(target).num_rows


def _polars_cast(name: str, kind: str) -> "Expr":
    import polars as pl

    column = pl.col(name)
    digits = numeric(kind)
    if kind == "DATETIME":
        return column.str.slice(0, 26).str.to_datetime(TIMESTAMPS, time_unit="us")
    if kind == "DATE":
        return column.str.to_date("%Y-%m-%d")
    if kind == "BOOLEAN":
        return column.replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean)
    if digits:
        return column.cast(pl.Decimal(*digits))
    return column.cast({"INT4": pl.Int64, "INT8": pl.Int64, "REAL8": pl.Float64}.get(kind, pl.String))


def pandas(source: Path, target: Path, *, typed: bool) -> int:
    """read_csv and to_parquet of the whole file."""
    import pandas as pd
    import pyarrow as pa

    dtypes = {"INT4": "Int64", "INT8": "Int64", "REAL8": "float64", "BOOLEAN": "boolean"} if typed else {}
    frame = pd.read_csv(
        source,
        dtype={name: dtypes.get(kind, "str") for name, kind, *_ in COLUMNS},
        keep_default_na=False,
        na_values=[""],
    )
    for name, kind, *_ in COLUMNS if typed else ():
        if kind == "DATETIME":
            frame[name] = pd.to_datetime(frame[name], format="ISO8601")
        elif kind == "DATE":
            frame[name] = pd.to_datetime(frame[name], format="%Y-%m-%d").dt.date
        elif digits := numeric(kind):
            decimals = pd.ArrowDtype(pa.decimal128(*digits))
            frame[name] = frame[name].astype(pd.ArrowDtype(pa.string())).astype(decimals)
    frame.to_parquet(target, compression="zstd", compression_level=1, index=False)
    return len(frame)


def spark(source: Path, target: Path, *, typed: bool) -> int:
    """Text in, a Python function per typed cell, Parquet out: what a Glue job does."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, udf

    session = SparkSession.builder.master("local[*]").config("spark.driver.memory", "4g").getOrCreate()
    casts = {"INT4": (int, "bigint"), "INT8": (int, "bigint"), "REAL8": (float, "double")}
    casts |= {"DATETIME": (_moment, "timestamp"), "DATE": (_day, "date"), "BOOLEAN": ("true".__eq__, "boolean")}
    frame = session.read.csv(
        str(source),
        schema=", ".join(f"{name} string" for name, *_ in COLUMNS),
        header=True,
        quote='"',
        escape='"',
        multiLine=True,
    )
    columns = []
    for name, kind, *_ in COLUMNS:
        cast, sql = casts.get(kind, (None, None)) if typed else (None, None)
        column = udf(_or_null(cast), sql)(col(name)) if cast else col(name)
        columns.append(
            (column.cast(kind.replace("NUMERIC", "decimal")) if typed and numeric(kind) else column).alias(name)
        )
    frame.select(*columns).write.mode("overwrite").option("compression", "zstd").parquet(str(target))
    session.stop()
    n_rows = sum(pq.read_metadata(path).num_rows for path in target.glob("*.parquet"))
    shutil.rmtree(target)
    return n_rows


def _or_null(cast: Callable[[str], Value]) -> Callable[[str | None], Value | None]:
    return lambda text: None if text is None else cast(text)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:26])


def _day(text: str) -> date:
    return date.fromisoformat(text)


def polars_json(source: Path, target: Path, *, typed: bool) -> int:
    """read_ndjson to the same columns, nested values as text, and write_parquet."""
    import polars as pl

    del typed
    types = {"int64": pl.Int64, "bool": pl.Boolean, "decimal128(10, 2)": pl.Float64}
    frame = pl.read_ndjson(source, schema={name: types.get(kind, pl.String) for name, kind in EVENT.items()})
    frame = frame.with_columns(pl.col("balance").cast(pl.Decimal(10, 2)))
    frame = frame.with_columns(pl.col("occurredat").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us"))
    frame.write_parquet(target, compression="zstd", compression_level=1)
    return len(frame)
