"""Columns by name: what a file has against what its table declares."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError

Undeclared = Literal["keep", "reject"]
"""What becomes of a column that is not declared: kept as strings after the others, or the load is rejected."""
Missing = Literal["null", "reject"]
"""What becomes of a declared column that the file lacks: NULL throughout, or the load is rejected."""

MAX_JSON_COLUMNS = 5_500
"""More than ``MAX_FIELDS``, so that one record with as many does not take the others of its file to Error."""
WIDE_COLUMNS = 1_000
MAX_WIDE_CELLS = 55_000_000
"""Values that a file with more columns may have, NULLs included: 10,000 records may have 5,500 columns."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The columns a load's rows have, and what a person should know of them."""

    columns: tuple[Column, ...]
    """The declared ones in their order, then the others in the file's."""
    notes: dict[str, str]


def match_columns(
    found: Collection[str], declared: Sequence[Column], *, undeclared: Undeclared, missing: Missing
) -> Matched:
    """Match a file's columns with the declared ones.

    Args:
        found: Names in the file, in its order, in lower case, without duplicates.
        declared: The declared columns.
        undeclared: What to do with columns that are not declared.
        missing: What to do with declared columns that are not found.

    Raises:
        RejectedLoadError: ``undeclared_column`` or ``missing_column``, where that is to be rejected.
    """
    names = {column.name for column in declared}
    extra = [name for name in found if name not in names]
    lacking = [column.name for column in declared if column.name not in found]
    if extra and undeclared == "reject":
        raise RejectedLoadError(
            "undeclared_column",
            f"The file has columns that are not declared: {', '.join(extra)}. Declare them (for ODS in the '.dfm').",
            column=extra[0],
        )
    if lacking and missing == "reject":
        raise RejectedLoadError(
            "missing_column",
            f"The file lacks declared columns: {', '.join(lacking)}. Correct the declaration (for ODS, the '.dfm').",
            column=lacking[0],
        )
    notes = {"undeclared_columns": ", ".join(extra), "missing_columns": ", ".join(lacking)}
    return Matched(
        (*declared, *(Column(name, "string") for name in extra)), {key: text for key, text in notes.items() if text}
    )


def refuse_too_many_columns(n_columns: int, n_records: int = 0, row: int | None = None) -> None:
    """Refuse a JSON file with so many columns that values must stand where names belong.

    Args:
        n_columns: Columns of the file, or of one of its records.
        n_records: Records of the file, where they are known. Parquet costs memory for each column and each group of
            records, so a file must not have many of both.
        row: The record that has the columns.

    Raises:
        RejectedLoadError: ``too_many_columns``.
    """
    is_too_wide = n_columns > MAX_JSON_COLUMNS
    is_too_large = n_columns > WIDE_COLUMNS and n_columns * n_records > MAX_WIDE_CELLS
    if not is_too_wide and not is_too_large:
        return
    problem = f"more than {MAX_JSON_COLUMNS} are no JSON file's"
    if not is_too_wide:
        problem = f"in {n_records} records that makes more than {MAX_WIDE_CELLS} values, NULLs included"
    message = f"The file has {n_columns} columns; {problem}. Have the source put such a map into one field."
    raise RejectedLoadError("too_many_columns", message, row=row)
