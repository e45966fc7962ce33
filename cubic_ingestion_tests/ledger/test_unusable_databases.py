"""Databases that cannot be used as they are: one line says which, why, and what to do. Nothing is a traceback."""

import sqlite3
from pathlib import Path

import pytest

from cubic_ingestion.errors import DatabaseUnavailableError, SchemaRevisionError, SettingsError
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.upgrade import current_revision, require_newest
from cubic_ingestion_tests.databases import POSTGRES_LIMITS, an_engine, upgrade_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the SQLite file is."""
    return tmp_path / "metadata.sqlite"


def test_a_file_that_is_not_sqlite_is_named(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1_000)

    with pytest.raises(SettingsError, match=rf"CUBIC_DATABASE_URL: '{path}' cannot be used \(file is not a database\)"):
        upgrade_at(f"sqlite:///{path}")
    with an_engine(f"sqlite:///{path}") as engine, pytest.raises(SettingsError, match="backup"):
        require_newest(engine)
    assert path.read_bytes() == b"no database at all" * 1_000


def test_a_damaged_file_is_named(path: Path) -> None:
    upgrade_at(f"sqlite:///{path}")
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 100_000)

    with an_engine(f"sqlite:///{path}") as engine, pytest.raises(SettingsError, match=rf"'{path}' .*malformed"):
        require_newest(engine)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=rf"The folder '{tmp_path}/file/below' cannot be made"):
        upgrade_at(f"sqlite:///{tmp_path}/file/below/metadata.sqlite")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match=rf"unable to open database file: '{tmp_path}'"):
        upgrade_at(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////tmp/metadata.sqlite?bogus=secret",
        "postgresql://me:secret@host/db?bogus=secret",
        "postgresql://me:secret@host/db?sslmode=require&bogus=secret",
    ],
)
def test_an_option_that_nobody_knows_is_refused_before_anything_is_opened(url: str) -> None:
    with pytest.raises(SettingsError, match=r"CUBIC_DATABASE_URL: It has an option .* not know: 'bogus'") as refused:
        make_engine(url, POSTGRES_LIMITS)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////tmp/metadata.sqlite?timeout=5",
        "sqlite:///file:/tmp/metadata.sqlite?mode=ro&uri=true",
        "postgresql://me@/db?host=one:1&host=two:2&sslmode=verify-full&sslrootcert=ca.pem&connect_timeout=3",
    ],
)
def test_options_that_a_database_knows_are_taken(url: str) -> None:
    make_engine(url, POSTGRES_LIMITS).dispose()


def test_a_schema_that_is_newer_than_the_code_is_left_alone(path: Path) -> None:
    upgrade_at(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    with pytest.raises(SchemaRevisionError, match="run a release that knows revision 9999"):
        upgrade_at(f"sqlite:///{path}")
    with an_engine(f"sqlite:///{path}") as engine:
        with pytest.raises(SchemaRevisionError) as refused:
            require_newest(engine)
        assert "cubic db upgrade" not in str(refused.value)
        assert current_revision(engine) == "9999"
