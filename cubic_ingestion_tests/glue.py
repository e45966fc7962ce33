"""The Glue Data Catalog for tests: moto's server over HTTP, and a reader that finds rows as Athena does.

A conftest imports the fixtures it wants. One server serves a session; each test has a database name of its own.
"""

from collections.abc import Iterator
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pytest
from boto3.session import Session
from moto.core.exceptions import JsonRESTError
from moto.glue.responses import GlueResponse
from moto.server import ThreadedMotoServer

from cubic_ingestion_tests.aws_models import read_aws_models_once

read_aws_models_once()

Rows = list[tuple[Any, ...]]

_number = count()


@pytest.fixture(scope="session")
def glue_url() -> Iterator[str]:
    """Return the endpoint of a Glue that is empty at first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GlueResponse, "update_table", _update_table)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


_moto_update_table = GlueResponse.update_table
_one_at_a_time = Lock()


def _update_table(response: GlueResponse) -> Any:
    """Refuse to replace another version than the one that is named, as Glue does and moto does not.

    https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html
    """
    names = response.parameters["DatabaseName"], response.parameters["TableInput"]["Name"]
    with _one_at_a_time:
        standing = response.glue_backend.get_table(*names).as_dict()["VersionId"]
        if response.parameters.get("VersionId", standing) != standing:
            raise JsonRESTError("ConcurrentModificationException", f"The table is at version {standing}.")
        return _moto_update_table(response)


@pytest.fixture
def glue(glue_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Let the environment point to that Glue, and return a client of it."""
    nothing = str(tmp_path_factory.getbasetemp() / "no-aws-configuration")
    for name, value in {
        "AWS_ENDPOINT_URL": glue_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": nothing,
        "AWS_SHARED_CREDENTIALS_FILE": nothing,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return Session().client("glue")


@pytest.fixture
def database(glue: Any) -> str:
    """Return a name that no other test's database has."""
    assert glue
    return f"cubic_{next(_number)}"


def partitions_of(glue: Any, database: str, table: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the partitions of a table by their values."""
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
    return {tuple(each["Values"]): each for page in pages for each in page["Partitions"]}


def columns_of(definition: dict[str, Any]) -> dict[str, str]:
    """Return the types of a table's or partition's columns."""
    return {column["Name"]: column["Type"] for column in definition["StorageDescriptor"]["Columns"]}


def query(glue: Any, database: str, sql: str) -> Rows:
    """Query the tables of a Glue database, reading what their partitions name and nothing else.

    As Athena does: rows come from the partitions' locations, columns of the file are found by name and converted to
    the table's type, a column that a partition lacks is NULL. (Athena cuts moments to milliseconds; this does not.)
    """
    with duckdb.connect() as connection:
        for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
            for table in page["TableList"]:
                if table["TableType"] == "EXTERNAL_TABLE":
                    connection.execute(_view(table, partitions_of(glue, database, table["Name"])))
        return connection.execute(sql).fetchall()


def _view(table: dict[str, Any], partitions: dict[tuple[str, ...], dict[str, Any]]) -> str:
    keys = [key["Name"] for key in table["PartitionKeys"]]
    columns = columns_of(table)
    empty = [f"cast(null as {kind}) as {_quoted(name)}" for name, kind in columns.items()]
    empty += [f"cast(null as varchar) as {_quoted(key)}" for key in keys]
    selects = [f"select {', '.join(empty)} where false"]
    for values, partition in partitions.items():
        own = columns_of(partition)
        shown = [
            f"cast({_quoted(name) if name in own else 'null'} as {kind}) as {_quoted(name)}"
            for name, kind in columns.items()
        ]
        shown += [f"{_literal(value)} as {_quoted(key)}" for key, value in zip(keys, values, strict=True)]
        selects.append(f"select {', '.join(shown)} from read_parquet({_files(partition)}, hive_partitioning = false)")
    return f"create view {_quoted(table['Name'])} as {' union all '.join(selects)}"


def _files(partition: dict[str, Any]) -> str:
    path = unquote(urlsplit(partition["StorageDescriptor"]["Location"]).path)
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
    return _literal(f"{escaped}*.parquet")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
