"""Where one JSON record ends and the next begins."""

import json
import re
from collections.abc import Sequence

import msgspec
import pyarrow as pa

from cubic_ingestion.errors import RejectedLoadError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_BETWEEN_RECORDS = re.compile(r"[\s,]*")
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def json_text(data: bytes) -> bytes:
    """Return a JSON file's text without byte order mark and blanks around it.

    Raises:
        RejectedLoadError: ``not_utf8``.
    """
    text = data.removeprefix(_BYTE_ORDER_MARK).strip(_BLANK)
    _refuse_other_encodings(text)
    return text


def record_texts(data: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Cut a JSON text into the texts of its records: the elements of one array, or the lines that are not blank.

    Raises:
        RejectedLoadError: ``json_invalid``, if an array is none. Lines are not looked into.
    """
    if not data.startswith(b"["):
        return [*filter(bytes.strip, data.splitlines())]
    try:
        return _ARRAY.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise json_invalid(str(error), row=_broken_record(data.decode())) from error


def json_invalid(problem: str, row: int | None, column: str | None = None) -> RejectedLoadError:
    """Return the rejection of a file that is not JSON."""
    return RejectedLoadError(
        "json_invalid",
        f"The file is not JSON, neither an array nor one object a line ({problem}). "
        "Have the source deliver the file again.",
        row=row,
        column=column,
    )


def _refuse_other_encodings(data: bytes) -> None:
    """Check UTF-8 with pyarrow, twenty times as fast as Python; which tells where it breaks."""
    try:
        pa.array([data], pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        _refuse_at_its_line(data)


def _refuse_at_its_line(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
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
