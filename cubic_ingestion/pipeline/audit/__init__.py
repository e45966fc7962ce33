"""Audit: every object belongs to exactly one load, and every load has what it should have (DESIGN's guarantee 7).

Here belongs what compares, never what mends: an audit changes nothing. Objects are compared with loads zone by zone,
loads with objects by walking the metadata database, the catalog with loads table by table; the zones and loads in
pages, so memory hardly grows whatever there is.
"""

from cubic_ingestion.pipeline.audit.findings import REMEDIES, Audit, Finding, FindingCode
from cubic_ingestion.pipeline.audit.zones import audit

__all__ = ["REMEDIES", "Audit", "Finding", "FindingCode", "audit"]
