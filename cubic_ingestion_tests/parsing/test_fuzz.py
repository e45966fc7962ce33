"""Whatever bytes arrive: a parser yields rows or rejects the load. Nothing else escapes, nothing hangs."""

import csv
import gzip
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.dfm import parse_dfm
from cubic_ingestion.streams import STREAMS
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.golden import FILES, FOLDER
from cubic_ingestion_tests.parsing.passage import Passage
from cubic_ingestion_tests.parsing.qlik_files import QlikFile, qlik_files

FREE = a_table(columns=())
"""A DMAP table without declared columns: all are kept, as text."""
MANY = settings(max_examples=400, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(MANY, max_examples=60)
BATCH = b'[{"event_id": "a", "amount": 1.10, "rider": {"n": [1, null]}}, {"event_id": "\\u00e9", "amount": -2}]'


def n_rows(table: Table, data: bytes, sidecar: bytes | None = None) -> int | str:
    """Read a file to its end, as text: how many rows it has, or for which reason it is rejected."""
    try:
        records = STREAMS[table.stream].decode(table, io.BytesIO(data), sidecar, is_text=True)
        return sum(batch.num_rows for batch in records.batches)
    except RejectedLoadError as error:
        return error.code


def mutations(*originals: bytes) -> st.SearchStrategy[bytes]:
    """Sound files with a few bytes replaced, put in, taken out, doubled or cut off."""
    edit = st.tuples(st.integers(0, 10**6), st.integers(0, 12), st.one_of(st.binary(max_size=4), SYNTAX))
    return st.builds(_edited, st.sampled_from(originals), st.lists(edit, max_size=4), st.booleans())


SYNTAX = st.sampled_from(
    [b'"', b",", b"\n", b"\r", b'""', b"\\", b"\x00", b"\xff", b"{", b"}", b"[", b"]", b"\x1f\x8b"]
)


def _edited(data: bytes, edits: list[tuple[int, int, bytes]], is_cut: bool) -> bytes:  # noqa: FBT001 - drawn
    for at, n_out, put_in in edits:
        place = at % (len(data) + 1)
        data = data[:place] + put_in + data[place + n_out :]
    return data[: len(data) * 2 // 3] if is_cut else data


CSV = [file for name, file in sorted(FILES.items()) if name.endswith((".csv", ".csv.gz"))]
SIDECARS = [a_dfm(), *(path.read_bytes() for path in sorted(FOLDER.glob("*.dfm")))]
PLAIN_CSV = [gzip.decompress(file) if file[:2] == b"\x1f\x8b" else file for file in CSV]
ANYTHING = st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda data: gzip.compress(data, mtime=0)))


@MANY
@given(data=st.one_of(ANYTHING, mutations(*CSV), mutations(*PLAIN_CSV)))
def test_any_bytes_are_a_delimited_file_or_rejected(data: bytes) -> None:
    n_rows(FREE, data)


@MANY
@given(data=st.one_of(ANYTHING, mutations(BATCH, BATCH[1:-1].replace(b"}, ", b"}\n"), gzip.compress(BATCH, mtime=0))))
def test_any_bytes_are_a_batch_or_rejected(data: bytes) -> None:
    n_rows(KAFKA_TABLE, data)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.integers(-3, 50)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@MANY
@given(data=st.data())
@pytest.mark.slow
def test_a_sidecar_with_anything_anywhere_is_understood_or_rejected(data: st.DataObject) -> None:
    document = json.loads(data.draw(st.sampled_from(SIDECARS)))
    for _ in range(data.draw(st.integers(1, 3))):
        _put_somewhere(data, document, data.draw(JSON))
    _parse_dfm(json.dumps(document).encode())


def _put_somewhere(data: st.DataObject, node: object, value: object) -> None:
    """Walk down to some place of a document, and put a value there."""
    while isinstance(node, dict | list) and node:
        places = list(node) if isinstance(node, dict) else list(range(len(node)))
        place = data.draw(st.sampled_from(places))
        if not isinstance(node[place], dict | list) or data.draw(st.integers(0, 3)) == 0:
            node[place] = value
            return
        node = node[place]


@MANY
@given(data=st.one_of(ANYTHING, mutations(*SIDECARS)))
def test_any_bytes_are_a_sidecar_or_rejected(data: bytes) -> None:
    _parse_dfm(data)


def _parse_dfm(data: bytes) -> None:
    """Read a sidecar; what it declares has to be of use."""
    try:
        dfm = parse_dfm(data)
    except RejectedLoadError:
        return
    assert dfm.columns
    assert dfm.error_count >= 0
    assert arrow_schema(dfm.columns)
    n_rows(an_ods_table(), b"a,b\n1,2\n", data)


@MANY
@given(text=st.text(st.sampled_from('ab,"\n\r é'), max_size=14).map("a,b\n".__add__))
def test_where_pythons_csv_reads_records_as_wide_as_the_header_so_do_we(text: str) -> None:
    found = n_rows(FREE, text.encode())
    try:
        records = [record for record in csv.reader(io.StringIO(text, newline=""), strict=True) if record]
    except csv.Error as error:  # also for text after a closing quote, which is read here
        assert isinstance(found, str) or "unexpected end" not in str(error)  # noqa: PT017 - csv's error, not ours
    else:
        is_even = all(len(record) == 2 for record in records)
        assert found == (len(records) - 1 if is_even else "ragged_row")


@MANY
@given(text=mutations(*PLAIN_CSV), pack=st.sampled_from([bytes, gzip.compress]))
def test_a_file_that_is_read_has_as_many_rows_as_for_pythons_csv(text: bytes, pack: Callable[[bytes], bytes]) -> None:
    found = n_rows(FREE, pack(text))
    try:
        lines = io.StringIO(text.removeprefix(b"\xef\xbb\xbf").decode(), newline="")
        records = [record for record in csv.reader(lines, strict=True) if record]
    except (UnicodeDecodeError, csv.Error):
        return
    assert isinstance(found, str) or found == len(records) - 1


@MANY
@given(data=mutations(*(file for file in CSV if file[:2] == b"\x1f\x8b")))
def test_damage_to_a_gzip_file_is_never_read_over(data: bytes) -> None:
    found = n_rows(FREE, data)
    if isinstance(found, int):
        assert found == len(list(csv.reader(io.StringIO(gzip.decompress(data).decode(), newline="")))) - 1


@pytest.mark.slow
@FEW
@given(table=st.sampled_from([a_table(), KAFKA_TABLE]), data=st.one_of(ANYTHING, mutations(*PLAIN_CSV, BATCH)))
def test_any_bytes_go_to_archive_or_to_error(passage: Passage, table: Table, data: bytes) -> None:
    number = passage.next_number()
    fresh = Table(f"{table.name}{number}", table.stream, f"{table.prefix}{number}/", columns=table.columns)
    arrived = passage.take(fresh, "20220304.csv" if table.stream is StreamName.DMAP else "x.json", data)
    assert (arrived.rows is None) == (arrived.reason is not None)


@pytest.mark.slow
@FEW
@given(file=qlik_files(), data=st.data())
def test_any_full_load_goes_to_archive_or_to_error(passage: Passage, file: QlikFile, data: st.DataObject) -> None:
    arrived = passage.take_ods(data.draw(mutations(file.data())), data.draw(mutations(file.sidecar())))
    assert (arrived.rows is None) == (arrived.reason is not None)


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Passage:
    return Passage(tmp_path_factory.mktemp("passage"))
