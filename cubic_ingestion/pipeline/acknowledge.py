"""Acknowledge: a person has seen that loads were rejected or have records in quarantine, and nobody needs to act."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cubic_ingestion.domain.load import Load
from cubic_ingestion.pipeline.ingestion_platform import Platform


@dataclass(slots=True)
class AcknowledgeReport:
    """What became of the loads that were to be acknowledged."""

    acknowledged: list[Load] = field(default_factory=list[Load])
    refused: list[tuple[Load, str]] = field(default_factory=list[tuple[Load, str]])
    """Those that stay as they are, with the reason."""


def acknowledge(platform: Platform, loads: Sequence[Load], by: str, reason: str) -> AcknowledgeReport:
    """Record who acknowledges loads, and why. An acknowledgement that is on record is never replaced by another.

    Whatever is acknowledged is no problem any more. Another try that fails, or another rejection, is one again.
    """
    report = AcknowledgeReport()
    acknowledged = set(platform.ledger.trouble.acknowledge([load.id for load in loads], by, reason))
    for load in loads:
        if load.id in acknowledged:
            report.acknowledged.append(load)
        else:
            report.refused.append((load, _reason_against(platform.ledger.queries.load(load.id) or load)))
    return report


def _reason_against(load: Load) -> str:
    """Say why a load, as it is now, was not acknowledged."""
    if load.acknowledged_at is None:
        return f"is '{load.status}', and has neither an error nor records in quarantine"
    when = f"{load.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"was acknowledged by {load.acknowledged_by} at {when} ({load.acknowledged_reason})"
