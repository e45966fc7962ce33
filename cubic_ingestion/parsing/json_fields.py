"""A JSON record's fields, and no name twice: what a parser that keeps the last of two would lose in silence.

msgspec is fast because it keeps the last. So what it kept is added up: if its values, names and marks make up all that
the file has but blanks, nothing was left out. Only where they do not is a record looked at pair by pair.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from operator import methodcaller

import msgspec

from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.json_texts import json_invalid

Fields = Mapping[str, msgspec.Raw]
"""A record: the JSON text of each of its fields, by name as the file spells it."""

_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLANKS = b" \t\r\n"
_MARKS_OF_A_FIELD = len('"":,')
_MARKS_OF_A_RECORD = len("{}")
_AFTER_A_NAME = b'":'
_VALUES = methodcaller("values")
_VALUES_AT_ONCE = 128
"""Few enough for their objects to be gone before Python's garbage collector looks at them."""
_MAX_PARTS = 200_000
_BEFORE_A_PART = (b"{", b"[", b",", b":")
_HIDDEN_MARKS = (b"\\u0022", b"\\u003a", b"\\u003A")


def record_fields(
    texts: Sequence[bytes | msgspec.Raw], n_before: int = 0
) -> tuple[Sequence[Fields], Mapping[str, str]]:
    """Take records apart into their top-level fields.

    Args:
        texts: One JSON text a record.
        n_before: Records of the file before them.

    Returns:
        The records, and how they spell each name, by the name in lower case, in the order of the file.

    Raises:
        RejectedLoadError: ``json_invalid``, ``json_not_object`` or ``duplicate_field``, with the record's number.
    """
    try:
        records = [*map(_RECORD.decode, texts)]
    except (msgspec.DecodeError, RecursionError):
        return _one_by_one(texts, n_before)
    counts = Counter(chain.from_iterable(records))
    spelled = {name.lower(): name for name in counts}
    if "" in spelled or len(spelled) < len(counts) or not _add_up(texts, records, counts):
        return _one_by_one(texts, n_before)
    return records, spelled


def twice_in_an_object(values: Sequence[msgspec.Raw]) -> tuple[int, str] | None:
    """Find a name that an object within JSON values has twice.

    Args:
        values: JSON texts that msgspec found sound, none of them too large to be looked into.

    Returns:
        Index of the first value with such an object, and the name; None if there is none.
    """
    for start in range(0, len(values), _VALUES_AT_ONCE):
        if not _keep_all_names(b"[%s]" % b",".join(values[start : start + _VALUES_AT_ONCE])):
            found = ((at, _twice(bytes(value))) for at, value in enumerate(values[start:], start))
            return next(((at, name) for at, name in found if name), None)
    return None


def too_large_to_look_into(values: Sequence[msgspec.Raw]) -> Collection[int]:
    """Name the values (by index) that have so many parts that Python's objects for them would fill the memory."""
    if max(map(len, values), default=0) <= _MAX_PARTS:
        return frozenset()
    return {at for at, value in enumerate(values) if sum(map(bytes(value).count, _BEFORE_A_PART)) > _MAX_PARTS}


def _keep_all_names(text: bytes) -> bool:
    """Say whether a JSON text surely loses no name to another when it is read as Python's dictionaries.

    Of two pairs of one name one is lost, and the mark after it too. An escaped mark could make up for it.
    """
    try:
        kept = msgspec.json.encode(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):  # a number that no float holds, or too deep
        kept = b""
    if kept == text:
        return True
    return kept.count(_AFTER_A_NAME) == text.count(_AFTER_A_NAME) and not any(mark in text for mark in _HIDDEN_MARKS)


def _add_up(
    texts: Sequence[bytes | msgspec.Raw], records: Sequence[dict[str, msgspec.Raw]], counts: Counter[str]
) -> bool:
    """Say whether the fields kept make up the texts; a name written with escapes does not add up either."""
    values = chain.from_iterable(map(_VALUES, records))
    n_empty = sum(not record for record in records)
    marks = _MARKS_OF_A_RECORD * len(records) + _MARKS_OF_A_FIELD * counts.total() - (len(records) - n_empty)
    names = sum(len(name.encode()) * count for name, count in counts.items())
    left = sum(map(len, texts)) - sum(map(len, values)) - marks - names
    return not left or left == _blanks(texts) - _blanks(_names_and_values(records))


def _names_and_values(records: Sequence[Fields]) -> Sequence[bytes | msgspec.Raw]:
    names = (name.encode() for name in chain.from_iterable(records))
    return [*names, *chain.from_iterable(record.values() for record in records)]


def _blanks(texts: Sequence[bytes | msgspec.Raw]) -> int:
    text = b"".join(texts)
    return sum(text.count(blank) for blank in _BLANKS)


def _one_by_one(texts: Sequence[bytes | msgspec.Raw], n_before: int) -> tuple[Sequence[Fields], Mapping[str, str]]:
    records = [_fields(text, row) for row, text in enumerate(texts, start=n_before + 1)]
    return records, {name: name for record in records for name in record}


def _fields(text: bytes | msgspec.Raw, row: int) -> Fields:
    """Take one record apart, names in lower case, and say what is wrong with it."""
    try:
        record = _RECORD.decode(text)
        n_fields = json.loads(bytes(text), object_pairs_hook=len, parse_int=len, parse_float=len)
    except msgspec.ValidationError as error:
        raise RejectedLoadError(
            "json_not_object",
            "A record is not a JSON object. Have the source deliver the file again.",
            row=row,
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise json_invalid(str(error), row) from error
    fields = {name.lower(): value for name, value in record.items()}
    if len(fields) != n_fields:
        raise _duplicate_field(bytes(text), row)
    if "" in fields:
        raise json_invalid("a field has no name", row)
    return fields


def _duplicate_field(text: bytes, row: int) -> RejectedLoadError:
    """Word the rejection of a record with two fields of one name."""
    names = json.loads(
        text,
        object_pairs_hook=lambda pairs: [name.lower() for name, _ in pairs],
        parse_int=len,
        parse_float=len,
    )
    [(name, _)] = Counter(names).most_common(1)
    return RejectedLoadError(
        "duplicate_field",
        "A record has a field more than once (case does not count). Have the source deliver the file again.",
        row=row,
        column=name,
    )


def _twice(text: bytes) -> str | None:
    """Return a name that any object in a JSON text has twice; here case counts."""
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        found.extend(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)

    json.loads(text, object_pairs_hook=look, parse_int=len, parse_float=len)
    return found[0] if found else None
