"""Depots that are filled once a process and laid out anew for each test, as a migrated database is."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.depot import Depot

_INCOMING = Path("incoming")


class _File(NamedTuple):
    data: bytes
    modified_ns: int
    etag: str | None


World = dict[Path, _File]
"""What lies in a folder, by path; folders are there for their files alone, as in the local object store."""


def remember(fill: Callable[[Path], Depot]) -> World:
    """Let a depot be filled, close it and return all its files."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root).platform.ledger.close()
        paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        return {
            path: _File((root / path).read_bytes(), (root / path).stat().st_mtime_ns, _etag(root, path))
            for path in paths
        }


def lay_out(world: World, root: Path) -> None:
    """Write the files into a folder, as old as they were; what the ledger knows of Incoming still stands there."""
    for relative, file in world.items():
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        os.utime(path, ns=(file.modified_ns, file.modified_ns))
    etags = [(_etag(root, path), file.etag) for path, file in world.items() if file.etag]
    with closing(sqlite3.connect(root / "metadata.sqlite")) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany("UPDATE cubic_loads SET s3_etag = ? WHERE s3_etag = ?", etags)
        connection.executemany("UPDATE cubic_loads SET sidecar_etag = ? WHERE sidecar_etag = ?", etags)


def _etag(root: Path, path: Path) -> str | None:
    """Return the etag of a file of Incoming, which the local object store makes of the file's number, too."""
    if not path.is_relative_to(_INCOMING):
        return None
    version = LocalObjectStore(root / _INCOMING).head(str(path.relative_to(_INCOMING)))
    return version and version.etag
