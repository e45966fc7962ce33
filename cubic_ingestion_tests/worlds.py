"""Folders that are filled once a process and laid out anew for each test, as a migrated database is."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cubic_ingestion_tests.depot import Depot


class _File(NamedTuple):
    data: bytes
    modified_ns: int


World = dict[Path, _File]
"""What lies in a folder, by path; folders are there for their files alone, as in the local object store."""


def remember(fill: Callable[[Path], Depot]) -> World:
    """Let a depot be filled, close it and return all its files."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root).platform.ledger.close()
        paths = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root): _File(path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def lay_out(world: World, root: Path) -> None:
    """Write the files into a folder, as old as they are; only the zones' etags are new, as after a restore."""
    for relative, file in world.items():
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        os.utime(path, ns=(file.modified_ns, file.modified_ns))
