"""Retry: bring errored loads back, to be planned and ingested again from where their originals lie in Error."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.pipeline.ingestion_platform import Platform


@dataclass(slots=True)
class RetryReport:
    """What became of the loads that were to be tried again."""

    retried: list[Load] = field(default_factory=list[Load])
    """As they were before."""
    refused: list[tuple[Load, str]] = field(default_factory=list[tuple[Load, str]])
    """Those that stay as they are, with the reason."""


def retry(platform: Platform, loads: Sequence[Load]) -> RetryReport:
    """Bring those loads back to ``ready`` that can be tried again.

    Originals stay where they are: a copy in Incoming would be a load of its own. The next pass plans the loads again,
    with deadlines that count from now; success moves the originals from Error to Archive.
    """
    report = RetryReport()
    reasons = {load.id: _reason_against(platform, load) for load in loads}
    brought_back = set(platform.ledger.outcomes.retry([load.id for load in loads if reasons[load.id] is None]))
    for load in loads:
        if load.id in brought_back:
            report.retried.append(load)
        else:
            report.refused.append((load, reasons[load.id] or "was changed by somebody else meanwhile"))
    return report


def _reason_against(platform: Platform, load: Load) -> str | None:
    """Say why a load cannot be tried again; None if it can."""
    table = platform.tables.get(load.table)
    if load.status is not LoadStatus.ERRORED:
        return f"is '{load.status}', not errored"
    if table is None or not table.is_active:
        return f"belongs to table '{load.table}', which is not declared or not active"
    if load.error_key is None and load.is_frozen:
        standing = platform.stores.incoming.head(load.version.key)
        return None if standing and standing.etag == load.version.etag else "has no original in Incoming any longer"
    if load.error_key is None:
        return "was rejected by an older release, which did not record where in Error its original lies"
    if platform.stores.error.head(load.error_key) is None:
        was = ": other bytes took its place, and are a load of their own" if _is_superseded(load) else ""
        return f"has no original in Error{was}"
    return None


def _is_superseded(load: Load) -> bool:
    return load.error is not None and load.error.code == "superseded"
