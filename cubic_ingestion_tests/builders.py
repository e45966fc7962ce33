"""Builders with sound defaults, so that a test states only what it varies."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.load import Arrival, ObjectVersion
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.settings import Settings

NOON = datetime(2022, 3, 4, 12, tzinfo=UTC)
"""The moment at which nothing in particular happens."""


DEFAULTS = Settings.model_construct()
"""The settings' defaults, whatever the environment says."""


def limits(**changes: Any) -> Limits:
    """Return the default limits, but files count as whole at once; with changes."""
    return replace(DEFAULTS.limits, **({"settle_seconds": 0} | changes))


def a_table(name: str = "cubic__dmap__agg_sample", **changes: Any) -> Table:
    """Build a DMAP table, or whatever the changes make of it."""
    fields: dict[str, Any] = {
        "stream": StreamName.DMAP,
        "prefix": "cubic/dmap/agg_sample/",
        "columns": (Column("sample_id", "int64"), Column("sample_name", "string"), Column("sample_count", "int64")),
    }
    return Table(name, **(fields | changes))


def an_ods_table(**changes: Any) -> Table:
    """Build the ODS sample's base table."""
    fields: dict[str, Any] = {"stream": StreamName.ODS, "prefix": "cubic/ods_qlik/EDW.SAMPLE/", "columns": ()}
    return a_table(**({"name": "cubic__ods_qlik__edw_sample"} | fields | changes))


def a_change_table(**changes: Any) -> Table:
    """Build the ODS sample's change table."""
    fields: dict[str, Any] = {"prefix": "cubic/ods_qlik/EDW.SAMPLE__ct/", "base": "cubic__ods_qlik__edw_sample"}
    return an_ods_table(**({"name": "cubic__ods_qlik__edw_sample__ct"} | fields | changes))


def a_version(key: str = "cubic/dmap/agg_sample/20220304.csv", **changes: Any) -> ObjectVersion:
    """Build an object version."""
    fields: dict[str, Any] = {"etag": '"e1"', "size_bytes": 100, "modified_at": NOON}
    return ObjectVersion(key, **(fields | changes))


def an_arrival(table: Table | None = None, **changes: Any) -> Arrival:
    """Build an arrival in a table's prefix."""
    table = table or a_table()
    changes.setdefault("key", table.prefix + "20220304.csv")
    return Arrival(table.name, table.is_raw, a_version(**changes))


def csv_gz(text: str) -> bytes:
    """Compress text as the vendor does."""
    return gzip.compress(text.encode(), mtime=0)


def a_dfm(columns: Sequence[dict[str, Any]] | None = None, *, record_count: int = 1, started_at: str = "") -> bytes:
    """Build a ``.dfm`` sidecar as Qlik writes it."""
    return json.dumps(
        {
            "dfmVersion": "1.1",
            "fileInfo": {"startWriteTimestamp": started_at, "recordCount": record_count, "errorCount": 0},
            "formatInfo": {
                "format": "delimited",
                "options": {
                    "fieldDelimiter": ",",
                    "recordDelimiter": "\n",
                    "nullValue": "",
                    "quoteChar": '"',
                    "escapeChar": "",
                },
            },
            "dataInfo": {
                "columns": list(
                    columns
                    if columns is not None
                    else [
                        {"ordinal": 1, "name": "SAMPLE_ID", "type": "INT4", "primaryKeyPos": 1},
                        {"ordinal": 2, "name": "SAMPLE_NAME", "type": "STRING", "length": 100, "primaryKeyPos": 0},
                    ]
                )
            },
        }
    ).encode()
