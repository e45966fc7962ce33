"""Every kind of column that Qlik Replicate declares: its random cells, and what Python itself makes of their text."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

_FIRST, _EPOCH, _LAST = map(datetime.fromisoformat, ("0001-01-01", "1970-01-01", "9999-12-31 23:59:59"))
_INTEGERS = {name: (-(2**bits), 2**bits) for name, bits in (("INT1", 7), ("INT2", 15), ("INT3", 23), ("INT4", 31))}
_NATURALS = {"UINT1": (0, 2**8), "UINT2": (0, 2**16), "UINT4": (0, 2**32)}
_BAD_FLOATS = ("", "x", "4 2", "--5", "0x1F", "NaN", "1e999", "1_0", "٣")
_BAD_NUMBERS = (*_BAD_FLOATS, "9" * 60)
_BAD_INTEGERS = (*_BAD_NUMBERS, "1.5", "1.0", "1e3", "99999999999999999999")

_BAD_MOMENTS = (
    *("", "x", "2022-03", "2022-02-30 00:00:00", "0000-01-01 00:00:00", "2022-03-04 24:00:00"),
    *("2022-03-04 01:02:03Z", " 2022-03-04 01:02:03", "2022-03-04 01:02:03."),
)


@dataclass(frozen=True)
class Kind:
    """A type of column."""

    declared: dict[str, Any]
    """Its entry in the sidecar, without a name."""
    cells: st.SearchStrategy[str] = field(repr=False)
    meaning: Callable[[str], object] = field(repr=False)
    """What Python makes of a cell; moments and times of day as nanoseconds."""
    arrow: Callable[[Sequence[str]], str] = field(repr=False)
    """The type that a column with these cells is to have."""
    misfits: tuple[str, ...] = field(default=(), repr=False)
    """Texts that are no such value."""
    is_quoted: bool = False


def as_read(column: "pa.ChunkedArray[Any]", kind: Kind) -> list[Any]:
    """Put what was read from Parquet into the terms of ``meaning``."""
    if isinstance(column.type, pa.TimestampType | pa.Time64Type):
        factor = {"us": 1_000, "ns": 1}[column.type.unit]
        return [value and value * factor for value in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_string(column.type):
        return [value if value is None else kind.meaning(value) for value in column.to_pylist()]
    return column.to_pylist()


def nanoseconds(text: str) -> int:
    """Count nanoseconds since 1970, or since midnight."""
    whole, _, fraction = text.partition(".")
    moment = datetime.fromisoformat(whole if " " in whole else f"1970-01-01 {whole}")
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9 + int(fraction.ljust(9, "0"))


def _plain(name: str, arrow: str, cells: st.SearchStrategy[str], meaning: Callable[[str], object], *bad: str) -> Kind:
    return Kind({"type": name}, cells, meaning, lambda _: arrow, bad)


def _integer(name: str, arrow: str, least: int, end: int) -> Kind:
    numbers = st.one_of(st.integers(least, end - 1), st.sampled_from([least, end - 1, 0]))
    return _plain(name, arrow, numbers.map(str), int, *_BAD_INTEGERS)


def _single(text: str) -> float:
    return struct.unpack("f", struct.pack("f", float(text)))[0]


def _text(name: str, *, cells: st.SearchStrategy[str] | None = None) -> Kind:
    letters = st.text(st.sampled_from("ab,;|'\"\\\n\r\t 0é🚋\x00\ufeff\u2028"), max_size=8)
    declared = {"type": name, "length": 100}
    words = st.one_of(letters, st.text(max_size=5)) if cells is None else cells
    return Kind(declared, words, str, lambda _: "string", is_quoted=True)


@st.composite
def _numeric(draw: st.DrawFn) -> Kind:
    precision, scale = draw(
        st.one_of(
            st.tuples(st.integers(1, 38), st.integers(0, 38)).filter(lambda pair: pair[1] <= pair[0]),
            st.tuples(st.integers(0, 45), st.integers(-6, 42)),
            st.sampled_from([(0, 0), (0, 4), (38, 0), (38, 38), (10, 0), (19, 0), (19, 4), (40, 10), (2, 5), (4, -2)]),
        )
    )
    digits = min(precision or 38, 38, 38 + scale)
    cells = st.one_of(st.integers(-(10**digits) + 1, 10**digits - 1), st.integers(-999, 999).map(lambda n: n % 10))
    too_long = "9" * (max(precision - scale, 0) + 1) if 0 < precision <= 38 and scale >= 0 else "9" * 39
    misfits = () if scale > 38 else (*_BAD_NUMBERS, too_long, f"0.{'0' * max(scale, 0)}1")
    return Kind(
        {"type": "NUMERIC", "precision": precision, "scale": scale},
        cells.map(lambda unscaled: _written(unscaled, scale)),
        Decimal,
        lambda _: _numeric_type(precision, scale),
        misfits,
    )


def _written(unscaled: int, scale: int) -> str:
    sign, digits = int(unscaled < 0), tuple(map(int, str(abs(unscaled))))
    return f"{Decimal((sign, digits, -scale)):f}"


def _numeric_type(precision: int, scale: int) -> str:
    if scale > 38:
        return "string"
    whole = 38 - max(scale, 0) if precision in {0, *range(39, 46)} else max(precision - scale, 0)
    return f"decimal128({min(whole + max(scale, 0), 38)}, {max(scale, 0)})"


@st.composite
def _datetime(draw: st.DrawFn) -> Kind:
    scale, is_near = draw(st.integers(0, 9)), draw(st.booleans())
    near = st.timedeltas(timedelta(days=-99_000), timedelta(days=99_000)).map(_EPOCH.__add__)
    far = st.one_of(st.datetimes(), st.sampled_from([_FIRST, _LAST]))
    seconds = (near if is_near else far).map(lambda moment: moment.isoformat(" ", "seconds"))
    most = draw(st.sampled_from([0, 3, 6, 7, 9])) if scale == 0 else min(scale, 9 if is_near else 6)
    fractions = st.text("0123456789", max_size=most).map(lambda digits: f".{digits}" if digits else "")
    return Kind(
        {"type": "DATETIME", "scale": scale},
        st.tuples(seconds, fractions).map("".join),
        nanoseconds,
        lambda cells: _moment_type(scale, cells),
        _BAD_MOMENTS,
    )


def _moment_type(scale: int, cells: Sequence[str]) -> str:
    is_fine = any(nanoseconds(cell) % 1_000 for cell in cells)
    is_far = any(not -(2**63) < nanoseconds(cell) < 2**63 for cell in cells)
    if 0 < scale <= 6 or (scale == 0 and not is_fine):
        return "timestamp[us]"
    if is_far:
        return "string" if is_fine else "timestamp[us]"
    return "timestamp[ns]"


_TIMES = st.tuples(st.times().map(lambda time: time.isoformat("seconds")), st.text("0123456789", max_size=9)).map(
    lambda parts: ".".join(filter(None, parts))
)
KINDS: st.SearchStrategy[Kind] = st.one_of(
    st.sampled_from(
        [
            _plain("BOOLEAN", "bool", st.sampled_from(["0", "1"]), lambda text: text == "1", "", "2", "yes", " 1"),
            *[_integer(name, "int64", *ends) for name, ends in (_INTEGERS | _NATURALS).items()],
            _integer("INT8", "int64", -(2**63), 2**63),
            _integer("UINT8", "uint64", 0, 2**64),
            _plain("REAL8", "double", st.floats(allow_nan=False, allow_infinity=False).map(repr), float, *_BAD_FLOATS),
            _plain(
                "REAL4",
                "float",
                st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
                _single,
                *_BAD_FLOATS,
            ),
            _plain("DATE", "date32[day]", st.dates().map(date.isoformat), date.fromisoformat, "", "2022-02-30", "x"),
            _plain("TIME", "time64[ns]", _TIMES, nanoseconds, "", "24:00:00", "1:02:03", "x"),
            *[_text(name) for name in ("STRING", "WSTRING", "CLOB", "NCLOB", "GEOMETRY", "nvarchar")],
            *[_text(name, cells=st.binary(max_size=6).map(bytes.hex)) for name in ("BYTES", "BLOB")],
        ]
    ),
    _numeric(),
    _datetime(),
)
TEXT = _text("CLOB")
CHANGE_SEQUENCE = Kind(
    {"type": "NUMERIC", "precision": 35},
    st.integers(0, 10**35 - 1).map(lambda number: f"{number:035}"),
    str,
    lambda _: "string",
)
"""What ``header__change_seq`` is declared as, and what it has to be kept as."""
