"""The column types of Qlik Replicate, and what each becomes.

Source of the names: the ``dataInfo.columns`` of ``.dfm`` sidecars, and Qlik's list of Replicate data types.
"""

from cubic_ingestion.parsing.arrow_types import MAX_DECIMAL_DIGITS

_FIXED = {
    "BOOLEAN": "bool",
    "INT1": "int64",
    "INT2": "int64",
    "INT3": "int64",
    "INT4": "int64",
    "INT8": "int64",
    "UINT1": "int64",
    "UINT2": "int64",
    "UINT4": "int64",
    "UINT8": "uint64",
    "REAL4": "float32",
    "REAL8": "float64",
    "DATE": "date32",
    "TIME": "time64[ns]",
    "STRING": "string",
    "WSTRING": "string",
    "CLOB": "string",
    "NCLOB": "string",
    "BYTES": "string",
    "BLOB": "string",
}
_WITH_LENGTH = frozenset({"STRING", "WSTRING", "BYTES"})
_MICROSECOND_DIGITS = 6


def is_known(qlik_type: str) -> bool:
    """Say whether a type name is one of Qlik's; others are kept as strings."""
    return qlik_type in _FIXED or qlik_type in {"NUMERIC", "DATETIME"}


def qlik_type_text(qlik_type: str, precision: int = 0, scale: int = 0) -> str:
    """Choose the column type for one of Qlik's.

    Integers of every width become ``int64``, so that a column widened at the source keeps its type. ``BYTES`` and
    ``BLOB`` stay the hexadecimal text that Qlik writes. A type that is not known becomes ``string``.

    Args:
        qlik_type: Upper case, without its arguments.
        precision: Digits of a ``NUMERIC``; 0 or more than 38 becomes 38, the most that Arrow and Parquet hold.
        scale: Digits after the point of a ``NUMERIC``, or of the seconds of a ``DATETIME``. One that states none
            begins as microseconds, which reach every year; the vendor's files may have seven digits under
            ``scale: 0``, and a file that does is read in nanoseconds (docs/adr/0008).

    >>> qlik_type_text("NUMERIC", 19, 4), qlik_type_text("DATETIME", scale=6), qlik_type_text("DATETIME")
    ('decimal128(19, 4)', 'timestamp[us]', 'timestamp[us]')
    """
    if qlik_type == "NUMERIC":
        return _numeric(precision, scale)
    if qlik_type == "DATETIME":
        return "timestamp[us]" if scale <= _MICROSECOND_DIGITS else "timestamp[ns]"
    return _FIXED.get(qlik_type, "string")


def qlik_source_type(qlik_type: str, precision: int = 0, scale: int = 0, length: int = 0) -> str:
    """Write one of Qlik's types with the arguments that matter to it.

    >>> qlik_source_type("NUMERIC", 19, 4), qlik_source_type("STRING", length=35), qlik_source_type("INT4", length=10)
    ('NUMERIC(19,4)', 'STRING(35)', 'INT4')
    """
    if qlik_type == "NUMERIC":
        return f"NUMERIC({precision},{scale})"
    if qlik_type == "DATETIME" and scale:
        return f"DATETIME({scale})"
    return f"{qlik_type}({length})" if qlik_type in _WITH_LENGTH and length else qlik_type


def _numeric(precision: int, scale: int) -> str:
    """Fit a NUMERIC into a decimal128; a scale no decimal128 holds leaves the digits as text.

    Oracle allows a negative scale (whole tens, hundreds) and a scale above the precision (``0.00123``).
    """
    if scale > MAX_DECIMAL_DIGITS:
        return "string"
    if not 0 < precision <= MAX_DECIMAL_DIGITS:
        return f"decimal128({MAX_DECIMAL_DIGITS}, {max(scale, 0)})"
    if scale < 0:
        return f"decimal128({min(precision - scale, MAX_DECIMAL_DIGITS)}, 0)"
    return f"decimal128({max(precision, scale)}, {scale})"
