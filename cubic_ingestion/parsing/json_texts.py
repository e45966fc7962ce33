"""The texts of the records in a slice."""

import json
import re
from array import array
from collections.abc import Sequence

import msgspec
import pyarrow as pa

from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.json_slices import Slice

_BETWEEN_RECORDS = re.compile(r"[\s,]*")
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def record_texts(piece: Slice, n_before: int) -> Sequence[bytes | msgspec.Raw]:
    """Cut a slice into the texts of its records: the elements of one array, or the lines that are not blank.

    Args:
        piece: UTF-8.
        n_before: Records of the file before the slice.

    Raises:
        RejectedLoadError: ``json_invalid``, if an array is none. Lines are not looked into.
    """
    if not piece.data.startswith(b"["):
        if piece.is_large:
            return [piece.data]
        return [*filter(bytes.strip, piece.data.splitlines())]
    try:
        records = _ARRAY.decode(piece.data)
    except (msgspec.DecodeError, RecursionError) as error:
        row = n_before + (1 if piece.is_large else _broken_record(piece.data.decode()))
        raise json_invalid(str(error), row=row) from error
    if piece.is_part and not records:
        raise json_invalid("a record is missing between two commas", row=n_before + 1)
    return records


def json_invalid(problem: str, row: int | None, column: str | None = None) -> RejectedLoadError:
    """Return the rejection of a file that is not JSON."""
    return RejectedLoadError(
        "json_invalid",
        f"The file is not JSON, neither an array nor one object a line ({problem}). "
        "Have the source deliver the file again.",
        row=row,
        column=column,
    )


def refuse_other_encodings(piece: Slice) -> None:
    """Check UTF-8 with pyarrow, twenty times as fast as Python; which tells where it breaks.

    Raises:
        RejectedLoadError: ``not_utf8``.
    """
    offsets = pa.py_buffer(array("i", (0, len(piece.data))))
    text = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(piece.data)])
    try:
        text.cast(pa.string())
    except pa.ArrowInvalid:
        _refuse_at_its_line(piece)


def _refuse_at_its_line(piece: Slice) -> None:
    try:
        piece.data.decode()
    except UnicodeDecodeError as error:
        row = piece.lines_before + piece.data.count(b"\n", 0, error.start) + 1
        raise RejectedLoadError(
            "not_utf8", "The file is not UTF-8; the row is the line. Have the source deliver the file again.", row=row
        ) from error


def _broken_record(text: str) -> int:
    """Number of the first element of an array that cannot be parsed, counted from 1."""
    decoder = json.JSONDecoder(parse_int=len, parse_float=len)
    at, n_whole = 1, 0
    while True:
        between = _BETWEEN_RECORDS.match(text, at)
        try:
            _, at = decoder.raw_decode(text, between.end() if between else at)
        except (ValueError, RecursionError):
            return n_whole + 1
        n_whole += 1
