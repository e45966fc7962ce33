"""Asset checks: what a person can see of the guarantees without reading the database."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.records import OpenState, SomeLoads
from cubic_ingestion.observability.problems import MAX_WAIT_SECONDS
from cubic_ingestion.pipeline.ingest import Report
from cubic_ingestion.pipeline.ingestion_platform import Platform

RECORD_COUNT = "record_count"
RECORD_COUNT_DESCRIPTION = (
    "Red while a load of the table is in Error, has records in quarantine, or waits too long for a run; green again "
    "once it was retried or replayed with success, or acknowledged (`cubic loads acknowledge`). Also red after a run "
    "in which the vendor left out records (`errorCount`)."
)
_SHOWN = 20
_REMEDY = (
    "'cubic loads show ID' has the whole reason, and the runbook has the remedy by code. Then: 'cubic loads retry ID', "
    "'cubic quarantine', or 'cubic loads acknowledge ID --reason TEXT'."
)


def open_state(platform: Platform, table: Table) -> OpenState:
    """Read what of a table waits for a person now."""
    waiting_since = platform.clock.now() - timedelta(seconds=MAX_WAIT_SECONDS)
    return platform.ledger.trouble.open_state(table.name, waiting_since, _SHOWN)


def record_count_result(table: Table, state: OpenState, report: Report) -> dg.AssetCheckResult:
    """Judge a table at the end of a run, and say what the run did."""
    left_out = [
        f"{inert(load.version.key)}: {counted(n_records, 'record')}" for load, n_records in report.source_errors
    ]
    metadata: dict[str, Any] = {
        "loads": len(report.ingested),
        "rows": sum(ingested.n_rows for _, ingested in report.ingested),
        **{f"note/{name}": inert(text) for name, text in report.notes.items()},
    }
    if left_out:
        metadata["left_out_by_vendor"] = "; ".join(left_out[:_SHOWN])
    return dg.AssetCheckResult(
        passed=not (state or left_out),
        check_name=RECORD_COUNT,
        asset_key=asset_key(table),
        description=_described(state, len(left_out)),
        metadata=_metadata(state) | metadata,
    )


def record_count_evaluation(table: Table, state: OpenState) -> dg.AssetCheckEvaluation:
    """Judge a table apart from any run."""
    return dg.AssetCheckEvaluation(
        passed=not state,
        check_name=RECORD_COUNT,
        asset_key=asset_key(table),
        description=_described(state, 0),
        metadata=_metadata(state),
    )


def _described(state: OpenState, n_left_out: int) -> str:
    """Word in one line what is wrong, so that nobody has to open anything."""
    codes = Counter(load.error.code if load.error else "unknown" for load in state.rejected.loads)
    parts = [
        (state.rejected.n_loads, "load", "loads", f"in Error ({', '.join(codes)})"),
        (state.failed_replays.n_loads, "load", "loads", "could not be replayed"),
        (state.quarantined.n_loads, "load has", "loads have", "records in quarantine"),
        (state.waiting.n_loads, "load waits", "loads wait", "too long for a run"),
        (n_left_out, "file lacks", "files lack", "records that the vendor could not write"),
    ]
    troubles = [f"{counted(n, one, several)} {what}" for n, one, several, what in parts if n]
    return ", ".join(troubles) or "Nothing waits for a person."


def _metadata(state: OpenState) -> dict[str, Any]:
    parts = {
        "rejected": state.rejected,
        "failed_replays": state.failed_replays,
        "quarantined": state.quarantined,
        "waiting_too_long": state.waiting,
    }
    metadata: dict[str, Any] = {f"n_{name}": part.n_loads for name, part in parts.items()}
    metadata |= {name: _table(part) for name, part in parts.items() if part}
    return metadata | ({"remedy": _REMEDY} if state else {})


def _table(some: SomeLoads) -> dg.TableMetadataValue:
    """Show loads as a table of texts, which no page reads as anything else."""
    return dg.MetadataValue.table([_record(load) for load in some.loads], dg.TableSchema([*_COLUMNS]))


def _record(load: Load) -> dg.TableRecord:
    code, message = (load.error.code, load.error.message) if load.error else ("", load.waits_for or load.status.value)
    if load.n_quarantined and not load.error:
        code, message = "quarantine", counted(load.n_quarantined, "record")
    return dg.TableRecord({"load": load.id, "key": inert(load.version.key), "code": code, "message": inert(message)})


_COLUMNS: Sequence[dg.TableColumn] = (
    dg.TableColumn("load", "int"),
    dg.TableColumn("key", "string"),
    dg.TableColumn("code", "string"),
    dg.TableColumn("message", "string"),
)
