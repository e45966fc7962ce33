"""Asset checks: what a person can see of the guarantees without reading the database."""

import dagster as dg

from cubic_ingestion.pipeline.ingest import Report

RECORD_COUNT = "record_count"
RECORD_COUNT_DESCRIPTION = "Every load of the run is in Springboard, with as many records as its `.dfm` states."
_SHOWN = 20


def record_count_result(asset_key: dg.AssetKey, report: Report) -> dg.AssetCheckResult:
    """Pass if every load of the run is in Springboard with the number of records that its ``.dfm`` states."""
    rejected = [f"* `{load.version.key}`: {reason.message}" for load, reason in report.rejected[:_SHOWN]]
    return dg.AssetCheckResult(
        passed=not report.rejected,
        check_name=RECORD_COUNT,
        asset_key=asset_key,
        metadata={
            "loads": len(report.ingested),
            "rows": sum(ingested.n_rows for _, ingested in report.ingested),
            "rejected": dg.MetadataValue.md("\n".join(rejected) or "none"),
            **{f"note/{name}": text for name, text in report.notes.items()},
        },
    )
