"""One full load for each family of the vendor's types, with the values that other systems are known to spoil."""

import gzip
import json
from typing import Any

_DIALECT = {"fieldDelimiter": ",", "nullValue": "", "quoteChar": '"', "escapeChar": ""}


def _sidecar(columns: str, n_rows: int, line_end: str) -> bytes:
    """Write a ``.dfm`` for columns given as ``NAME TYPE precision scale``, one a line."""
    document = {
        "dfmVersion": "1.1",
        "fileInfo": {"startWriteTimestamp": "2022-03-04T00:00:00.000Z", "recordCount": n_rows, "errorCount": 0},
        "formatInfo": {"format": "delimited", "options": _DIALECT | {"recordDelimiter": line_end}},
        "dataInfo": {"columns": [_column(*line.split()) for line in columns.strip().splitlines()]},
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _column(name: str, qlik_type: str, precision: str = "0", scale: str = "0") -> dict[str, Any]:
    return {"name": name, "type": qlik_type, "length": 0, "precision": int(precision), "scale": int(scale)}


_WHOLE_NUMBERS = """\
TINY,SMALL,MIDDLE,PLAIN,LARGE,U_TINY,U_SMALL,U_PLAIN,U_LARGE
127,32767,8388607,2147483647,9223372036854775807,255,65535,4294967295,18446744073709551615
-128,-32768,-8388608,-2147483648,-9223372036854775808,0,0,0,9223372036854775808
,,,,,,,,
"""
_DECIMALS = """\
FARE,SERIAL,SHARE,BARE_NUMBER,WIDE,FINE,HUNDREDS,FINEST
2.40,99999999999999999999999999999999999999,.99999999999999999999999999999999999999,12345678901234567890,1.5,0.00012,1200,0.0000000000000000000000000000000000000001
-99999999.99,-12345678901234567890123456789012345678,0,0,-1234567890123456789012345678901234.5678,-.00099,-999900,1
,,,,,,,
"""
_MOMENTS = (
    "DAY,CLOCK,UNSTATED,MILLIS,MICROS,TICKS,NANOS,END_DTM\r\n"
    "2024-02-29,23:59:59,2022-03-04 10:12:13.7654321,2022-03-04 10:12:13.765,2022-03-04 10:12:13.765432,"
    "2022-03-04 10:12:13.4444444,2022-03-04 10:12:13.123456789,9999-12-31 00:00:00.0000000\r\n"
    "9999-12-31,00:00:00.0000001,1970-01-01 00:00:00,9999-12-31 23:59:59.999,9999-12-31 23:59:59.999999,"
    "1969-12-31 23:59:59.9999999,1700-01-01 00:00:00,2022-03-04 10:12:13.765432\r\n"
    "0001-01-01,01:02:03.123456789,,0001-01-01 00:00:00,0001-01-01 00:00:00.000001,,,0001-01-01 00:00:00\r\n"
)
_TEXTS = (
    "header__change_seq,NAME,WIDE_NAME,NOTE,WIDE_NOTE,TOKEN,PICTURE,SHAPE\n"
    '00000000000000000000000000000000007,"Zoë 🚋🚋","地下鉄","line one\nline two","a\r\nb","00ff","","POINT (1 2)"\n'
    '20220304101112130000000000000000007,"","say ""hi"", she said"," padded ","007",,"cafe","NULL"\n'
    ',,,"\n","""",,,'
)
_FLAGS_AND_FLOATS = """\
IS_OPEN,IS_PAID,RATIO,EXACT_RATIO
1,true,3.4028235e38,1.7976931348623157e308
0,FALSE,1.17549435e-38,5e-324
,,0.1,0.1
"""

FAMILIES: dict[str, tuple[str, str]] = {
    "whole_numbers": (
        (
            "TINY INT1\nSMALL INT2\nMIDDLE INT3\nPLAIN INT4\nLARGE INT8\n"
            "U_TINY UINT1\nU_SMALL UINT2\nU_PLAIN UINT4\nU_LARGE UINT8"
        ),
        _WHOLE_NUMBERS,
    ),
    "decimals": (
        (
            "FARE NUMERIC 10 2\nSERIAL NUMERIC 38 0\nSHARE NUMERIC 38 38\nBARE_NUMBER NUMERIC\n"
            "WIDE NUMERIC 45 4\nFINE NUMERIC 2 5\nHUNDREDS NUMERIC 4 -2\nFINEST NUMERIC 38 40"
        ),
        _DECIMALS,
    ),
    "moments": (
        (
            "DAY DATE\nCLOCK TIME\nUNSTATED DATETIME\nMILLIS DATETIME 0 3\nMICROS DATETIME 0 6\n"
            "TICKS DATETIME 0 7\nNANOS DATETIME 0 9\nEND_DTM DATETIME 0 7"
        ),
        _MOMENTS,
    ),
    "texts": (
        (
            "header__change_seq NUMERIC 35\nNAME STRING\nWIDE_NAME WSTRING\nNOTE CLOB\nWIDE_NOTE NCLOB\n"
            "TOKEN BYTES\nPICTURE BLOB\nSHAPE GEOMETRY"
        ),
        _TEXTS,
    ),
    "flags_and_floats": ("IS_OPEN BOOLEAN\nIS_PAID BOOLEAN\nRATIO REAL4\nEXACT_RATIO REAL8", _FLAGS_AND_FLOATS),
}
"""By name: columns as ``NAME TYPE precision scale``, and the file. Each file has three records."""


def family_files() -> dict[str, bytes]:
    """Return the files and their sidecars by name."""
    files: dict[str, bytes] = {}
    for name, (columns, text) in FAMILIES.items():
        files[f"{name}.csv.gz"] = gzip.compress(text.encode(), mtime=0)
        files[f"{name}.dfm"] = _sidecar(columns, 3, "\r\n" if text.endswith("\r\n") else "\n")
    return files
