"""DuckDB files for tests that open many: attached to one instance, since to begin one takes longer than all else.

A conftest imports both fixtures.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self

import duckdb
import pytest

_number = count()


class _Attached:
    """A connection with a DuckDB file that an instance which is there already has attached."""

    def __init__(self, instance: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> None:  # noqa: FBT001 - DuckDB's
        self._name = f"file_{next(_number)}"
        self._cursor = instance.cursor()
        quoted = str(path).replace("'", "''")
        self._cursor.execute(f"ATTACH '{quoted}' AS {self._name}{' (READ_ONLY)' if read_only else ''}")
        self._cursor.execute(f"USE {self._name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def close(self) -> None:
        """Leave the file as a closed connection does."""
        self._cursor.execute("USE memory")
        self._cursor.execute(f"DETACH {self._name}")
        self._cursor.close()


@pytest.fixture(scope="session")
def duckdb_instance() -> Iterator[duckdb.DuckDBPyConnection]:
    """The one instance of this process."""
    with duckdb.connect(config={"enable_external_file_cache": False}) as instance:
        yield instance


@pytest.fixture(autouse=True)
def duckdb_is_there_already(duckdb_instance: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attach what is to be opened; an instance in memory, or with a configuration of its own, is begun as ever."""
    begin = duckdb.connect

    def connect(path: Path | None = None, *, read_only: bool = False, **options: Any) -> Any:
        if options:
            return begin(path or ":memory:", **options)
        return _Attached(duckdb_instance, path, read_only) if path else begin()

    monkeypatch.setattr(duckdb, "connect", connect)
