"""One data set's file, on its way to Incoming: judged on disk before anybody sees it there.

The file is judged as ingestion will read it: by its bytes, not by its name or what the server says of it. Nothing is
held in memory.
"""

import tempfile
from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import BinaryIO

from cubic_ingestion.domain.feed import FetchedDataset, Offer
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import NotTheFileError, RejectedLoadError, StoreUnavailableError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.parsing.inflate import GZIP_MAGIC, open_text
from cubic_ingestion.ports import FeedClient, ObjectStore

_BLOCK_BYTES = 1 << 20
_HEADER_BYTES = 1 << 16
_BOM = b"\xef\xbb\xbf"


def download(client: FeedClient, incoming: ObjectStore, ledger: Ledger, offer: Offer, table: Table) -> FetchedDataset:
    """Bring a data set's file to Incoming.

    Raises:
        LinkExpiredError: The offer's link is too old.
        FeedUnavailableError: The server refused or dropped the request, or sent less than it announced.
        NotTheFileError: What came is not a CSV file of this table, plain or gzip.
        StoreUnavailableError: Incoming could not be written, or the disk had no room on the way there.
    """
    with _on_disk(offer) as body:
        _receive(client, offer, body)
        is_gzip = _judge(body, offer, table)
        key = _key(incoming, ledger, table.prefix + offer.dataset.identifier, is_gzip=is_gzip)
        with incoming.writer(key) as out:
            body.seek(0)
            while block := body.read(_BLOCK_BYTES):
                out.file.write(block)
            return FetchedDataset(offer.dataset, key, out.commit().etag)


@contextmanager
def _on_disk(offer: Offer) -> Generator[BinaryIO]:
    """Open a temporary file for what is judged; what the disk says against it concerns this data set alone."""
    try:
        with tempfile.TemporaryFile() as body:
            yield body
    except OSError as error:
        reason = f"the temporary file on its way there: {error.strerror or type(error).__name__}"
        raise StoreUnavailableError(offer.dataset.identifier, reason) from error


def _receive(client: FeedClient, offer: Offer, body: BinaryIO) -> None:
    with client.download(offer) as sent:
        n_bytes = sum(body.write(chunk) for chunk in sent.chunks)
    if sent.size_bytes not in (None, n_bytes):
        raise NotTheFileError(offer.dataset.identifier, f"{sent.size_bytes} bytes were announced and {n_bytes} came")


def _judge(body: BinaryIO, offer: Offer, table: Table) -> bool:
    """Read a file through; says whether it is gzip."""
    body.seek(0)
    is_gzip = body.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    body.seek(0)
    try:
        text = open_text(body)
        start = text.read(_HEADER_BYTES)
        while is_gzip and text.read(_BLOCK_BYTES):
            pass
    except RejectedLoadError as error:
        if error.code == "gzip_bomb":  # the table's own limits say whether it is one, when it is ingested
            return is_gzip
        raise NotTheFileError(offer.dataset.identifier, error.message) from error
    if problem := _header_problem(start, {column.name for column in table.columns}):
        raise NotTheFileError(offer.dataset.identifier, problem)
    return is_gzip


def _header_problem(start: bytes, columns: Collection[str]) -> str | None:
    """Say why a text does not begin as a CSV file of a table does."""
    header = start.removeprefix(_BOM).lstrip()
    if not header:
        return "it has no header"
    if header[:1] in b"<{[":
        return "it begins as HTML, XML or JSON does"
    first_line = header.splitlines()[0].decode("utf-8", "replace")
    names = {name.strip().strip('"').lower() for name in first_line.split(",")}
    if columns and names.isdisjoint(columns):
        return "its first line names none of the table's columns"
    return None


def _key(incoming: ObjectStore, ledger: Ledger, stem: str, *, is_gzip: bool) -> str:
    """Name a file for what it is; but a restatement as the version before, so that it takes its place."""
    gzip, plain = f"{stem}.csv.gz", f"{stem}.csv"
    usual, other = (gzip, plain) if is_gzip else (plain, gzip)

    def is_known(key: str) -> bool:
        return bool(ledger.queries.versions(key)) or incoming.head(key) is not None

    return other if not is_known(usual) and is_known(other) else usual
