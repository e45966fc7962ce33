"""For each kind of type: what its text looks like, and how pyarrow is to parse it."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, Literal, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

_INTEGER, _NATURAL = r"[+-]?[0-9]+", r"\+?[0-9]+"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_DATE, _TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
_TIME_OF_DAY = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{0,9})?)?"
_TIMESTAMP = rf"{_DATE}(?:[ T](?:[0-9]{{2}}|{_TIME}))?"
_BLANKS = "[ \\t]*"
Unit = Literal["s", "ms", "us", "ns"]
_ANY_DAY = "1970-01-01 "
_SECONDS_LENGTH = len("YYYY-MM-DD HH:MM:SS")
_TIME_LENGTH = len("HH:MM")
_KEPT_LENGTH = {"s": _SECONDS_LENGTH, "ms": _SECONDS_LENGTH + 4, "us": _SECONDS_LENGTH + 7}
_LOST_ZEROS = {"s": r"\A(?:\.0{1,9})?\z", "ms": r"\A0{0,6}\z", "us": r"\A0{0,3}\z"}
_DECIMAL = re.compile(_NUMBER)
_MAX_DIGITS = 38
"""Digits that a decimal128 holds."""
_DAYS_TO_YEAR_1 = -719_162
_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}

Values: TypeAlias = "pa.Array[Any]"
"""An array of any type."""
Parse = Callable[[pa.StringArray], Values]
"""Parses text; raises ``pa.ArrowInvalid`` if a value cannot be parsed or does not fit."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How text becomes values of one type."""

    type: pa.DataType
    grammar: str
    """What a value looks like, as a regular expression (RE2), but for blanks around it."""
    parse: Parse
    suspects: bytes = b""
    """Bytes without which ``parse`` accepts nothing outside the grammar."""
    min_length: int = 0
    """Characters below which ``parse`` may accept something outside the grammar."""
    is_nanoseconds: bool = False
    may_have_blanks: bool = False
    """Blanks and tabs around a value, a plus sign before it and a point after it count for nothing."""

    def pattern(self) -> str:
        """Return what a text that has a value looks like, as a regular expression (RE2)."""
        around = _BLANKS if self.may_have_blanks else ""
        return rf"\A{around}(?:{self.grammar}){around}\z"

    def bare(self, strings: pa.StringArray) -> pa.StringArray:
        """Take off texts that follow the grammar what counts for nothing, and pyarrow's casts refuse."""
        if not self.may_have_blanks:
            return strings
        return pc.replace_substring_regex(strings, rf"\A{_BLANKS}\+?|\.?{_BLANKS}\z", "")

    def is_within_grammar(self, strings: pa.StringArray) -> bool:
        """Say whether values that were parsed surely follow the grammar too; False where it takes a closer look."""
        if self.suspects and _has_any_byte(strings, self.suspects):
            return False
        shortest = pc.min(pc.binary_length(strings)).as_py() if self.min_length else None
        return shortest is None or shortest >= self.min_length


def rule_for(to: pa.DataType) -> Rule:  # noqa: PLR0911 - one answer per kind of type
    """Return how text becomes values of a type other than string."""
    types = pa.types
    if types.is_integer(to):
        grammar = _INTEGER if types.is_signed_integer(to) else _NATURAL
        return Rule(to, grammar, partial(pc.cast, target_type=to), suspects=b"xX", may_have_blanks=True)
    if types.is_floating(to):
        return Rule(to, _NUMBER, partial(_parse_float, to=to), may_have_blanks=True)
    if types.is_date(to):
        return Rule(to, _DATE, _parse_date, may_have_blanks=True)
    if isinstance(to, pa.TimestampType):
        return Rule(to, _TIMESTAMP, partial(_parse_timestamp, unit=to.unit), is_nanoseconds=to.unit == "ns")
    if isinstance(to, pa.Time32Type | pa.Time64Type):
        return Rule(to, _TIME_OF_DAY, partial(_parse_time, to=to), min_length=_TIME_LENGTH, may_have_blanks=True)
    if types.is_boolean(to):
        return Rule(to, "(?i:true|false|1|0)", partial(pc.cast, target_type=to))
    if isinstance(to, pa.Decimal128Type):
        return Rule(to, _NUMBER, partial(_parse_decimal, to=to), may_have_blanks=True)
    return Rule(to, r"(?s:.*)", partial(pc.cast, target_type=to))


def fits_microseconds(strings: pa.StringArray) -> bool:
    """Say whether timestamps, cut to six digits, lie in the years 1 to 9999 and on days that exist."""
    try:
        _parse_timestamp(pc.utf8_slice_codeunits(strings, 0, _KEPT_LENGTH["us"]), "us")
    except pa.ArrowInvalid:
        return False
    return True


def _has_any_byte(strings: pa.StringArray, wanted: bytes) -> bool:
    """Say whether any value has one of some bytes, without going through the values."""
    _, offsets, data = strings.buffers()
    if offsets is None or data is None or not len(strings):
        return False
    first, last = strings.offset, strings.offset + len(strings)
    start, end = (struct.unpack_from("=i", offsets, 4 * at)[0] for at in (first, last))
    text = data.slice(start, end - start).to_pybytes()
    return any(byte in text for byte in wanted)


def _parse_float(strings: pa.StringArray, to: pa.DataType) -> Values:
    values = pc.cast(strings, to)
    refuse_not_finite(values)
    return values


def refuse_not_finite(values: Values) -> None:
    """Refuse NaN and infinity, which is also what pyarrow turns a number out of range into."""
    total = cast("float | None", pc.sum(values).as_py())  # which is not finite if a value is not
    if total is not None and not isfinite(total) and pc.all(pc.is_finite(values)).as_py() is False:
        raise pa.ArrowInvalid("not finite")


def _parse_decimal(strings: pa.StringArray, to: "pa.Decimal128Type[Any, Any]") -> Values:
    """Parse decimals; those that pyarrow (26) may wrap around go another way.

    It does that with more than 38 digits, and also with fewer if there are more than 38 once the scale is filled up.
    """
    longest = pc.max(pc.binary_length(strings)).as_py() or 0
    if longest <= _MAX_DIGITS - to.scale and not _has_any_byte(strings, b"eE"):
        return pc.cast(strings, to)
    short = rf"\A-?[0-9]{{0,{_MAX_DIGITS - to.scale}}}(?:\.[0-9]{{0,{to.scale}}})?\z"
    if pc.all(pc.match_substring_regex(strings, short)).as_py() is not False:
        return pc.cast(strings, to)
    return pa.array([_decimal(text, to) for text in strings.to_pylist()], to)


def _decimal(text: str | None, to: "pa.Decimal128Type[Any, Any]") -> Decimal | None:
    """Read one decimal, exactly."""
    if text is None:
        return None
    if not _DECIMAL.fullmatch(text):
        raise pa.ArrowInvalid("not a decimal")
    value = Decimal(text)
    sign, digits, exponent = value.as_tuple()
    digits = digits if any(digits) else (0,)
    shift = (exponent if isinstance(exponent, int) else 0) + to.scale
    kept = digits[: max(0, len(digits) + shift)] if shift < 0 else digits
    if any(digits[len(kept) :]) or (any(kept) and len(kept) + max(shift, 0) > to.precision):
        raise pa.ArrowInvalid("does not fit")
    unscaled = int("".join(map(str, kept)) or "0") * 10 ** max(shift, 0) if any(kept) else 0
    return Decimal((sign, tuple(map(int, str(unscaled))), -to.scale))


def _parse_date(strings: pa.StringArray) -> Values:
    values = pc.cast(strings, pa.date32())
    refuse_year_0(values)
    return values


def _parse_timestamp(strings: pa.StringArray, unit: Unit) -> Values:
    """Parse timestamps with up to nine digits, of which those beyond the unit have to be zeros."""
    to = pa.timestamp(unit)
    if unit == "ns":
        return pc.cast(strings, to)
    try:
        values = pc.cast(strings, to)
    except pa.ArrowInvalid:
        lost = pc.utf8_slice_codeunits(strings, _KEPT_LENGTH[unit])
        if pc.all(pc.match_substring_regex(lost, _LOST_ZEROS[unit])).as_py() is False:
            raise
        values = pc.cast(pc.utf8_slice_codeunits(strings, 0, _KEPT_LENGTH[unit]), to)
    refuse_year_0(values)
    return values


def _parse_time(strings: pa.StringArray, to: "pa.Time32Type[Any] | pa.Time64Type[Any]") -> Values:
    """Parse times of day, as those of any one day: pyarrow has no such cast."""
    join = cast("Any", pc.binary_join_element_wise)  # its stub knows no scalars
    moments = join(_ANY_DAY, strings, "")
    return pc.cast(_parse_timestamp(moments, to.unit), to)


def refuse_year_0(values: Values) -> None:
    """Refuse dates and timestamps before the year 1, which pyarrow takes, and no one else."""
    is_date = pa.types.is_date32(values.type)
    smallest = cast("int | None", pc.min(values.view(pa.int32() if is_date else pa.int64())).as_py())
    per_day = 1 if is_date else _PER_DAY[cast("pa.TimestampType[Any]", values.type).unit]
    if smallest is not None and smallest < _DAYS_TO_YEAR_1 * per_day:
        raise pa.ArrowInvalid("before the year 1")
