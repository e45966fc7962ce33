"""What is Glue's own: how much a call carries, who else writes, and what its refusals mean.

Calls go over HTTP to moto's server. Where Glue would answer what moto cannot be brought to, the answer alone is put in
its place, at the last moment before botocore reads it.
"""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ReadTimeoutError

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import CatalogUnavailableError, SettingsError
from cubic_ingestion.ports import CatalogEntry, CatalogPartition
from cubic_ingestion_tests.builders import a_table, an_ods_table
from cubic_ingestion_tests.catalog.wire import SCHEMA, TABLE, Wire, an_entry, definition
from cubic_ingestion_tests.glue import columns_of, partitions_of

pytestmark = pytest.mark.slow


@pytest.fixture
def catalog(glue: Any, database: str) -> GlueTableCatalog:
    """A catalog in an empty Glue."""
    assert glue
    return GlueTableCatalog(database)


@pytest.fixture
def wire(catalog: GlueTableCatalog, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """What that catalog sends; pauses between tries are left out."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    return Wire(catalog)


def test_a_table_is_as_athena_wants_it(catalog: GlueTableCatalog, glue: Any, database: str) -> None:
    table = an_ods_table(
        is_raw=False, description="Sample.", columns=(Column("sample_id", "int64", description="Which one."),)
    )
    location = "s3://springboard/cubic/ods_qlik/EDW.SAMPLE/"
    schema = pa.schema([("sample_id", pa.int64()), ("amount", pa.decimal128(19, 4)), ("seen_at", pa.timestamp("us"))])
    folder = f"{location}snapshot=20220301T000000Z/identifier=LOAD1.csv.gz/"
    values = ("20220301T000000Z", "LOAD1.csv.gz")
    partition = CatalogPartition(values, folder, schema)
    entry = CatalogEntry(table, location, schema, partition_names=("snapshot", "identifier"), partitions=[partition])

    assert catalog.register([entry]) == {}

    made = definition(glue, database, table.name)
    storage = made["StorageDescriptor"]
    assert (made["TableType"], made["Description"], made["Parameters"]["EXTERNAL"]) == (
        "EXTERNAL_TABLE",
        "Sample.",
        "TRUE",
    )
    assert made["PartitionKeys"] == [
        {"Name": "snapshot", "Type": "string"},
        {"Name": "identifier", "Type": "string"},
    ]
    assert columns_of(made) == {"sample_id": "bigint", "amount": "decimal(19,4)", "seen_at": "timestamp"}
    assert storage["Columns"][0]["Comment"] == "Which one."
    assert storage["Location"] == location
    assert storage["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")
    (found,) = partitions_of(glue, database, table.name).items()
    assert found[0] == values
    assert found[1]["StorageDescriptor"]["Location"] == folder


def test_a_column_that_athena_has_no_type_for_is_left_out(catalog: GlueTableCatalog, glue: Any, database: str) -> None:
    schema = pa.schema([("a", pa.int64()), ("big", pa.uint64()), ("at", pa.time64("ns"))])

    assert catalog.register([an_entry(schema=schema)]) == {}

    assert columns_of(definition(glue, database)) == {"a": "bigint"}


def listed(catalog: GlueTableCatalog) -> list[tuple[str, ...]]:
    """Return the partitions of the table that Glue lists."""
    return [values for page in catalog.partitions(TABLE) for values in page]


def test_many_partitions_go_in_calls_as_large_as_glue_takes(
    catalog: GlueTableCatalog, wire: Wire, glue: Any, database: str
) -> None:
    calls_back: list[None] = []
    assert catalog.register([an_entry(250)], lambda: calls_back.append(None)) == {}
    assert len(calls_back) == 4  # the table, and three pages of new partitions

    assert len(partitions_of(glue, database, TABLE.name)) == 250
    assert wire.calls == {
        "GetDatabase": 1,
        "CreateDatabase": 1,
        "GetTable": 1,
        "CreateTable": 1,
        "BatchGetPartition": 1,
        "BatchCreatePartition": 3,
    }
    assert sum(len(page) for page in catalog.partitions(TABLE)) == 250


def test_what_stands_there_already_costs_a_look_and_no_write(catalog: GlueTableCatalog, wire: Wire) -> None:
    catalog.register([an_entry(3)])
    wire.calls.clear()

    assert catalog.register([an_entry(3)]) == {}

    assert wire.calls == {"GetTable": 1, "BatchGetPartition": 1}


def test_only_partitions_that_differ_are_updated(
    catalog: GlueTableCatalog, wire: Wire, glue: Any, database: str
) -> None:
    catalog.register([an_entry(3)])
    wire.calls.clear()
    wider = SCHEMA.append(pa.field("new", pa.string()))
    entry = an_entry(3)
    changed = replace(entry.partitions[1], schema=wider)

    assert catalog.register([replace(entry, schema=wider, partitions=[entry.partitions[0], changed])]) == {}

    assert wire.calls == {"GetTable": 1, "UpdateTable": 1, "BatchGetPartition": 1, "BatchUpdatePartition": 1}
    columns = {values: columns_of(each) for values, each in partitions_of(glue, database, TABLE.name).items()}
    assert ["new" in columns[f"{number}.csv",] for number in range(3)] == [False, True, False]


def test_many_partitions_that_are_gone_go_in_calls_as_large_as_glue_takes(
    catalog: GlueTableCatalog, wire: Wire
) -> None:
    catalog.register([an_entry(60)])
    gone = [(f"{number}.csv",) for number in range(5, 60)]

    assert catalog.register([an_entry(0, pa.schema([]), gone=gone)]) == {}

    assert wire.calls["BatchDeletePartition"] == 3
    assert sorted(listed(catalog)) == [(f"{number}.csv",) for number in range(5)]


def test_what_glue_leaves_unprocessed_is_asked_for_again(catalog: GlueTableCatalog, wire: Wire) -> None:
    catalog.register([an_entry(2)])
    unread = {"Partitions": [], "UnprocessedKeys": [{"Values": ["0.csv"]}, {"Values": ["1.csv"]}]}
    wire.answer("BatchGetPartition", unread, unread)

    assert catalog.register([an_entry(2)]) == {}

    assert wire.calls["BatchGetPartition"] == 1 + 3
    assert wire.calls["BatchCreatePartition"] == 1


def test_throttling_is_waited_out(catalog: GlueTableCatalog, wire: Wire) -> None:
    wire.answer("BatchCreatePartition", "ThrottlingException", "ThrottlingException")

    assert catalog.register([an_entry()]) == {}

    assert wire.calls["BatchCreatePartition"] == 3


def test_throttling_that_does_not_end_is_a_refusal_that_passes(catalog: GlueTableCatalog, wire: Wire) -> None:
    wire.answer("GetTable", *["ThrottlingException"] * 20)

    failures = catalog.register([an_entry()])

    assert isinstance(failures[TABLE.name], CatalogUnavailableError)
    assert "ThrottlingException" in str(failures[TABLE.name])
    assert wire.calls["GetTable"] == 6


def test_a_glue_that_does_not_answer_is_not_asked_for_each_table(catalog: GlueTableCatalog, wire: Wire) -> None:
    wire.answer("GetTable", *[ReadTimeoutError(endpoint_url="http://glue")] * 6)
    others = [replace(an_entry(), table=a_table(f"other_{number}")) for number in range(5)]

    failures = catalog.register([an_entry(), *others])

    assert len(failures) == 6
    assert wire.calls["GetTable"] == 6  # all of them for the first


@pytest.mark.parametrize("number", range(3))
def test_two_writers_that_meet_lose_nothing(glue: Any, database: str, number: int) -> None:
    together, n_writers = Barrier(4), 4

    def write(writer: int) -> list[Any]:
        catalog = GlueTableCatalog(database)
        schema = SCHEMA.append(pa.field(f"column_{writer}", pa.string()))
        together.wait()
        # Half of the partitions are everybody's, half are the writer's own.
        mine = an_entry(20, schema)
        own = [replace(each, values=(f"{writer}-{each.values[0]}",)) for each in mine.partitions]
        failures = [catalog.register([replace(mine, partitions=[*an_entry(20).partitions, *own])]) for _ in range(2)]
        return [failure for each in failures for failure in each.values()]

    with ThreadPoolExecutor(n_writers) as pool:
        assert list(pool.map(write, range(n_writers))) == [[]] * n_writers, number

    assert columns_of(definition(glue, database)).keys() == {
        *SCHEMA.names,
        *(f"column_{writer}" for writer in range(n_writers)),
    }
    assert len(partitions_of(glue, database, TABLE.name)) == 20 * (1 + n_writers)


def test_a_column_that_another_writer_adds_in_between_is_kept(
    catalog: GlueTableCatalog, wire: Wire, glue: Any, database: str
) -> None:
    catalog.register([an_entry()])
    theirs = SCHEMA.append(pa.field("theirs", pa.string()))
    wire.answer("UpdateTable", lambda: GlueTableCatalog(database).register([an_entry(schema=theirs)]))
    ours = SCHEMA.append(pa.field("ours", pa.string()))

    assert catalog.register([an_entry(schema=ours)]) == {}

    assert columns_of(definition(glue, database)).keys() == {*SCHEMA.names, "ours", "theirs"}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("CreateDatabase", "AlreadyExistsException"),
        ("CreateTable", "AlreadyExistsException"),
        ("UpdateTable", "ConcurrentModificationException"),
    ],
)
def test_another_writer_that_comes_first_is_no_trouble(
    catalog: GlueTableCatalog, wire: Wire, database: str, operation: str, code: str
) -> None:
    first = GlueTableCatalog(database)
    if operation == "UpdateTable":
        first.register([an_entry()])
        wire.answer(operation, code)
        entry = an_entry(schema=SCHEMA.append(pa.field("new", pa.string())))
    else:
        wire.answer(operation, lambda: first.register([an_entry()]))
        entry = an_entry()

    assert catalog.register([entry]) == {}

    assert listed(catalog) == [("0.csv",)]


def test_a_partition_that_another_writer_creates_in_between_is_brought_up_to_date(
    catalog: GlueTableCatalog, wire: Wire, glue: Any, database: str
) -> None:
    catalog.register([an_entry(0)])
    old = pa.schema([("sample_id", pa.string())])
    first = GlueTableCatalog(database)
    wire.answer("BatchCreatePartition", lambda: first.register([an_entry(2, old)]))

    assert catalog.register([an_entry(3)]) == {}

    found = partitions_of(glue, database, TABLE.name)
    assert {tuple(columns_of(each)) for each in found.values()} == {tuple(SCHEMA.names)}
    assert len(found) == 3


def test_a_partition_that_is_contested_for_ever_is_a_refusal_that_passes(catalog: GlueTableCatalog, wire: Wire) -> None:
    detail = {"ErrorCode": "AlreadyExistsException", "ErrorMessage": "again"}
    wire.answer("BatchCreatePartition", *[{"Errors": [{"PartitionValues": ["0.csv"], "ErrorDetail": detail}]}] * 5)

    failures = catalog.register([an_entry()])

    assert "others change the same 1 partitions" in str(failures[TABLE.name])


def test_a_partition_that_glue_refuses_names_it(catalog: GlueTableCatalog, wire: Wire) -> None:
    detail = {"ErrorCode": "InternalServiceException", "ErrorMessage": "ouch"}
    wire.answer("BatchCreatePartition", {"Errors": [{"PartitionValues": ["0.csv"], "ErrorDetail": detail}]})

    failures = catalog.register([an_entry()])

    assert isinstance(failures[TABLE.name], CatalogUnavailableError)
    assert "0.csv: InternalServiceException: ouch" in str(failures[TABLE.name])


def test_what_people_added_to_a_table_is_kept(catalog: GlueTableCatalog, glue: Any, database: str) -> None:
    catalog.register([an_entry()])
    made = definition(glue, database)
    storage = made["StorageDescriptor"]
    storage["Columns"][0]["Comment"] = "Ours."
    table = {
        "Name": TABLE.name,
        "TableType": made["TableType"],
        "PartitionKeys": made["PartitionKeys"],
        "StorageDescriptor": storage,
        "Parameters": {**made["Parameters"], "projection.enabled": "true"},
        "Owner": "analysts",
    }
    glue.update_table(DatabaseName=database, TableInput=table)

    assert catalog.register([an_entry(schema=SCHEMA.append(pa.field("new", pa.string())))]) == {}

    now = definition(glue, database)
    assert (now["Owner"], now["Parameters"]["projection.enabled"]) == ("analysts", "true")
    assert now["StorageDescriptor"]["Columns"][0]["Comment"] == "Ours."
    assert "new" in columns_of(now)


@pytest.mark.parametrize(
    ("theirs", "what"),
    [
        ({"TableType": "VIRTUAL_VIEW"}, "a VIRTUAL_VIEW"),
        ({"TableType": "EXTERNAL_TABLE", "Parameters": {"table_type": "ICEBERG"}}, "a ICEBERG"),
        ({"TableType": "EXTERNAL_TABLE", "PartitionKeys": [{"Name": "day", "Type": "string"}]}, "partitioned by day"),
    ],
)
def test_a_table_of_somebody_else_is_left_alone(
    catalog: GlueTableCatalog, glue: Any, database: str, theirs: dict[str, Any], what: str
) -> None:
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput={"Name": TABLE.name, **theirs})

    failures = catalog.register([an_entry()])

    assert isinstance(failures[TABLE.name], SettingsError)
    assert what in str(failures[TABLE.name])
    assert definition(glue, database)["TableType"] == theirs["TableType"]


def test_a_database_that_somebody_drops_is_made_again(catalog: GlueTableCatalog, glue: Any, database: str) -> None:
    catalog.register([an_entry()])
    glue.delete_table(DatabaseName=database, Name=TABLE.name)
    glue.delete_database(Name=database)

    failures = catalog.register([an_entry()])
    assert list(failures) == [TABLE.name]
    assert listed(catalog) == []

    assert catalog.register([an_entry()]) == {}
    assert listed(catalog) == [("0.csv",)]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDeniedException", "CUBIC_GLUE_DATABASE: AWS refuses"),
        ("UnrecognizedClientException", "CUBIC_CATALOG: AWS does not know these credentials"),
    ],
)
def test_what_a_person_has_to_permit_is_a_matter_of_settings(
    catalog: GlueTableCatalog, wire: Wire, code: str, says: str
) -> None:
    wire.answer("GetDatabase", code)
    with pytest.raises(SettingsError, match=says):
        catalog.register([an_entry()])

    wire.answer("GetTable", code)
    failures = catalog.register([an_entry()])
    assert says in str(failures[TABLE.name])


@contextmanager
def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> Generator[None]:
    with monkeypatch.context() as patch:
        for name in names:
            patch.delenv(name)
        yield


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("AWS_REGION", "AWS_DEFAULT_REGION"), "Set AWS_REGION"),
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "There are no credentials for Glue"),
    ],
)
def test_a_missing_region_or_credential_is_named(
    glue: Any, database: str, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], says: str
) -> None:
    assert glue
    catalog = GlueTableCatalog(database)
    asks: tuple[Callable[[], object], ...] = (
        lambda: catalog.register([an_entry()]),
        lambda: listed(catalog),
    )
    with without(monkeypatch, *names):
        for ask in asks:
            with pytest.raises(SettingsError, match=says):
                ask()
