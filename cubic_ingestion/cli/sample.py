"""The sample that ``cubic demo`` puts into Incoming: all three streams, with the oddities real files have."""

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

_BASE = "cubic/ods_qlik/EDW.SAMPLE/"
_CHANGES = "cubic/ods_qlik/EDW.SAMPLE__ct/"
_RIDERS = ("Ada 🚋", "Grace, H.", 'Edsger "E" W.', "Barbara\nL.", "Katherine 🔥🔥", "")

_COLUMNS = (
    ("SAMPLE_ID", "INT4", 1),
    ("SAMPLE_NAME", "STRING", 0),
    ("FARE", "NUMERIC", 0),
    ("EDW_UPDATED_DTM", "DATETIME", 0),
)
_HEADER_COLUMNS = (
    ("header__change_seq", "STRING", 0),
    ("header__change_oper", "STRING", 0),
    ("header__timestamp", "DATETIME", 0),
)


def sample_files() -> Mapping[str, bytes]:
    """Return the sample's files by key; the same bytes every time."""
    return {**_full_load(), **_changes(), **_dmap(), **_kafka()}


def _full_load() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for counter, ids in ((1, (1, 2, 3)), (2, (4, 5))):
        rows = [[str(i), _quoted(_RIDERS[i - 1]), f"{i}.50", f"2022-03-01 0{i}:20:30.444444{i}"] for i in ids]
        text = _csv(_COLUMNS, rows).removesuffix("\n")  # Qlik may leave out the last newline
        files[f"{_BASE}LOAD00{counter}.csv.gz"] = gzip.compress(text.encode(), mtime=0)
        files[f"{_BASE}LOAD00{counter}.dfm"] = _dfm(_COLUMNS, len(rows), f"2022-03-01T00:0{counter - 1}:00.000")
    return files


def _changes() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    columns = (*_HEADER_COLUMNS, *_COLUMNS)
    for number, (stamp, oper, i) in enumerate((("20220304-134556444", "U", 2), ("20220305-080000123", "I", 6)), 1):
        sequence = f"{stamp[:8]}{stamp[9:15]}00{number:019d}"
        moment = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}"
        rows = [[sequence, oper, f"{moment}.320000", str(i), _quoted(_RIDERS[i - 1]), f"{i}.75", f"{moment}.4444444"]]
        files[f"{_CHANGES}{stamp}.csv.gz"] = gzip.compress(_csv(columns, rows).encode(), mtime=0)
        files[f"{_CHANGES}{stamp}.dfm"] = _dfm(columns, len(rows), "")
    return files


def _dmap() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for offset in range(4):
        day = date(2022, 3, 4) + timedelta(days=offset)
        rows = "".join(f"{offset * 2 + i},Sample {offset * 2 + i},{5 * i}\n" for i in (1, 2))
        text = f"sample_id,sample_name,sample_count\n{rows}".encode()
        name = f"{day:%Y%m%d}.csv" if offset % 2 == 0 else f"agg_sample_{day:%Y%m%d}.csv.gz"
        files[f"cubic/dmap/agg_sample/{name}"] = gzip.compress(text, mtime=0) if name.endswith(".gz") else text
    return files


def _kafka() -> dict[str, bytes]:
    records = [
        {
            "event_id": f"e{i}",
            "event_type": "tap",
            "occurred_at": f"2022-03-04T10:0{i}:00.125",
            "amount": i + 0.5,
            "rider": {"name": _RIDERS[i], "passes": [i, i + 1]},
        }
        for i in range(3)
    ]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return {
        "cubic/kafka/sample/vytxeTZskVKR7C7WgdSP3d.json": lines.encode(),
        "cubic/kafka/sample/cu9RTTwQb3HrZqXRWdDZdA.json": json.dumps(records[:1]).encode(),
    }


def _csv(columns: Sequence[tuple[str, str, int]], rows: Sequence[Sequence[str]]) -> str:
    header = ",".join(name for name, _, _ in columns)
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _dfm(columns: Sequence[tuple[str, str, int]], n_rows: int, started_at: str) -> bytes:
    """Word a sidecar as Qlik does, down to its empty fields."""
    options = {"fieldDelimiter": ",", "recordDelimiter": "\n", "nullValue": "", "quoteChar": '"', "escapeChar": ""}
    described = [
        {"ordinal": n, "name": name, "type": kind, "primaryKeyPos": key}
        | ({"precision": 10, "scale": 2} if kind == "NUMERIC" else {})
        for n, (name, kind, key) in enumerate(columns, 1)
    ]
    sidecar = {
        "dfmVersion": "1.1",
        "fileInfo": {"startWriteTimestamp": started_at, "content": "data", "recordCount": n_rows, "errorCount": 0},
        "formatInfo": {"format": "delimited", "options": options},
        "dataInfo": {"sourceSchema": "EDW", "sourceTable": "SAMPLE", "columns": described},
    }
    return json.dumps(sidecar, indent=4).encode()
