"""Files of an ODS table with a key, as Qlik Replicate writes them: LOAD files with unsorted keys, and changes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv

from benchmarks.files import Numbers, Texts
from cubic_ingestion.domain.table import StreamName, Table

FILE_ROWS = 1_000_000
STATUS = ["APPROVED", "DECLINED", "PENDING", "SETTLED"]
MEDIA = ["SmartCard", "Bankcard", "Mobile", "Paper"]
COLUMNS = (
    ("ID", "INT8", 0, 0),
    ("PATRON_ID", "INT8", 0, 0),
    ("DEVICE_KEY", "INT4", 0, 0),
    ("FARE_AMT", "NUMERIC", 10, 2),
    ("BALANCE_AMT", "NUMERIC", 18, 2),
    ("POSTED_DTM", "DATETIME", 0, 6),
    ("IS_TEST", "BOOLEAN", 0, 0),
    ("STATUS_CD", "STRING", 0, 0),
    ("MEDIA_TYPE", "STRING", 0, 0),
    ("SERIAL_NBR", "STRING", 0, 0),
    ("NOTE", "STRING", 0, 0),
)
"""Name, the vendor's type, precision and scale."""
HEADER = (
    ("header__change_seq", "STRING", 0, 0),
    ("header__change_oper", "STRING", 0, 0),
    ("header__timestamp", "DATETIME", 0, 6),
)
START = np.datetime64("2022-03-02T00:00:00", "us")


def keyed_tables(number: int = 0) -> list[Table]:
    """Declare a table and its change table; the ``.dfm`` names the key."""
    name, prefix = f"cubic__ods_qlik__bench_k{number}", f"cubic/ods_qlik/BENCH.K{number}"
    return [
        Table(name, StreamName.ODS, f"{prefix}/"),
        Table(f"{name}__ct", StreamName.ODS, f"{prefix}__ct/", base=name),
    ]


def values(ids: Numbers, draw: np.random.Generator) -> pa.Table:
    """Draw the rows of some keys."""
    n = len(ids)

    def money(high: int, kind: pa.DataType) -> Texts:
        return pa.array(draw.integers(0, high, n) / 100).cast(kind)

    def word(words: Sequence[str]) -> Texts:
        return pa.array(words).take(pa.array(draw.integers(0, len(words), n)))

    columns = [
        pa.array(ids, pa.int64()),
        pa.array(draw.integers(10**11, 10**11 + 4 * 10**7, n)),
        pa.array(draw.integers(1, 9_000, n), pa.int32()),
        money(1_200, pa.decimal128(10, 2)),
        money(5_000_000, pa.decimal128(18, 2)),
        pa.array(START - draw.integers(0, 10**13, n).astype("timedelta64[us]")),
        pa.array(draw.random(n) < 0.02),
        word(STATUS),
        word(MEDIA),
        pc.utf8_lpad(pa.array(draw.integers(0, 10**13, n)).cast(pa.string()), 16, "0"),
        word([f"Stored value load {number}" for number in range(800)]),
    ]
    return pa.Table.from_arrays(columns, [name.lower() for name, *_ in COLUMNS])


def changes(ids: Numbers, operations: Sequence[str] | Numbers, first: int, draw: np.random.Generator) -> pa.Table:
    """Draw one change of each key, in the order of their sequences, which begin with a number."""
    numbers = pa.array(np.arange(first, first + len(ids))).cast(pa.string())
    header = [
        pc.binary_join_element_wise("2022030200000000", pc.utf8_lpad(numbers, 19, "0"), ""),
        pa.array(operations, pa.string()),
        pa.array(START + np.arange(first, first + len(ids)).astype("timedelta64[us]")),
    ]
    rows = values(ids, draw)
    return pa.Table.from_arrays([*header, *rows.columns], [*(name for name, *_ in HEADER), *rows.column_names])


def put_load(home: Path, table: Table, ids: Numbers, draw: np.random.Generator) -> int:
    """Let LOAD files of some keys land; returns their bytes."""
    starts = range(0, len(ids), FILE_ROWS)
    return sum(
        _put(home, table, f"LOAD{number:08d}", values(ids[start : start + FILE_ROWS], draw))
        for number, start in enumerate(starts, 1)
    )


def put_changes(home: Path, table: Table, rows: pa.Table, n_files: int, *, second: int) -> None:
    """Let changes land, cut into files of a second of the day and those that follow it."""
    step = -(-rows.num_rows // n_files)
    for number, start in enumerate(range(0, rows.num_rows, step)):
        at = second + number
        name = f"20220302-{at // 3600:02d}{at // 60 % 60:02d}{at % 60:02d}000"
        _put(home, table, name, rows.slice(start, step))


def _put(home: Path, table: Table, stem: str, rows: pa.Table) -> int:
    folder = home / "incoming" / table.prefix
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.csv"
    csv.write_csv(rows, path, csv.WriteOptions(quoting_style="needed"))
    (folder / f"{stem}.dfm").write_text(json.dumps(_sidecar(rows)))
    return path.stat().st_size


def _sidecar(rows: pa.Table) -> dict[str, Any]:
    known = {name.lower(): (kind, precision, scale) for name, kind, precision, scale in (*HEADER, *COLUMNS)}
    columns: list[dict[str, Any]] = []
    for ordinal, name in enumerate(rows.column_names, 1):
        kind, precision, scale = known[name]
        column = {"ordinal": ordinal, "name": name, "type": kind, "precision": precision, "scale": scale}
        columns.append({**column, "primaryKeyPos": int(name == "id")})
    info = {"startWriteTimestamp": "2022-03-01T00:00:00.000", "recordCount": rows.num_rows, "errorCount": 0}
    return {"fileInfo": info, "dataInfo": {"columns": columns}}
