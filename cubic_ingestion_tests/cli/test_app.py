"""How ``cubic`` starts, explains itself, and says that it could not run."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cubic_ingestion.cli.app import app
from cubic_ingestion_tests.cli.conftest import Cubic

CUBIC = str(Path(sys.executable).with_name("cubic"))


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))
LEAVES = [path for path, command in ALL.items() if not hasattr(command, "commands")]


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, cubic_ingestion.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"dagster", "duckdb", "numpy", "pandas", "pyarrow", "sqlalchemy", "alembic"} & set(done.stdout.split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(cubic: Cubic, path: tuple[str, ...]) -> None:
    outcome = cubic(*path, "--help")
    assert outcome.exit_code == 0
    assert "Usage:" in outcome.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...]) -> None:
    assert f"cubic {' '.join(path)}" in (ALL[path].help or "").partition("Example: ")[2]


@pytest.mark.parametrize("path", [path for path in LEAVES if path[0] not in {"demo", "db", "metrics"}], ids=" ".join)
def test_every_command_that_reads_prints_json_if_asked(path: tuple[str, ...]) -> None:
    assert "--json" in {option for parameter in ALL[path].params for option in parameter.opts}


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("CUBIC_CLAIM_TIMEOUT_SECONDS", "soon", "CUBIC_CLAIM_TIMEOUT_SECONDS: Input should be a valid integer"),
        ("CUBIC_MAX_ATTEMPTS", "0", "CUBIC_MAX_ATTEMPTS: Input should be greater than or equal to 1"),
        ("CUBIC_CATALOG", "hive", "CUBIC_CATALOG: Input should be 'duckdb'"),
        ("CUBIC_DATABASE_URL", "nonsense", "CUBIC_DATABASE_URL: It is no database URL"),
        ("CUBIC_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x", "The ledger could not be reached"),
        ("CUBIC_INCOMING_URL", "gopher://x/", "CUBIC_INCOMING_URL: The scheme 'gopher' is not supported"),
        ("CUBIC_HOME", "/proc/nowhere/.cubic", "CUBIC_HOME: '/proc/nowhere/.cubic' cannot be made"),
        ("CUBIC_HOME", "/etc/hostname", "CUBIC_HOME: '/etc/hostname' cannot be made"),
        ("CUBIC_TABLES_DIR", "missing", "missing:1: There is no such folder."),
        ("DAGSTER_HOME", "/nowhere", "DAGSTER_HOME: '/nowhere' is no folder's absolute path."),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_2(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, words: str
) -> None:
    monkeypatch.setenv(setting, value)

    outcome = cubic("ingest")

    assert outcome.exit_code == 2
    assert outcome.out == ""
    assert outcome.error.startswith(f"error: {words}")
    assert len(outcome.error.splitlines()) == 1
    assert "secret" not in outcome.error
    assert home.parent.is_dir()


@pytest.mark.parametrize("name", ["CUBIC_TABLES_DIR", "CUBIC_HOME", "DAGSTER_HOME", "CUBIC_MAX_ATTEMPTS"])
def test_a_setting_set_to_nothing_is_not_set(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "")
    (home.parent / "pyproject.toml").write_text("[project]\n")

    assert cubic("ingest").exit_code == 0
    assert {path.name for path in home.parent.iterdir()} == {".cubic", "pyproject.toml"}


def test_a_dotenv_is_read_and_the_environment_wins(cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.parent / ".env").write_text("CUBIC_HOME=other\nCUBIC_MAX_ATTEMPTS=none\nUNRELATED=1\n")
    assert cubic("ingest").error.startswith("error: CUBIC_MAX_ATTEMPTS")
    monkeypatch.setenv("CUBIC_MAX_ATTEMPTS", "3")
    assert cubic("ingest").exit_code == 0
    assert not (home.parent / "other").exists()


@pytest.mark.parametrize("command", [("ingest",), ("status",), ("demo",), ("tables", "list"), ("loads", "list")])
def test_a_broken_declaration_is_named_with_file_and_line(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    cubic("db", "upgrade")
    declared = home.parent / "tables" / "mine.toml"
    declared.parent.mkdir()
    declared.write_text('[table]\nname = "x"\n')
    monkeypatch.setenv("CUBIC_TABLES_DIR", "tables")

    outcome = cubic(*command)

    assert outcome.exit_code == 2
    assert outcome.error.startswith("error: tables/mine.toml:1: ")
    assert "'[[table]]'" in outcome.error  # Rich would take brackets for markup


def test_checking_tables_names_every_mistake(cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cubic("tables", "check").text == "All declarations are sound."
    assert cubic("tables", "check", "--json").json == []
    declared = home.parent / "tables" / "mine.toml"
    declared.parent.mkdir()
    declared.write_text('[[table]]\nstream = "dmap"\nname = "cubic__dmap__x"\n\n[extra]\n')
    monkeypatch.setenv("CUBIC_TABLES_DIR", "tables")

    outcome = cubic("tables", "check", "--json")

    assert outcome.exit_code == 1
    assert [mistake.split(" ")[0] for mistake in outcome.json] == ["tables/mine.toml:5:", "tables/mine.toml:1:"]
    assert cubic("tables", "check").out.splitlines()[:2] == outcome.json


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("loads", "show"),
        ("loads", "show", "abc"),
        ("loads", "show", "0"),
        ("loads", "show", "99999999999999999999"),
        ("loads", "list", "--limit", "0"),
        ("loads", "list", "--limit", "99999999999999999999"),
        ("loads", "list", "--status", "nonsense"),
        ("ingest", "--nonsense"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_cannot_be_understood_is_exit_code_2(cubic: Cubic, arguments: tuple[str, ...]) -> None:
    outcome = cubic(*arguments)
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.error


def test_a_defect_is_a_traceback_and_not_exit_code_1(cubic: Cubic, home: Path) -> None:
    assert cubic("db", "upgrade").exit_code == 0
    (home / "metadata.sqlite").write_bytes(b"this is no database, though long enough to be one" * 100)

    outcome = cubic("ingest")

    assert outcome.exit_code == 2


def test_a_database_of_another_revision_asks_for_the_upgrade(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    monkeypatch.setenv("CUBIC_DATABASE_URL", f"sqlite:///{home / 'mine.sqlite'}")

    outcome = cubic("status")

    assert outcome.exit_code == 2
    assert "Run 'cubic db upgrade'." in outcome.error
    assert cubic("db", "upgrade").exit_code == 0
    assert cubic("status").exit_code == 0


@pytest.mark.parametrize("folder", ["incoming", "incoming/archive"])
def test_a_bucket_within_another_is_refused(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("CUBIC_ARCHIVE_URL", f"{home}/{folder}")
    outcome = cubic("status")
    assert outcome.exit_code == 2
    assert "bucket is, or lies in, the" in outcome.error


def test_a_table_that_is_not_declared_is_named(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()
    outcome = cubic("loads", "list", "--table", "cubic__dmap__nope")
    assert outcome.exit_code == 2
    assert "cubic__dmap__nope" in outcome.error
