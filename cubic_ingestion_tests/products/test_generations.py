"""Generations of an ODS table in a depot: which is chosen, what it lacks, its key and its columns."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from cubic_ingestion.domain.generation import Choice
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.ledger.models import CubicLoad, CubicTableSchema
from cubic_ingestion.products.generation_facts import GenerationFacts, facts_of
from cubic_ingestion.products.generations import choose, lacking
from cubic_ingestion_tests.builders import a_change_table, a_dfm, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot

BASE, CT = an_ods_table(), a_change_table()
LOAD, CHANGE = f"{BASE.prefix}LOAD", f"{CT.prefix}20220304-"
OLD, NEW = "20220301T000000Z", "20220304T090000Z"
OLD_AT, NEW_AT = "2022-03-01T00:00:00.250", "2022-03-04T09:00:00.000"


def a_depot(root: Path, base: Table = BASE) -> Depot:
    return Depot.build(root, [base, CT])


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with an ODS table."""
    return a_depot(tmp_path)


def put(
    depot: Depot,
    stem: str,
    started_at: str = OLD_AT,
    *,
    columns: Sequence[str] = ("SAMPLE_ID", "SAMPLE_NAME"),
    key: Sequence[str] = ("SAMPLE_ID",),
    is_sound: bool = True,
) -> None:
    """Let a file with one row land, ingest it and archive it."""
    described = [
        {"name": name, "type": "INT4", "primaryKeyPos": key.index(name) + 1 if name in key else 0} for name in columns
    ]
    values = ["1" if is_sound else "x"] * len(columns)
    depot.put(f"{stem}.dfm", a_dfm(described, started_at=started_at))
    depot.put(f"{stem}.csv.gz", csv_gz(f"{','.join(columns)}\n{','.join(values)}\n"))
    depot.settle()


def test_a_depot_without_files_has_no_generation(depot: Depot) -> None:
    assert choose(depot.platform, BASE) == Choice(None, None, None)
    assert lacking(depot.platform, BASE, OLD) is None
    assert facts_of(depot.platform, BASE, OLD) == GenerationFacts((), (), (), None)


def test_the_first_generation_is_chosen_until_a_reload_has_changes(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    assert choose(depot.platform, BASE) == Choice(OLD, None, OLD)

    put(depot, f"{LOAD}00000001", NEW_AT)
    settles_at = depot.clock.now() + timedelta(seconds=21_600)
    assert choose(depot.platform, BASE) == Choice(OLD, settles_at, NEW)

    put(depot, f"{CHANGE}080000000")
    assert choose(depot.platform, BASE) == Choice(OLD, settles_at, NEW)

    put(depot, f"{CHANGE}090100000")
    assert choose(depot.platform, BASE) == Choice(NEW, None, NEW)


def test_a_reload_with_a_gap_in_the_names_of_its_files_waits(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    put(depot, f"{LOAD}00000001", NEW_AT)
    put(depot, f"{LOAD}00000003", NEW_AT)
    put(depot, f"{CHANGE}090100000")
    assert choose(depot.platform, BASE).generation == OLD

    put(depot, f"{LOAD}00000002", NEW_AT)
    assert choose(depot.platform, BASE).generation == NEW


def test_a_file_in_error_is_what_a_generation_lacks(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    put(depot, f"{LOAD}00000002", is_sound=False)
    (bad,) = [load for load in depot.loads() if load.error]

    said = lacking(depot.platform, BASE, OLD)

    assert said == f"'{LOAD}00000002.csv.gz' of snapshot {OLD} is in Error (load {bad.id}), so its rows are missing."
    put(depot, f"{LOAD}00000002")
    assert lacking(depot.platform, BASE, OLD) is None


def names(schemas: Sequence[Sequence[Column]]) -> list[list[str]]:
    return [[column.name for column in schema] for schema in schemas]


def test_a_generation_has_the_columns_of_its_own_files_and_the_time_of_its_snapshot(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    put(depot, f"{LOAD}00000002")
    put(depot, f"{LOAD}00000001", NEW_AT, columns=("SAMPLE_ID", "MORE"))
    put(depot, f"{CHANGE}090100000")

    old, new = facts_of(depot.platform, BASE, OLD), facts_of(depot.platform, BASE, NEW)

    assert (names(old.base), names(old.changes)) == ([["sample_id", "sample_name"]], [])
    assert (names(new.base), names(new.changes)) == ([["sample_id", "more"]], [["sample_id", "sample_name"]])
    assert (old.snapshot_at, new.snapshot_at) == (
        datetime(2022, 3, 1, microsecond=250_000, tzinfo=UTC),
        datetime(2022, 3, 4, 9, tzinfo=UTC),
    )
    assert (old.key, old.problem) == (("sample_id",), None)


def test_a_snapshot_whose_time_is_that_of_its_file_states_none(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001", "")
    (load,) = depot.loads()
    assert load.snapshot
    assert facts_of(depot.platform, BASE, f"{load.snapshot:%Y%m%dT%H%M%SZ}").snapshot_at is None


def test_the_key_is_that_of_the_newest_file_by_source_time_that_names_one(depot: Depot) -> None:
    put(depot, f"{CHANGE}100000000", key=("SAMPLE_NAME", "SAMPLE_ID"))
    put(depot, f"{LOAD}00000001", key=("SAMPLE_ID",))
    put(depot, f"{CHANGE}090000000", key=("SAMPLE_NAME",))
    put(depot, f"{CHANGE}110000000", key=())

    assert facts_of(depot.platform, BASE, OLD).key == ("sample_name", "sample_id")


def test_a_declared_key_counts_for_more_than_any_file_s(tmp_path: Path) -> None:
    base = an_ods_table(key=("sample_name",))
    depot = a_depot(tmp_path, base)
    put(depot, f"{LOAD}00000001")

    assert facts_of(depot.platform, base, OLD).key == ("sample_name",)


def test_a_table_whose_files_name_no_key_has_none(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001", key=())
    facts = facts_of(depot.platform, BASE, OLD)
    assert (facts.key, facts.problem) == ((), None)


@pytest.mark.parametrize("table", [BASE, CT], ids=["LOAD files", "change files"])
def test_a_key_column_that_no_file_of_a_table_has_leaves_it_without_a_key(tmp_path: Path, table: Table) -> None:
    base = an_ods_table(key=("sample_id", "more"))
    depot = a_depot(tmp_path, base)
    with_both, without = ("SAMPLE_ID", "MORE"), ("SAMPLE_ID", "SAMPLE_NAME")
    put(depot, f"{LOAD}00000001", columns=without if table is BASE else with_both)
    put(depot, f"{CHANGE}090100000", columns=without if table is CT else with_both)

    facts = facts_of(depot.platform, base, OLD)

    assert facts.key == ()
    assert facts.problem == (
        f"No file of '{table.name}' has the key column 'more', so the table is treated as without a key."
    )


def forget_keys(depot: Depot) -> None:
    """Make the ledger what it was before it recorded keys."""
    ledger = depot.platform.ledger
    ledger.schemas.database.write(
        lambda connection: connection.execute(update(CubicTableSchema).values(primary_key=None, header_columns=None))
    )


def test_files_from_before_keys_were_recorded_say_theirs_in_archive(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    put(depot, f"{CHANGE}090100000", key=("SAMPLE_NAME", "SAMPLE_ID"))
    put(depot, f"{CHANGE}100000000", columns=("SAMPLE_ID", "SAMPLE_NAME", "MORE"), key=())
    forget_keys(depot)
    assert not [key for key in depot.files("incoming") if key.endswith(".dfm")]

    assert facts_of(depot.platform, BASE, OLD).key == ("sample_name", "sample_id")


def test_a_dfm_in_archive_that_cannot_be_read_names_no_key(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    forget_keys(depot)
    (sidecar,) = (depot.root / "archive").rglob("*.dfm")
    sidecar.write_text("what is this")

    assert facts_of(depot.platform, BASE, OLD).key == ()


def test_a_file_from_before_schemas_were_recorded_says_its_key_in_archive(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001")
    depot.platform.ledger.schemas.database.write(
        lambda connection: connection.execute(update(CubicLoad).values(schema_id=None))
    )

    facts = facts_of(depot.platform, BASE, OLD)
    assert (facts.key, facts.base) == (("sample_id",), [])


def test_a_key_on_record_counts_for_more_than_newer_files_in_archive(depot: Depot) -> None:
    put(depot, f"{LOAD}00000001", key=())
    put(depot, f"{CHANGE}100000000", key=("SAMPLE_NAME",))
    forget_keys(depot)
    put(depot, f"{LOAD}00000002", columns=("SAMPLE_ID", "SAMPLE_NAME", "MORE"))

    assert facts_of(depot.platform, BASE, OLD).key == ("sample_id",)
