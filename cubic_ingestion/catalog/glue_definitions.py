"""What the Glue Data Catalog is told of a table and its partitions, as Athena wants it; pure.

A table's columns only ever become more, and their types only ever wider. Each partition keeps the types of its own
file, from which Athena converts to the table's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from cubic_ingestion.catalog.athena_types import arrow_of_athena, athena_type
from cubic_ingestion.errors import SettingsError
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.ports import CatalogEntry, CatalogPartition

Definition = dict[str, Any]

_FORMAT: Definition = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}
_PARAMETERS = {"EXTERNAL": "TRUE", "classification": "parquet"}
_MOST_COMMENT_CHARACTERS, _MOST_DESCRIPTION_CHARACTERS = 255, 2048


def table_name(entry: CatalogEntry) -> str:
    """Name a table as Glue keeps it: in lower case."""
    return entry.table.catalog_name.lower()


def table_definition(entry: CatalogEntry, standing: Definition | None) -> Definition:
    """Describe a table: what stands there, with what the entry adds.

    Args:
        entry: The table.
        standing: What Glue has, in the fields that can be written; None if nothing. What people added, such as
            comments or ``projection.enabled``, is kept.

    Raises:
        SettingsError: What stands there is no such table of Parquet.
    """
    standing = standing or {}
    keys = [{"Name": name, "Type": "string"} for name in entry.partition_names]
    _refuse_another(entry, standing, keys)
    storage = standing.get("StorageDescriptor", {})
    definition = {
        **standing,
        "Name": table_name(entry),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": standing.get("Parameters", {}) | _PARAMETERS,
        "PartitionKeys": standing.get("PartitionKeys") or keys,
        "StorageDescriptor": {
            **storage,
            **_FORMAT,
            "Columns": _merged(storage.get("Columns", []), entry),
            "Location": entry.location,
        },
    }
    if entry.table.description:
        definition["Description"] = entry.table.description[:_MOST_DESCRIPTION_CHARACTERS]
    return definition


def partition_definition(partition: CatalogPartition) -> Definition:
    """Describe a partition with the columns of its own file."""
    columns = _columns(partition.schema)
    return {
        "Values": list(partition.values),
        "StorageDescriptor": {**_FORMAT, "Columns": columns, "Location": partition.location},
    }


def is_as_wanted(standing: object, wanted: object) -> bool:
    """Say whether a definition has all that is wanted of it; what Glue or people added does not count."""
    if isinstance(standing, Mapping) and isinstance(wanted, Mapping):
        return all(name in standing and is_as_wanted(standing[name], value) for name, value in wanted.items())
    if isinstance(standing, list) and isinstance(wanted, list):
        return len(standing) == len(wanted) and all(map(is_as_wanted, standing, wanted))
    return standing == wanted


def _refuse_another(entry: CatalogEntry, standing: Definition, keys: Sequence[Definition]) -> None:
    kind = standing.get("Parameters", {}).get("table_type") or standing.get("TableType", "EXTERNAL_TABLE")
    names = [key["Name"] for key in standing.get("PartitionKeys", keys)]
    if kind != "EXTERNAL_TABLE" or names != list(entry.partition_names):
        what = f"a {kind}" if kind != "EXTERNAL_TABLE" else f"partitioned by {', '.join(names) or 'nothing'}"
        problem = f"Table '{table_name(entry)}' of that database was made by somebody else: it is {what}."
        raise SettingsError("CUBIC_GLUE_DATABASE", problem, "Remove the table, or name another database.")


def _merged(standing: Sequence[Definition], entry: CatalogEntry) -> list[Definition]:
    """Add columns that are new, and widen those whose type does not hold what is new; none is ever taken away."""
    comments = {column.name: column.description for column in entry.table.columns if column.description}
    new = {column["Name"]: column for column in _columns(entry.schema, comments)}
    kept = [_widened(column, new[column["Name"]]) if column["Name"] in new else column for column in standing]
    present = {column["Name"] for column in standing}
    return kept + [column for name, column in new.items() if name not in present]


def _widened(column: Definition, new: Definition) -> Definition:
    """Give a column the lowest type that holds both, on the lattice of ``common_schema``."""
    if column["Type"] == new["Type"]:
        return {**column, **new}
    types = [arrow_of_athena(each["Type"]) for each in (column, new)]
    schemas = [pa.schema([("column", known)]) for known in types if known is not None]
    wider = athena_type(common_schema(schemas).field("column").type)
    return {**column, **new, "Type": wider or new["Type"]}


def _columns(schema: Iterable["pa.Field[Any]"], comments: Mapping[str, str] | None = None) -> list[Definition]:
    """Describe the columns that Athena has types for."""
    columns: list[Definition] = []
    for field in schema:
        if (kind := athena_type(field.type)) is not None:
            comment = (comments or {}).get(field.name, "").replace("\n", " ")[:_MOST_COMMENT_CHARACTERS]
            columns.append({"Name": field.name, "Type": kind} | ({"Comment": comment} if comment else {}))
    return columns
