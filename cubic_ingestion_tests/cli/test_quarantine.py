"""``cubic quarantine`` and what else a person sees of bad values and of changed columns."""

from pathlib import Path

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import depot_of

TABLE = "cubic__dmap__stops"
ENTRY = """
[[table]]
stream = "dmap"
name = "cubic__dmap__stops"
prefix = "cubic/dmap/stops/"
on_bad_value = "quarantine"

[table.columns]
id = "int64"
n = "{n}"
"""


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> "object":
    """Declare the table with a type for ``n``."""
    del home
    folder = tmp_path / "tables"
    folder.mkdir()
    monkeypatch.setenv("CUBIC_TABLES_DIR", str(folder))

    def write(n: str) -> None:
        (folder / "stops.toml").write_text(ENTRY.format(n=n))

    write("int64")
    return write


def test_nothing_is_in_quarantine_at_first(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()
    assert cubic("quarantine", "list").text.startswith("Nothing is in quarantine.")
    assert cubic("quarantine", "replay", "--json").json == {"loads": [], "failures": []}


def test_what_fits_a_new_declaration_leaves_quarantine(cubic: Cubic, home: Path, declare: object) -> None:
    depot_of(home).put("cubic/dmap/stops/20220304.csv", b"id,n\n1,1\n2,1.5\nx,3\n")
    assert cubic("ingest").exit_code == 0
    (kept,) = cubic("quarantine", "list", "--json").json
    assert (kept["table"], kept["written"], kept["quarantined"]) == (TABLE, 1, 2)
    assert kept["parquet"].endswith("/springboard/quarantine/cubic__dmap__stops/identifier=20220304.csv/part-0.parquet")
    (status,) = cubic("status", "--json").json["tables"]
    assert (status["rows"], status["quarantined"]) == (1, 2)

    declare("float64")  # type: ignore[operator] - the fixture's function
    for was in (2, 1):
        outcome = cubic("quarantine", "replay", "--table", TABLE, "--json")
        assert outcome.exit_code == 1
        (load,) = outcome.json["loads"]
        assert (load["was_quarantined"], load["written"], load["quarantined"]) == (was, 2, 1)

    declare("string")  # type: ignore[operator] - the fixture's function
    depot_of(home).put("cubic/dmap/stops/20220305.csv", b"id,n,new\n4,1,a\n")
    assert cubic("ingest").exit_code == 0
    changes = cubic("tables", "changes", TABLE, "--json").json
    assert [(row["file"].rpartition("/")[2], row["column"], row["kind"]) for row in changes] == [
        ("20220305.csv", "n", "widened"),
        ("20220305.csv", "new", "added"),
    ]


@pytest.mark.parametrize("command", [("quarantine", "list", "--table"), ("tables", "changes")])
def test_a_table_that_is_not_declared_is_named(cubic: Cubic, home: Path, command: tuple[str, ...]) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()
    outcome = cubic(*command, "cubic__dmap__nowhere")
    assert outcome.exit_code == 2
    assert "no such table: cubic__dmap__nowhere" in " ".join(outcome.error.replace("│", " ").split())
