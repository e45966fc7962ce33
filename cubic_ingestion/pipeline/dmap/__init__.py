"""Fetch, for DMAP: what the vendor's API lists and is not in Incoming yet is brought there, each version once."""

from cubic_ingestion.pipeline.dmap.fetching import Fetcher, FetchLimits, FetchReport

__all__ = ["FetchLimits", "FetchReport", "Fetcher"]
