"""The input of the benchmarks: an ODS-like table of 30 columns, and a batch of nested events; the same every time."""

import gzip
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

LEVEL = 6
"""gzip's own default, and what the vendor's files have."""
BLOCK_ROWS = 50_000
"""Rows made at a time, each block anew: a file that repeats itself flatters whoever keeps dictionaries."""

Numbers: TypeAlias = npt.NDArray[Any]
Texts: TypeAlias = pa.StringArray
Make: TypeAlias = Callable[[np.random.Generator, int], Texts]
"""Draws the fields of a column, shape ``(n_rows,)``, as they stand in the file."""
START = np.datetime64("2021-12-01", "s")
"""Without a zone, as the vendor's timestamps are."""
TICKS = 10_000_000
"""Of 100 ns, in a second."""


def _text(values: Numbers) -> Texts:
    return pc.cast(pa.array(values), pa.string())


def _joined(separator: str, *parts: Texts) -> Texts:
    return cast("Any", pc.binary_join_element_wise)(*parts, separator)


def _digits(values: Numbers, width: int) -> Texts:
    return pc.utf8_lpad(_text(values), width, "0")


def _integer(low: int, high: int) -> Make:
    return lambda draw, n: _text(draw.integers(low, high, n))


def _decimal(high: int, scale: int) -> Make:
    return lambda draw, n: _joined(
        ".", _text(draw.integers(-5, high, n)), _digits(draw.integers(0, 10**scale, n), scale)
    )


def _float(low: float, high: float) -> Make:
    return lambda draw, n: _text(np.round(draw.uniform(low, high, n), 6))


def _word(words: Sequence[str]) -> Make:
    return lambda draw, n: pa.array(words, pa.string()).take(pa.array(draw.integers(0, len(words), n)))


def _timestamps(ticks: Numbers) -> Texts:
    """Write ticks of 100 ns since ``START``, seven digits each, as SQL Server's ``datetime2`` has them."""
    return _joined(".", _text(START + ticks // TICKS), _digits(ticks % TICKS, 7))


def _transacted(draw: np.random.Generator, n: int) -> Texts:
    """Draw transactions in their order, in milliseconds."""
    return _timestamps((draw.integers(0, 7_000_000_000) + np.cumsum(draw.integers(0, 600, n))) * (TICKS // 1_000))


def _posted(draw: np.random.Generator, n: int) -> Texts:
    return _timestamps(draw.integers(0, 7_776_000 * TICKS, n))


def _settled(draw: np.random.Generator, n: int) -> Texts:
    return _timestamps(draw.integers(0, 90, n) * 86_400 * TICKS)


def _loaded(draw: np.random.Generator, n: int) -> Texts:
    """Draw the moments of a warehouse's batches, 4,000 rows each."""
    return _timestamps(np.repeat(draw.integers(0, 7_776_000 * TICKS, n // 4_000 + 1), 4_000)[:n])


def _date(draw: np.random.Generator, n: int) -> Texts:
    return _text((START + 86_400 * draw.integers(0, 3_650, n)).astype("datetime64[D]"))


def _serial(draw: np.random.Generator, n: int) -> Texts:
    return _digits(draw.integers(0, 10**13, n), 16)


def _uuid(draw: np.random.Generator, n: int) -> Texts:
    digits = draw.bytes(16 * n).hex()
    whole = pa.array([digits[at : at + 32] for at in range(0, 32 * n, 32)])
    return _joined(
        "-", *(pc.utf8_slice_codeunits(whole, *part) for part in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
    )


DESCRIPTIONS = [
    *(f'"Stored value load, amount due {number}.00"' for number in range(744)),
    *(f'"Line one {number}\nline two, with comma"' for number in range(24)),
    *(f'"Passenger said ""OK {number}"" to agent"' for number in range(16)),
    *(f'"Tap {number} 🔥 café"' for number in range(16)),
]
STOPS = [
    f'"{name} {kind}, {way}"'
    for name in ("Park", "State", "Harvard")
    for kind in ("St", "Sq")
    for way in ("Lobby", "Outbound")
]
_BIG, _KEY, _SMALL = _integer(10**11, 10**11 + 4 * 10**7), _integer(1, 9_000), _integer(1, 20)
COLUMNS: tuple[tuple[str, str, Make, float], ...] = (
    ("TXN_ID", "INT8", _BIG, 0),
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
    ("TXN_DTM", "DATETIME", _transacted, 0),
    ("POSTED_DTM", "DATETIME", _posted, 0.05),
    ("SETTLED_DTM", "DATETIME", _settled, 0.4),
    *((f"EDW_{name}_DTM", "DATETIME", _loaded, 0) for name in ("INSERTED", "UPDATED")),
    ("BUSINESS_DATE", "DATE", _date, 0),
    ("EXPIRY_DATE", "DATE", _date, 0.5),
    ("IS_TEST", "BOOLEAN", _word(["true", *["false"] * 49]), 0),
    ("STATUS_CD", "STRING", _word(["APPROVED", "DECLINED", "PENDING", "SETTLED"]), 0),
    ("MEDIA_TYPE", "STRING", _word(["SmartCard", "Bankcard", "Mobile", "Paper"]), 0),
    ("SERIAL_NBR", "STRING", _serial, 0),
    ("STOP_NAME", "STRING", _word(STOPS), 0),
    ("DESCRIPTION", "STRING", _word(DESCRIPTIONS), 0.3),
    ("REASON_CD", "STRING", _word([f"RC{number:03}" for number in range(60)]), 0.8),
    ("SOURCE_FILE", "STRING", _word([f"EDW_TXN_{number:05}.dat" for number in range(300)]), 0),
    ("TXN_UUID", "STRING", _uuid, 0),
)
"""Name, the vendor's type, how its fields are made, and the share of NULLs."""


def write_csv(path: Path, n_bytes: int) -> int:
    """Write ``path``, CSV in gzip of about so many bytes inflated, and its ``.dfm``; return the number of rows."""
    draw = np.random.default_rng(7)
    n_rows = written = 0
    with gzip.open(path, "wb", LEVEL) as out:
        written += out.write((",".join(name for name, *_ in COLUMNS) + "\n").encode())
        while written < n_bytes:
            mean = written / n_rows if n_rows else 330
            n = min(BLOCK_ROWS, max(1, round((n_bytes - written) / mean)))
            fields = [_fields(draw, n, make, null) for _, _, make, null in COLUMNS]
            written += out.write(("\n".join(_joined(",", *fields).to_pylist()) + "\n").encode())
            n_rows += n
    path.with_name(path.name.removesuffix(".csv.gz") + ".dfm").write_text(json.dumps(_sidecar(n_rows)))
    return n_rows


def _fields(draw: np.random.Generator, n: int, make: Make, null: float) -> Texts:
    return pc.if_else(pa.array(draw.random(n) < null), pa.scalar(""), make(draw, n)) if null else make(draw, n)


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
            json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events(draw, n_records)
        )
    return n_records


def events(draw: random.Random, n_records: int) -> Iterator[dict[str, Any]]:
    """Yield events."""
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
