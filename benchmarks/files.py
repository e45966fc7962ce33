"""The input of the benchmarks: an ODS-like table of 30 columns, and a batch of nested events; the same every time."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

LEVEL = 6
"""gzip's own default, and what the vendor's files have."""
BLOCK_ROWS = 20_000
"""Rows that are made; a larger file repeats them, each time with ids of its own."""

Make = Callable[[random.Random], str]
START = datetime.fromisoformat("2021-12-01")
"""Without a zone, as the vendor's timestamps are."""


def _integer(low: int, high: int) -> Make:
    return lambda draw: str(draw.randint(low, high))


def _decimal(high: int, scale: int) -> Make:
    return lambda draw: f"{draw.randint(-5, high)}.{draw.randrange(10**scale):0{scale}}"


def _float(low: float, high: float) -> Make:
    return lambda draw: repr(round(draw.uniform(low, high), 6))


def _word(*words: str) -> Make:
    return lambda draw: draw.choice(words)


def _timestamp(draw: random.Random) -> str:
    moment = START + timedelta(seconds=draw.randrange(7_776_000))
    return f"{moment:%Y-%m-%d %H:%M:%S}.{draw.randrange(10_000_000):07}"


def _date(draw: random.Random) -> str:
    return f"{START + timedelta(days=draw.randrange(3_650)):%Y-%m-%d}"


def _free_text(draw: random.Random) -> str:
    number = draw.randrange(400)
    kind = draw.random()
    if kind < 0.03:
        return f'"Line one {number}\nline two, with comma"'
    if kind < 0.05:
        return f'"Passenger said ""OK {number}"" to agent"'
    return f'"Tap {number} 🔥 café"' if kind < 0.07 else f'"Stored value load, amount due {number}.00"'


_BIG, _KEY, _SMALL = _integer(10**11, 10**11 + 4 * 10**7), _integer(1, 9_000), _integer(1, 20)
COLUMNS: tuple[tuple[str, str, Make, float], ...] = (
    ("TXN_ID", "INT8", lambda _: "", 0),
    ("PATRON_ID", "INT8", _BIG, 0),
    ("ACCOUNT_ID", "INT8", _BIG, 0.1),
    *((f"{name}_KEY", "INT4", make, 0.05) for name, make in (("DEVICE", _KEY), ("STOP", _KEY), ("ROUTE", _SMALL))),
    ("OPERATOR_KEY", "INT4", _SMALL, 0),
    ("SEQ_NBR", "INT4", _integer(0, 1_000), 0),
    ("FARE_AMT", "NUMERIC(10,2)", _decimal(12, 2), 0),
    ("TAX_AMT", "NUMERIC(18,4)", _decimal(3, 4), 0.2),
    ("BALANCE_AMT", "NUMERIC(18,2)", _decimal(50_000, 2), 0),
    ("DISTANCE", "REAL8", _float(0, 60), 0.1),
    ("LATITUDE", "REAL8", _float(42, 42.6), 0.05),
    ("LONGITUDE", "REAL8", _float(-71.5, -70.8), 0.05),
    *((f"{name}_DTM", "DATETIME", _timestamp, null) for name, null in (("TXN", 0), ("POSTED", 0.05), ("SETTLED", 0.4))),
    *((f"EDW_{name}_DTM", "DATETIME", _timestamp, 0) for name in ("INSERTED", "UPDATED")),
    ("BUSINESS_DATE", "DATE", _date, 0),
    ("EXPIRY_DATE", "DATE", _date, 0.5),
    ("IS_TEST", "BOOLEAN", _word("true", *["false"] * 49), 0),
    ("STATUS_CD", "STRING", _word("APPROVED", "DECLINED", "PENDING", "SETTLED"), 0),
    ("MEDIA_TYPE", "STRING", _word("SmartCard", "Bankcard", "Mobile", "Paper"), 0),
    ("SERIAL_NBR", "STRING", lambda draw: f"{draw.randrange(10**13):016}", 0),
    ("STOP_NAME", "STRING", _word('"Park St, Inbound"', '"Harvard Sq, Lobby"', '"Kendall Station, Outbound"'), 0),
    ("DESCRIPTION", "STRING", _free_text, 0.3),
    ("REASON_CD", "STRING", lambda draw: f"RC{draw.randrange(60):03}", 0.8),
    ("SOURCE_FILE", "STRING", lambda draw: f"EDW_TXN_{draw.randrange(300):05}.dat", 0),
    ("TXN_UUID", "STRING", lambda draw: f"{draw.getrandbits(128):032x}", 0),
)
"""Name, the vendor's type, how a value is made, and the share of NULLs."""


def write_csv(path: Path, n_bytes: int) -> int:
    """Write ``path``, CSV in gzip of about so many bytes inflated, and its ``.dfm``; return the number of rows."""
    draw = random.Random(7)
    tails = [_tail(draw) for _ in range(min(BLOCK_ROWS, max(1, n_bytes // 350)))]
    n_rows = written = 0
    with gzip.open(path, "wb", LEVEL) as out:
        written += out.write((",".join(name for name, *_ in COLUMNS) + "\n").encode())
        while written < n_bytes:
            mean = sum(map(len, tails)) / len(tails) + 12
            some = tails[: max(1, int((n_bytes - written) / mean))]
            lines = [f"{5_000_000_000 + 3 * (n_rows + at)},{tail}" for at, tail in enumerate(some)]
            written += out.write(("\n".join(lines) + "\n").encode())
            n_rows += len(some)
    path.with_name(path.name.removesuffix(".csv.gz") + ".dfm").write_text(json.dumps(_sidecar(n_rows)))
    return n_rows


def _tail(draw: random.Random) -> str:
    return ",".join("" if draw.random() < null else make(draw) for _, _, make, null in COLUMNS[1:])


def _sidecar(n_rows: int) -> dict[str, Any]:
    columns: list[dict[str, Any]] = []
    for ordinal, (name, kind, *_) in enumerate(COLUMNS, 1):
        precision, scale = numeric(kind) or (0, 0)
        kind_name = kind.partition("(")[0]
        # Seven digits are stated: what it costs to find them in the file is no part of the comparison.
        scale = 7 if kind_name == "DATETIME" else scale
        columns.append({"ordinal": ordinal, "name": name, "type": kind_name, "precision": precision, "scale": scale})
    started = "2022-03-01T00:00:00.000"
    info = {"startWriteTimestamp": started, "recordCount": n_rows, "errorCount": 0}
    return {"fileInfo": info, "dataInfo": {"columns": columns}}


def numeric(kind: str) -> tuple[int, int] | None:
    """Return precision and scale of a ``NUMERIC(p,s)``; None for any other type."""
    name, _, digits = kind.rstrip(")").partition("(")
    precision, _, scale = digits.partition(",")
    return (int(precision), int(scale)) if name == "NUMERIC" else None


EVENT = {
    "eventid": "string",
    "eventtype": "string",
    "sequence": "int64",
    "occurredat": "timestamp[us]",
    "amount": "int64",
    "balance": "decimal128(10, 2)",
    "test": "bool",
    "device": "json",
    "rider": "json",
    "legs": "json",
    "note": "string",
}
"""Columns of an event, in the order of its fields."""


def write_json(path: Path, n_records: int) -> int:
    """Write events, one a line; return their number."""
    draw = random.Random(11)
    with path.open("w", encoding="utf-8") as out:
        out.writelines(
            json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in _events(draw, n_records)
        )
    return n_records


def _events(draw: random.Random, n_records: int) -> Iterator[dict[str, Any]]:
    for number in range(n_records):
        stop = {"id": draw.randint(1, 9_000), "name": f"Stop {number % 900}{draw.choice(['', ' 🔥', ' é'])}"}
        place = {"lat": round(draw.uniform(42, 42.6), 6), "lon": round(draw.uniform(-71.5, -70.8), 6), "stop": stop}
        legs = [
            {"route": str(draw.randint(1, 110)), "fare": {"cents": draw.randint(0, 1_200), "product": "adult"}}
            for _ in range(draw.randint(0, 3))
        ]
        yield {
            "eventid": f"{draw.getrandbits(128):032x}",
            "eventtype": draw.choice(["tap", "load", "inspection"]),
            "sequence": 10_000_000 + number,
            "occurredat": f"2024-03-{draw.randint(1, 31):02}T10:20:30.{draw.randrange(10**6):06}",
            "amount": draw.randint(0, 5_000),
            "balance": round(draw.uniform(-10, 300), 2),
            "test": draw.random() < 0.01,
            "device": {
                "id": f"VAL-{draw.randint(1, 5_000):05}",
                "model": draw.choice(["TR4", None]),
                "location": place,
            },
            "rider": {"id": draw.getrandbits(40), "tags": [f"t{draw.randint(0, 30)}" for _ in range(3)]},
            "legs": legs,
            "note": None if draw.random() < 0.7 else 'free "text", line\nbreak',
        }
