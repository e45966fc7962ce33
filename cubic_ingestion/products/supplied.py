"""Which columns an update supplies: by its values, its file's columns, the declaration, or its change mask."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import Flags, Positions, Values, as_flags
from cubic_ingestion.products.law import STAMPS, Event, TableLaw

_NOT_IN_FILE = -1
_NOT_LISTED = -2
_ASCII_ZERO, _ASCII_TEN = ord("0"), ord("a") - 10


def supplied_by_updates(law: TableLaw, events: pa.Table) -> Callable[[str], Flags]:
    """Return a function that says of each event whether it supplies a column, if it is an update.

    Key columns and stamps are always supplied.

    Raises:
        KeyError: An event has a mask, and the columns of its file are not listed.
    """
    always = {*law.key, *STAMPS}
    loads, load_of_event = np.unique(events[Event.LOAD].to_numpy(), return_inverse=True)
    is_masked, bits = _masks(events)
    if unlisted := {int(load) for load in loads[load_of_event[is_masked]]} - set(law.file_columns):
        raise KeyError(min(unlisted))

    def is_supplied(column: str) -> Flags:
        if column in always:
            return np.ones(events.num_rows, bool)
        supplied = law.is_full_image | as_flags(pc.is_valid(events[column]))
        if law.file_columns:
            place = np.array([_place(law, int(load), column) for load in loads], np.int64)[load_of_event]
            supplied[is_masked] = _bits_at(bits, place[is_masked])
            supplied &= place != _NOT_IN_FILE
        return supplied

    return is_supplied


def _place(law: TableLaw, load: int, column: str) -> int:
    columns = law.file_columns.get(load)
    if columns is None:
        return _NOT_LISTED
    return list(columns).index(column) if column in columns else _NOT_IN_FILE


def _masks(events: pa.Table) -> tuple[Flags, Flags]:
    """Return which events have a mask, and the bits of these masks, one row per mask."""
    if Event.MASK not in events.column_names:
        return np.zeros(events.num_rows, bool), np.zeros((0, 0), bool)
    masks = events[Event.MASK]
    return as_flags(pc.is_valid(masks)), _bits(masks.drop_null().combine_chunks())


def _bits(masks: Values) -> Flags:
    """Return the bits of hexadecimal masks. Bit 0 is the lowest of the first byte. Zeros at the end may be missing."""
    digits = pc.ascii_lower(pc.replace_substring_regex(masks, pattern="^0[xX]", replacement=""))
    width = pc.max(pc.binary_length(digits)).as_py() or 0
    width += width % 2
    texts = pc.ascii_rpad(digits, width=width, padding="0")
    characters = np.frombuffer(texts.buffers()[2] or b"", np.uint8, len(texts) * width).reshape(len(texts), width)
    halves = characters - np.where(characters > ord("9"), _ASCII_TEN, _ASCII_ZERO).astype(np.uint8)
    return np.unpackbits(halves[:, 0::2] * 16 + halves[:, 1::2], axis=1, bitorder="little").astype(bool)


def _bits_at(bits: Flags, places: Positions) -> Flags:
    """Return one bit per row. A bit after the end of the mask is not set."""
    is_inside = (places >= 0) & (places < bits.shape[1])
    found = np.zeros(len(places), bool)
    found[is_inside] = bits[np.flatnonzero(is_inside), places[is_inside]]
    return found
