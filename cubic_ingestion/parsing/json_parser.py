"""Slices of a JSON file to columns: one per top-level field, with nothing of a value lost on the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import msgspec
import pyarrow as pa

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import JSON
from cubic_ingestion.parsing.json_fields import Fields, record_fields
from cubic_ingestion.parsing.json_plain import count_plain, plain_records
from cubic_ingestion.parsing.json_slices import Slice, count_fields
from cubic_ingestion.parsing.json_texts import record_texts, refuse_other_encodings
from cubic_ingestion.parsing.json_values import LargeTexts, Oddities, Texts
from cubic_ingestion.parsing.matching import MAX_JSON_COLUMNS, refuse_too_many_columns

ROWS_CELLS = 300_000
"""Values of columns that are held at a time, NULLs included."""
_ABSENT = msgspec.Raw(b"null")
_ARRAY_BYTES = 512
"""What an array takes besides its values."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some records, column by column."""

    n_rows: int
    columns: "Mapping[str, pa.Array[Any]]"
    """By name in lower case: text, or parsed. A column that none of the records has is left out."""

    @property
    def size_bytes(self) -> int:
        """What they take of memory."""
        batch = pa.RecordBatch.from_arrays([*self.columns.values()], names=[*self.columns])
        return batch.get_total_buffer_size() + _ARRAY_BYTES * len(self.columns)


class SliceParser:
    """Parses the slices of one file, one after the other.

    Args:
        columns: The declared columns.
        typed: Parse their values into their types at once where that is exact.
        spelled: The file's names, if they are known already.
    """

    def __init__(self, columns: Sequence[Column], *, typed: bool, spelled: Mapping[str, str] | None = None) -> None:
        self.spelled: dict[str, str] = dict(spelled or {})
        """How the file first spells each name, by the name in lower case, in the order of the file."""
        self.n_rows = 0
        """Records that have been parsed or looked through."""
        self._typed = columns if typed else ()
        self._json = {column.name for column in columns if column.type == JSON}
        self._oddities: dict[str, Oddities] = {}

    def parse(self, piece: Slice) -> Iterator[Rows]:
        """Parse a slice; names and number of all its records count at once.

        Raises:
            RejectedLoadError: ``not_utf8``, ``json_invalid``, ``json_not_object``, ``duplicate_field`` or
                ``too_many_columns``.
        """
        refuse_other_encodings(piece)
        n_before = self.n_rows
        plain = None if piece.is_large else plain_records(piece, self._typed, list(self.spelled.values()))
        if plain is None:
            yield from self._by_field(*self._fields(piece), n_before, is_large=piece.is_large)
            return
        values = {name.lower(): values for name, values in plain.values.items()}
        self._count(plain.n_rows, {name.lower(): name for name in plain.values})
        raw = {name: some for name, some in values.items() if isinstance(some, list)}
        typed = {name: some for name, some in values.items() if not isinstance(some, list)}
        yield Rows(plain.n_rows, typed | self._strings(raw, plain.n_rows, n_before))

    def learn(self, piece: Slice) -> None:
        """Look through a slice for names alone.

        Raises:
            RejectedLoadError: As ``parse``, though not for every slice that is not sound.
        """
        n_plain = None if piece.is_large else count_plain(piece, list(self.spelled.values()))
        if n_plain is None:
            refuse_other_encodings(piece)
            self._fields(piece)
        else:
            self.n_rows += n_plain

    def notes(self, columns: Sequence[Column]) -> dict[str, str]:
        """Return what a person should know of the values of some columns."""
        odd = [(column.name, self._oddities[column.name]) for column in columns if column.name in self._oddities]
        made = {
            "mixed_types": [f"{name} ({', '.join(sorted(its.kinds))})" for name, its in odd if len(its.kinds) > 1],
            "duplicate_keys": [f"{name} ({its.twice})" for name, its in odd if its.twice],
            "too_large_to_look_into": [f"{name} ({its.unseen})" for name, its in odd if its.unseen],
        }
        return {key: ", ".join(texts) for key, texts in made.items() if texts}

    def _fields(self, piece: Slice) -> tuple[Sequence[Fields], Mapping[str, str]]:
        texts = record_texts(piece, self.n_rows)
        if piece.is_large:
            refuse_too_many_columns(count_fields(bytes(texts[0]), MAX_JSON_COLUMNS), row=self.n_rows + 1)
        records, spelled = record_fields(texts, self.n_rows)
        self._count(len(records), spelled)
        return records, spelled

    def _count(self, n_rows: int, spelled: Mapping[str, str]) -> None:
        self.n_rows += n_rows
        for name, first in spelled.items():
            self.spelled.setdefault(name, first)
        refuse_too_many_columns(len(self.spelled))

    def _by_field(
        self, records: Sequence[Fields], spelled: Mapping[str, str], n_before: int, *, is_large: bool
    ) -> Iterator[Rows]:
        n_at_once = max(1, ROWS_CELLS // max(1, len(spelled)))
        for start in range(0, len(records), n_at_once):
            some = records[start : start + n_at_once]
            values = {column: [record.get(name, _ABSENT) for record in some] for column, name in spelled.items()}
            yield Rows(len(some), self._strings(values, len(some), n_before + start, is_large=is_large))

    def _strings(
        self, values: Mapping[str, Sequence[msgspec.Raw]], n_rows: int, n_before: int, *, is_large: bool = False
    ) -> "dict[str, pa.Array[Any]]":
        """Make columns of texts, many at once: a wide slice has few values in each."""
        columns: dict[str, pa.Array[Any]] = {}
        for is_json in (False, True):
            names = [name for name in values if (name in self._json) is is_json]
            found = [*chain.from_iterable(values[name] for name in names)]
            texts = LargeTexts(found) if is_large else Texts(found)
            strings = texts.strings(is_json=is_json)
            for start, name in zip(count(0, n_rows), names):
                columns[name] = strings.slice(start, n_rows)
                odd = self._oddities.setdefault(name, Oddities())
                odd.look(values[name], texts.firsts[start : start + n_rows], n_before + 1)
        return columns
