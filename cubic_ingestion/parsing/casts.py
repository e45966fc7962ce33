"""Text to types, exactly: a value fits as it stands, or it is named as one that does not.

Each kind of type has a grammar, which says what its text looks like; within it a value fails only if the type cannot
hold it. pyarrow does the work. Its own grammar is a little wider, so a quick look at the whole column tells whether
any value may lie in between; only then, or if a value fails, are the column's values told apart.

What the grammars decide, beyond the obvious:

* blanks and tabs around a number, date or time of day count for nothing, nor does a ``+`` before one; around a
  timestamp or a boolean there are none. No hexadecimal, and no empty text but in strings;
* ``1e3`` is a decimal and a float, but no integer; ``1.0`` is no integer either;
* decimals may end in zeros beyond their scale, times beyond their unit: nothing is lost. Any other digit there is;
* ``NaN`` and ``Infinity`` are no floats, and ``1e999`` is out of range; floats round to the nearest, as floats do;
* a timestamp may leave off what is zero from its end (``2022-03-04``, ``2022-03-04 10``, ``2022-03-04 10:11``), a time
  of day its seconds, and ``10:11:12.`` is one. None has a zone, but that JSON's timestamps may end in ``Z`` or
  ``+00:00`` behind a time. Years are 1 to 9999; there is neither 24:00:00 nor a leap second.

``delimited_types`` has pyarrow parse values without ever having them as text, and has to agree with all of this.
"""

from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.parsing.cast_rules import Rule, Values, fits_microseconds, rule_for


@dataclass(frozen=True, slots=True)
class Cast:
    """A column's values in their type."""

    values: Values
    """NULL where the text is NULL; also where it does not fit, so never to be used without a look at ``failures``."""
    failures: tuple[int, ...] = ()
    """Indexes of the values that do not fit, ascending."""
    is_beyond_nanoseconds: bool = False
    """A ``timestamp[ns]`` column has a sound timestamp that lies outside 1677 to 2262 (such as 9999-12-31), which is
    no failure: the column is to be read again as ``timestamp[us]``."""


def cast_text(strings: pa.StringArray, to: pa.DataType, *, may_state_utc: bool = False) -> Cast:
    """Cast a column of text to a type.

    Args:
        strings: Shape ``(n_rows,)``, as a reader yields it.
        to: One of the types that ``arrow_types`` names.
        may_state_utc: Timestamps may end in ``Z`` or ``+00:00`` behind a time; they are the same without it.
    """
    if pa.types.is_string(to):
        return Cast(strings)
    rule = _rule_for(to)
    try:
        values = rule.parse(strings)
    except pa.ArrowInvalid:
        if may_state_utc and pa.types.is_timestamp(to):
            return cast_text(pc.replace_substring_regex(strings, _UTC, r"\1"), to)
        return _cast_apart(strings, rule)
    return Cast(values) if rule.is_within_grammar(strings) else _cast_apart(strings, rule)


_UTC = r"\A(.{10}[ T][0-9:.]+)(?:Z|\+00:00)\z"


_rule_for = lru_cache(maxsize=256)(rule_for)


def _cast_apart(strings: pa.StringArray, rule: Rule) -> Cast:
    """Cast the values that fit, and name the others."""
    is_worded = pc.match_substring_regex(strings, rule.pattern())
    unworded = [at for at, matches in enumerate(is_worded.to_pylist()) if matches is False]
    worded = rule.bare(pc.if_else(is_worded, strings, pa.scalar(None, pa.string())))
    values, misfits = _parse_halves(worded, rule)
    beyond = [at for at in misfits if rule.is_nanoseconds and fits_microseconds(strings.slice(at, 1))]
    failures = {*unworded, *misfits} - set(beyond)
    return Cast(values, tuple(sorted(failures)), is_beyond_nanoseconds=bool(beyond))


def _parse_halves(strings: pa.StringArray, rule: Rule) -> tuple[Values, list[int]]:
    """Find the values that cannot be parsed by halving what they are in; NULL takes their place."""
    try:
        return rule.parse(strings), []
    except pa.ArrowInvalid:
        if len(strings) == 1:
            return pa.array([None], rule.type), [0]
    middle = len(strings) // 2
    left, left_misfits = _parse_halves(strings.slice(0, middle), rule)
    right, right_misfits = _parse_halves(strings.slice(middle), rule)
    return pa.concat_arrays([left, right]), left_misfits + [middle + at for at in right_misfits]
