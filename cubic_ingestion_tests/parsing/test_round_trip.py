"""What is written equals what arrived: random files, through the whole pipeline, cell by cell against Python."""

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from cubic_ingestion_tests.parsing.passage import Passage
from cubic_ingestion_tests.parsing.qlik_files import Column, Dialect, QlikFile, qlik_files
from cubic_ingestion_tests.parsing.qlik_kinds import TEXT, as_read

QUICK = settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
HARDLY_ANYTHING_BUT_LINE_ENDS = QlikFile(
    [Column("a", TEXT, ["\n" * 50, "\r\n" * 50, '"\n' * 50]), Column("b", TEXT, [None, "", "\r"])],
    order=[1, 0],
    dialect=Dialect(line_end="\r\n"),
    is_ended=False,
    is_marked=True,
    pack="gzip",
    is_counted=True,
)
"""What falls apart wherever a reader takes the end of a line for the end of a record."""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Passage:
    return Passage(tmp_path_factory.mktemp("passage"))


def expected(file: QlikFile) -> list[list[object]]:
    """Read the file as Python does, and make of each cell, column by column, what it means."""
    _, *records = file.dialect.read(file.text())
    records = [record or [""] for record in records]  # a blank line of a file of one column
    assert len(records) == file.n_rows
    values: list[list[object]] = [[] for _ in file.columns]
    for place, at in enumerate(file.order):
        column = file.columns[at]
        texts = [record[place] for record in records]
        assert texts == [file.dialect.null if cell is None else cell for cell in column.cells]
        pairs = zip(texts, column.cells, strict=True)
        values[at] = [None if cell is None else column.kind.meaning(text) for text, cell in pairs]
    return values


@QUICK
@given(file=qlik_files())
def test_every_cell_comes_out_as_python_reads_it(passage: Passage, file: QlikFile) -> None:
    arrived = passage.take_ods(file.data(), file.sidecar())
    assert arrived.load.error is None
    assert arrived.rows is not None
    assert arrived.rows.column_names == [column.name.lower() for column in file.columns]
    for column, values, read in zip(file.columns, expected(file), arrived.rows.columns, strict=True):
        assert str(read.type) == column.arrow, column.kind
        assert as_read(read, column.kind) == values, column.kind
    assert (arrived.load.n_rows, arrived.rows.num_rows) == (file.n_rows, file.n_rows)


@settings(QUICK, max_examples=5)
@example(file=HARDLY_ANYTHING_BUT_LINE_ENDS)
@given(file=qlik_files(most_rows=5))
def test_a_large_file_comes_out_as_its_rows_do_in_a_small_one(passage: Passage, file: QlikFile) -> None:
    assume(file.n_rows)
    times = 3_000_000 // len(file.text()) + 1
    large = replace(file, columns=[replace(column, cells=column.cells * times) for column in file.columns])
    small_rows = passage.take_ods(file.data(), file.sidecar()).rows
    large_rows = passage.take_ods(large.data(), large.sidecar()).rows
    assert small_rows is not None
    assert large_rows is not None
    assert large_rows.combine_chunks() == pa.concat_tables([small_rows] * times).combine_chunks()


def with_a_misfit(file: QlikFile, column: Column, row: int, misfit: str) -> QlikFile:
    """Put a text into one cell."""
    cells = [misfit if at == row else cell for at, cell in enumerate(column.cells)]
    columns = [replace(one, cells=cells) if one is column else one for one in file.columns]
    return replace(file, columns=columns)


@QUICK
@given(file=qlik_files(), data=st.data())
def test_one_cell_that_does_not_fit_is_named_and_nothing_is_written(
    passage: Passage, file: QlikFile, data: st.DataObject
) -> None:
    typed = [column for column in file.columns if column.kind.misfits and column.arrow != "string"]
    assume(file.n_rows and typed and file.dialect.quote)
    column, row = data.draw(st.sampled_from(typed)), data.draw(st.integers(0, file.n_rows - 1))
    misfit = data.draw(st.sampled_from(column.kind.misfits))
    arrived = passage.take_ods(with_a_misfit(file, column, row, misfit).data(), file.sidecar())
    assert arrived.reason == ("bad_value", row + 1, column.name.lower())
    assert arrived.rows is None
