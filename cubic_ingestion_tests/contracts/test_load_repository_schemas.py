"""What every load repository promises of schemas and of bad values."""

from cubic_ingestion.domain.load import LoadError, LoadSchema
from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import BadCell
from cubic_ingestion.ports import LoadRepository
from cubic_ingestion_tests.contracts.ledgers import BASE, DAY, DMAP, an_ingested, claim, ready, reread

ONE = (Column("id", "int64", source_type="INT4"), Column("größe'; --", "string"))
OTHER = (Column("id", "int64", source_type="INT8"),)


def test_schemas_are_known_in_the_order_in_which_they_came(repository: LoadRepository) -> None:
    a, b, c = ready(repository, "a.csv", "b.csv", "c.csv")
    claim(repository)
    assert repository.known_schemas(DMAP.name) == []
    repository.complete_ingest("run-1/a", [an_ingested(a, columns=ONE), an_ingested(b, columns=ONE)])
    repository.complete_ingest("run-1/a", [an_ingested(c, columns=OTHER)])
    assert repository.known_schemas(DMAP.name) == [ONE, OTHER]
    assert repository.known_schemas(BASE.name) == []


def test_a_change_is_the_load_after_which_columns_differ(repository: LoadRepository) -> None:
    loads = ready(repository, "a.csv", "b.csv", "c.csv", "d.csv")
    claim(repository)
    schemas = (ONE, ONE, OTHER, ONE)
    repository.complete_ingest(
        "run-1/a", [an_ingested(load, columns=columns) for load, columns in zip(loads, schemas, strict=True)]
    )
    _, b, c, d = (LoadSchema(load.id, load.version.key, columns) for load, columns in zip(loads, schemas, strict=True))
    assert repository.schema_changes(DMAP.name) == [(b, c), (c, d)]


def test_a_load_that_was_not_read_has_no_schema(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    claim(repository)
    repository.complete_ingest("run-1/a", [an_ingested(load)])
    assert repository.known_schemas(DMAP.name) == []


def test_quarantined_records_are_counted_and_their_loads_listed(repository: LoadRepository) -> None:
    a, b, c = ready(repository, "a.csv", "b.csv", "c.csv")
    claim(repository)
    repository.complete_ingest(
        "run-1/a", [an_ingested(a, n_quarantined=2), an_ingested(b), an_ingested(c, n_quarantined=5)]
    )
    assert [load.id for load in repository.quarantined()] == [a.id, c.id]
    assert repository.quarantined([BASE.name]) == []
    assert [load.id for load in repository.quarantined(limit=1)] == [a.id]
    assert [load.id for load in repository.quarantined([DMAP.name], after=a.id, limit=9)] == [c.id]
    assert repository.partition_totals(DMAP.name, [DAY])[DAY].n_quarantined == 7
    assert [count.n_quarantined for count in repository.status_counts()] == [7]


def test_bad_cells_are_kept_as_they_are(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    cells = (BadCell(1, "n", "'; drop table cubic_loads; --", "int64"), BadCell(2, "n", '🚌\n"', "int64"))
    error = LoadError("bad_value", "It is bad.", 1, "n", cells)
    assert repository.reject(load.id, error)
    assert reread(repository, load).error == error
