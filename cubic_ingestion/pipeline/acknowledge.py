"""Acknowledge: a person has seen that loads were rejected or have records in quarantine, and nobody needs to act."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cubic_ingestion.domain.load import Load
from cubic_ingestion.ports import Platform


@dataclass(slots=True)
class AcknowledgeReport:
    """What became of the loads that were to be acknowledged."""

    acknowledged: list[Load] = field(default_factory=list[Load])
    refused: list[tuple[Load, str]] = field(default_factory=list[tuple[Load, str]])
    """Those with nothing to acknowledge."""


def acknowledge(platform: Platform, loads: Sequence[Load], by: str, reason: str) -> AcknowledgeReport:
    """Record who acknowledges loads, and why. Idempotent; the newest reason counts.

    Whatever is acknowledged is no problem any more. Another try that fails, or another rejection, is one again.
    """
    report = AcknowledgeReport()
    acknowledged = set(platform.repository.acknowledge([load.id for load in loads], by, reason))
    for load in loads:
        if load.id in acknowledged:
            report.acknowledged.append(load)
        else:
            report.refused.append((load, f"is '{load.status}', and has neither an error nor records in quarantine"))
    return report
