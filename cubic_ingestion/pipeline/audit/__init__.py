"""Audit: every object belongs to exactly one load, and every load has what it should have.

Here belongs what compares, never what mends: an audit changes nothing. Objects are compared with loads zone by zone,
loads with objects by walking the ledger, the catalog with loads in both directions, products with loads, and the
warehouse's objects with its snapshots. All of it is read in pages, and findings are handed on as they come, so that
memory stays flat whatever there is.
"""

from cubic_ingestion.pipeline.audit.findings import REMEDIES, Audit, Finding, FindingCode, Tell
from cubic_ingestion.pipeline.audit.zones import Check, audit

__all__ = ["REMEDIES", "Audit", "Check", "Finding", "FindingCode", "Tell", "audit"]
