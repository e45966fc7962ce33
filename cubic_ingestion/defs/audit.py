"""Audit: an asset whose check is red while something is not accounted for, materialised once a day."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import listed
from cubic_ingestion.defs.shown import DagsterCheck
from cubic_ingestion.pipeline.audit import Audit, audit
from cubic_ingestion.pipeline.ingestion_platform import Platform

AUDIT = dg.AssetKey("audit")
ACCOUNTED_FOR = "everything_accounted_for"

_SHOWN = 50


@dg.asset(
    key=AUDIT,
    group_name="audit",
    description="Compares all zones, the catalog, products, and Dagster with the ledger; changes nothing.",
    check_specs=[
        dg.AssetCheckSpec(
            ACCOUNTED_FOR,
            asset=AUDIT,
            description="Red while an object belongs to no load, a load lacks its original or its rows, or a product "
            "does not have just the rows of the loads that are in Springboard.",
        )
    ],
)
def audit_zones(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Do what ``cubic audit`` does."""
    with step_failures(retry_after_seconds=60):
        done = audit(platform, further=[DagsterCheck(platform, context.instance)])
    yield dg.MaterializeResult(metadata=done.proved, check_results=[audit_result(done)])


def audit_result(done: Audit) -> dg.AssetCheckResult:
    """Pass if nothing was found; else the findings are the result's metadata."""
    findings = [
        f"{finding.code}, load {finding.load_id or 'unknown'}, {finding.zone}: {finding.key}: "
        f"{finding.problem} {finding.remedy}"
        for finding in done.findings
    ]
    return dg.AssetCheckResult(
        passed=done.n_findings == 0,
        check_name=ACCOUNTED_FOR,
        asset_key=AUDIT,
        metadata={
            "n_findings": done.n_findings,
            "findings": listed(findings, _SHOWN, n_texts=done.n_findings, command="cubic audit"),
            "notes": listed(done.notes, _SHOWN, command="cubic audit"),
        },
    )


daily_audit = dg.ScheduleDefinition(
    name="daily_audit",
    job=dg.define_asset_job("audit_zones", selection=dg.AssetSelection.assets(AUDIT)),
    cron_schedule="0 5 * * *",
    description="Materialises `audit` every day at 05:00 UTC.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
