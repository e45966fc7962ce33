"""Asset checks: what a person can see of the guarantees without reading the database."""

from collections.abc import Sequence

import dagster as dg

from cubic_ingestion.defs.markdown import listed
from cubic_ingestion.domain.load import Load
from cubic_ingestion.outside_text import visible
from cubic_ingestion.pipeline.ingest import Report

RECORD_COUNT = "record_count"
RECORD_COUNT_DESCRIPTION = (
    "Every record of every load of the run is in Springboard: no load was rejected, no record is in quarantine, "
    "and the vendor left none out (`errorCount`)."
)
_SHOWN = 20


def record_count_result(asset_key: dg.AssetKey, report: Report) -> dg.AssetCheckResult:
    """Pass if every record that the vendor has for the loads of the run is in Springboard."""
    rejected = [(load, reason.message) for load, reason in report.rejected]
    quarantined = [(load, f"{kept.n_quarantined} records") for load, kept in report.ingested if kept.n_quarantined]
    left_out = [(load, f"{n_records} records") for load, n_records in report.source_errors]
    return dg.AssetCheckResult(
        passed=not (rejected or quarantined or left_out),
        check_name=RECORD_COUNT,
        asset_key=asset_key,
        metadata={
            "loads": len(report.ingested),
            "rows": sum(ingested.n_rows for _, ingested in report.ingested),
            "rejected": _listed(rejected),
            "quarantined": _listed(quarantined),
            "left_out_by_vendor": _listed(left_out),
            **{f"note/{name}": visible(text) for name, text in report.notes.items()},
        },
    )


def _listed(loads: Sequence[tuple[Load, str]]) -> dg.MarkdownMetadataValue:
    return listed([f"{load.version.key}: {what}" for load, what in loads], _SHOWN)
