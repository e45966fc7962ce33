"""What every load ledger promises of schemas and of bad values."""

from collections.abc import Sequence

from cubic_ingestion.domain.load import Load, LoadError, LoadSchema
from cubic_ingestion.domain.table import Column, ColumnRoles
from cubic_ingestion.errors import BadCell
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.contracts.ledgers import BASE, DAY, DMAP, an_ingested, claim, ready, reread

ONE = (Column("id", "int64", source_type="INT4"), Column("größe'; --", "string"))
OTHER = (Column("id", "int64", source_type="INT8"),)


def test_schemas_are_known_in_the_order_in_which_they_came(ledger: Ledger) -> None:
    a, b, c = ready(ledger, "a.csv", "b.csv", "c.csv")
    claim(ledger)
    assert ledger.schemas.known(DMAP.name) == []
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(a, columns=ONE), an_ingested(b, columns=ONE)])
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(c, columns=OTHER)])
    assert ledger.schemas.known(DMAP.name) == [ONE, OTHER]
    assert ledger.schemas.known(BASE.name) == []


def test_a_change_is_the_load_after_which_columns_differ(ledger: Ledger) -> None:
    loads = ready(ledger, "a.csv", "b.csv", "c.csv", "d.csv")
    claim(ledger)
    schemas = (ONE, ONE, OTHER, ONE)
    ledger.outcomes.complete_ingest(
        "run-1/a", [an_ingested(load, columns=columns) for load, columns in zip(loads, schemas, strict=True)]
    )
    _, b, c, d = (LoadSchema(load.id, load.version.key, columns) for load, columns in zip(loads, schemas, strict=True))
    assert ledger.schemas.changes(DMAP.name) == [(b, c), (c, d)]


def ingest_with(ledger: Ledger, *roles: ColumnRoles | None) -> Sequence[Load]:
    """Ingest a file for each, all with the same columns."""
    loads = ready(ledger, *(f"{number}.csv" for number in range(len(roles))))
    claim(ledger)
    ledger.outcomes.complete_ingest(
        "run-1/a", [an_ingested(load, columns=ONE, roles=each) for load, each in zip(loads, roles, strict=True)]
    )
    return loads


def test_the_key_and_the_headers_of_a_file_are_on_record_with_its_columns(ledger: Ledger) -> None:
    keyed, rekeyed = ColumnRoles(("größe'; --", "id"), ("header__change_seq",)), ColumnRoles(("id",))
    loads = ingest_with(ledger, keyed, keyed, rekeyed)
    _, before, after = (
        LoadSchema(load.id, load.version.key, ONE, roles)
        for load, roles in zip(loads, (keyed, keyed, rekeyed), strict=True)
    )
    assert ledger.schemas.changes(DMAP.name) == [(before, after)]
    assert ledger.schemas.keys(DMAP.name) == [keyed.primary_key, rekeyed.primary_key]


def test_columns_that_came_with_several_keys_are_known_once_with_all_their_files(ledger: Ledger) -> None:
    loads = ingest_with(ledger, ColumnRoles(("id",)), ColumnRoles(), None)
    places = [f"{load.version.key}.parquet" for load in loads]
    assert ledger.schemas.known(DMAP.name) == [ONE]
    assert ledger.schemas.locations(DMAP.name) == {ONE: places}
    assert ledger.schemas.columns_at(places) == dict.fromkeys(places, ONE)
    assert [file.primary_key for file in ledger.partitions.newest_files(DMAP.name, [DAY], 3)[DAY]] == [(), (), ("id",)]


def test_a_file_that_says_nothing_of_a_key_hides_no_change_between_its_neighbours(ledger: Ledger) -> None:
    one, other = ColumnRoles(("id",)), ColumnRoles()
    ingest_with(ledger, None, one, None, other)
    changes = ledger.schemas.changes(DMAP.name)
    assert [(before.roles, after.roles) for before, after in changes] == [(None, one), (one, one), (one, other)]


def test_a_load_that_was_not_read_has_no_schema(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)])
    assert ledger.schemas.known(DMAP.name) == []


def test_quarantined_records_are_counted_and_their_loads_listed(ledger: Ledger) -> None:
    a, b, c = ready(ledger, "a.csv", "b.csv", "c.csv")
    claim(ledger)
    ledger.outcomes.complete_ingest(
        "run-1/a", [an_ingested(a, n_quarantined=2), an_ingested(b), an_ingested(c, n_quarantined=5)]
    )
    assert [load.id for load in ledger.trouble.quarantined()] == [a.id, c.id]
    assert ledger.trouble.quarantined([BASE.name]) == []
    assert [load.id for load in ledger.trouble.quarantined(limit=1)] == [a.id]
    assert [load.id for load in ledger.trouble.quarantined([DMAP.name], after=a.id, limit=9)] == [c.id]
    assert ledger.partitions.totals(DMAP.name, [DAY])[DAY].n_quarantined == 7
    assert [count.n_quarantined for count in ledger.queries.status_counts()] == [7]


def test_bad_cells_are_kept_as_they_are(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    cells = (BadCell(1, "n", "'; drop table cubic_loads; --", "int64"), BadCell(2, "n", '🚌\n"', "int64"))
    error = LoadError("bad_value", "It is bad.", 1, "n", cells)
    assert ledger.outcomes.reject(load.id, error)
    assert reread(ledger, load).error == error
