"""``docs/types.md``, written from the code that chooses the types and from what DuckDB says of the files."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.catalog.athena_types import athena_type
from cubic_ingestion.parsing.arrow_types import TYPE_TEXTS, arrow_type
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.parsing.qlik_types import is_known, qlik_source_type, qlik_type_text

PAGE = Path(__file__).parents[2] / "docs" / "types.md"


class Source(NamedTuple):
    """A type as a sidecar declares it."""

    name: str
    precision: int = 0
    scale: int = 0

    @property
    def arrow(self) -> pa.DataType:
        """The type it becomes."""
        return arrow_type(qlik_type_text(*self))

    def __str__(self) -> str:
        """Write it as people do; what no one knows has no name."""
        return f"`{qlik_source_type(*self)}`" if is_known(self.name) else "any other"


INT4, INT8, UINT8, DATETIME = Source("INT4"), Source("INT8"), Source("UINT8"), Source("DATETIME")
SOURCES = (
    *(Source(name) for name in ("BOOLEAN", "INT1", "INT2", "INT3", "INT4", "INT8", "UINT1", "UINT2", "UINT4", "UINT8")),
    *(Source(name) for name in ("REAL4", "REAL8")),
    *(Source("NUMERIC", *size) for size in ((10, 0), (19, 4), (38, 0), (0, 0), (45, 4), (2, 5), (4, -2), (38, 40))),
    *(Source(name) for name in ("DATE", "TIME")),
    *(Source("DATETIME", 0, digits) for digits in (0, 3, 6, 7, 9)),
    *(Source(name) for name in ("STRING", "WSTRING", "CLOB", "NCLOB", "BYTES", "BLOB", "GEOMETRY")),
)
CHANGES = (
    (INT4, INT8),
    (INT8, UINT8),
    (INT8, Source("NUMERIC", 10)),
    (INT8, Source("NUMERIC", 19, 4)),
    (UINT8, Source("NUMERIC", 38)),
    (Source("NUMERIC", 10), Source("NUMERIC", 19)),
    (Source("NUMERIC", 19), Source("NUMERIC", 10, 4)),
    (Source("NUMERIC", 38), Source("NUMERIC", 38, 10)),
    (Source("REAL4"), Source("REAL8")),
    (INT8, Source("REAL8")),
    (Source("NUMERIC", 19, 4), Source("REAL8")),
    (Source("DATETIME", 0, 6), Source("DATETIME", 0, 7)),
    (Source("DATE"), DATETIME),
    (Source("DATE"), Source("STRING")),
    (Source("BOOLEAN"), INT4),
    (INT4, Source("STRING")),
)
_TEXT = """\
# Types

What a column of the vendor's becomes. The `.dfm` of an ODS file declares the types; a table of DMAP or Kafka declares
Arrow's types itself ([CONTRIBUTING](../CONTRIBUTING.md#add-a-table)). This page is written by
`python -m cubic_ingestion_tests.golden`, and a test holds it to the code.

## From a `.dfm` to Arrow, DuckDB and Athena

{sources}

* Numbers in brackets are precision and scale of a `NUMERIC`, and the digits of a `DATETIME`'s fraction.
* Integers of every width are one type, so a column widened at the source does not change.
* A `NUMERIC` of no precision, or of more than 38 digits, has 38, the most that Arrow, Parquet and DuckDB hold. A
  negative scale (whole hundreds) adds digits before the point; a scale above the precision adds some after it; one
  above 38 leaves the digits as text. A value that does not fit is a bad value. None is rounded.
* The declared digits of a `DATETIME` choose its unit: seven or more are nanoseconds, which reach from 1677 to 2262, and
  fewer are microseconds, which reach from year 1 to 9999. A file with dates outside 1677 to 2262 has such a column in
  microseconds. Where the `.dfm` states no digits, a file is read in nanoseconds if one of its values needs them, and
  the column is text if it has far years and fine digits both
  ([ADR 0008](adr/0008-text-is-read-as-text-then-cast.md)). All of a file's values count, not a sample.
* Timestamps have no zone. One in a JSON file may end in `Z` or `+00:00`, which means UTC and is taken off; any other
  zone is a bad value, and so is every zone in a delimited file. A record in quarantine keeps the text as it came.
* `BYTES` and `BLOB` stay the hexadecimal text that Qlik writes.
* A type that is not known is text, and the load's metadata names column and type (`unknown_types`).
* `header__change_seq` is text whatever its type: its 35 digits have a fixed width, so that it sorts as text too.
* Athena's tables have no unsigned integers and no times of day
  ([its types](https://docs.aws.amazon.com/athena/latest/ug/data-types.html)). A column marked *none* is left out of
  tables in Glue; DuckDB, pyarrow and pandas read it. Timestamps are shown there to the millisecond.

## When a type changes

Each file has its own types, and none is rewritten when a later file differs. A table reads as one with the lowest type
that holds the values of all its files:

{changes}

* Integers become wider integers, signed and unsigned ones together `decimal128(20, 0)`.
* With decimals there are as many digits before and after the point as any file has; beyond 38 in all, text.
* Whatever no other type holds both of becomes text, each value written in full. `REAL8` holds no more than 15 digits
  of a whole number or a decimal, and microseconds and nanoseconds reach different years.
* The order of the files changes nothing.
"""


def type_text(arrow: pa.DataType) -> str:
    """Name an Arrow type: the inverse of ``arrow_type``, with ``json`` seen as the ``string`` it is stored as.

    Raises:
        ValueError: No column may have this type.
    """
    if pa.types.is_decimal128(arrow):
        return str(arrow)
    for text in TYPE_TEXTS[:-1]:  # the last is how any decimal is written
        if arrow_type(text) == arrow:
            return text
    message = f"{arrow} is no type a column may have. Use one of: {', '.join(TYPE_TEXTS)}."
    raise ValueError(message)


def page() -> str:
    """Write the page."""
    duckdb_types = _duckdb_types({type_text(source.arrow): source.arrow for source in SOURCES})
    names = [(source, type_text(source.arrow)) for source in SOURCES]
    sources = [(f"{source}", f"`{name}`", f"`{duckdb_types[name]}`", _athena(source.arrow)) for source, name in names]
    changes = [(f"{one}", f"{other}", f"`{_common(one, other)}`") for one, other in CHANGES]
    return _TEXT.format(
        sources=_table(("`.dfm`", "Arrow and Parquet", "DuckDB", "Athena"), sources),
        changes=_table(("some files have", "others have", "the table has"), changes),
    )


def _duckdb_types(types: Mapping[str, pa.DataType]) -> dict[str, str]:
    """Ask DuckDB what it makes of a Parquet file with a column of each type."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = Path(folder) / "types.parquet"
        pq.write_table(pa.schema(list(types.items())).empty_table(), path)
        described = connection.execute("describe from read_parquet(?)", [str(path)]).fetchall()
    return {name: duckdb_type for name, duckdb_type, *_ in described}


def _athena(arrow: pa.DataType) -> str:
    name = athena_type(arrow)
    return f"`{name}`" if name else "*none*"


def _common(one: Source, other: Source) -> str:
    schemas = [pa.schema([("x", source.arrow)]) for source in (one, other)]
    return type_text(common_schema(schemas).field("x").type)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
