"""Files as Qlik Replicate writes them: random tables, written in any of the dialects that a sidecar may state."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from cubic_ingestion_tests.parsing.qlik_kinds import CHANGE_SEQUENCE, KINDS, Kind

_NAMES = ("ID", "Rider Name", "FARE$", "date", "SELECT", "Zoë", "TRAM_🚋", "A,B", 'THE "B"', "x|y;z", "it's")


@dataclass(frozen=True)
class Column:
    """One column, with a cell a row; None is NULL."""

    name: str
    kind: Kind
    cells: list[str | None]

    @property
    def arrow(self) -> str:
        """The type it is to have."""
        return self.kind.arrow([cell for cell in self.cells if cell is not None])


@dataclass(frozen=True)
class Dialect:
    """The format options of a sidecar."""

    delimiter: str = ","
    line_end: str = "\n"
    null: str = ""
    quote: str = '"'
    escape: str = ""

    def field(self, text: str | None, *, is_quoted: bool) -> str:
        """Write one field."""
        if text is None:
            return self.null
        if not self.quote or not is_quoted:
            return text
        escaped = text.replace(self.escape, self.escape * 2) if self.escape else text
        return self.quote + escaped.replace(self.quote, (self.escape or self.quote) + self.quote) + self.quote

    def spare(self, text: str) -> str:
        """Leave out of a text what cannot be written where nothing is quoted."""
        if self.quote:
            return text
        kept = "".join(letter for letter in text if letter not in {self.delimiter, "\r", "\n", self.escape})
        return f"{kept}x" if kept == self.null else kept

    def read(self, text: str) -> list[list[str]]:
        """Read a file as Python's own ``csv`` does."""
        quoting = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return list(
            csv.reader(
                io.StringIO(text, newline=""),
                delimiter=self.delimiter,
                quotechar=self.quote or None,
                escapechar=self.escape or None,
                quoting=quoting,
                strict=True,
            )
        )


DIALECTS = st.one_of(
    st.just(Dialect()),
    st.builds(
        Dialect,
        st.sampled_from(",;|\t\x01"),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from(["", "NULL", "?"]),
        st.sampled_from(['"', "'", ""]),
        st.sampled_from(["", "\\", "^"]),
    ),
)


@dataclass(frozen=True)
class QlikFile:
    """A table in a dialect, ready to be written."""

    columns: list[Column]
    """In the sidecar's order."""
    order: Sequence[int]
    """In which order the file has them."""
    dialect: Dialect
    is_ended: bool
    """Whether the last record has a line end."""
    is_marked: bool
    """Whether a byte order mark comes first."""
    pack: str
    """``plain``, ``gzip`` or ``members`` (a gzip file of several)."""
    is_counted: bool

    @property
    def n_rows(self) -> int:
        """How many records there are."""
        return len(self.columns[0].cells)

    def text(self) -> str:
        """Write the data file, without its byte order mark."""
        columns = [self.columns[at] for at in self.order]
        write = self.dialect.field
        lines = [[write(column.name, is_quoted=not column.name.isidentifier()) for column in columns]]
        cells = [[write(cell, is_quoted=one.kind.is_quoted or not cell) for cell in one.cells] for one in columns]
        lines += [list(record) for record in zip(*cells, strict=True)]
        text = self.dialect.line_end.join(self.dialect.delimiter.join(line) for line in lines)
        needs_end = len(columns) == 1 and lines[-1] == [""]
        return text + self.dialect.line_end if self.is_ended or needs_end else text

    def data(self) -> bytes:
        """Write the data file's bytes."""
        data = ("\ufeff" if self.is_marked else "").encode() + self.text().encode()
        if self.pack == "plain":
            return data
        half = len(data) // 2 if self.pack == "members" else 0
        return b"".join(gzip.compress(part, mtime=0) for part in (data[:half], data[half:]) if part or half)

    def sidecar(self) -> bytes:
        """Write the ``.dfm``."""
        dialect = self.dialect
        options = {"fieldDelimiter": dialect.delimiter, "recordDelimiter": dialect.line_end, "nullValue": dialect.null}
        options |= {"quoteChar": dialect.quote, "escapeChar": dialect.escape}
        document = {
            "fileInfo": {"recordCount": self.n_rows} if self.is_counted else {},
            "formatInfo": {"format": "delimited", "options": options},
            "dataInfo": {"columns": [{"name": one.name, **one.kind.declared} for one in self.columns]},
        }
        return json.dumps(document).encode()


@st.composite
def qlik_files(draw: st.DrawFn, *, most_rows: int = 6) -> QlikFile:
    """Draw a file."""
    dialect = draw(DIALECTS)
    names = [name for name in _NAMES if dialect.spare(name) == name]
    n_rows = draw(st.integers(0, most_rows))
    kinds = {name: draw(KINDS) for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True))}
    if draw(st.booleans()):
        kinds = {"header__change_seq": CHANGE_SEQUENCE, **kinds}
    columns = [Column(name, kind, draw(_cells(kind, dialect, n_rows))) for name, kind in kinds.items()]
    order = draw(st.permutations(range(len(columns))))
    pack = draw(st.sampled_from(["gzip", "members", "plain"]))
    return QlikFile(columns, order, dialect, draw(st.booleans()), draw(st.booleans()), pack, draw(st.booleans()))


def _cells(kind: Kind, dialect: Dialect, n_rows: int) -> st.SearchStrategy[list[str | None]]:
    cell = kind.cells.map(dialect.spare) if kind.is_quoted else kind.cells
    return st.lists(st.one_of(st.none(), cell, cell), min_size=n_rows, max_size=n_rows)
