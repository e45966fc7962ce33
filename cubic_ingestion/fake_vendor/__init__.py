"""A stand-in for the vendor's DMAP API: a real HTTP server on localhost that can misbehave.

It is the double that tests talk to, and what ``cubic demo --dmap`` starts. It needs the standard library alone, and
nothing of the platform: what it answers is what the vendor's API is known to answer, not what the client expects.
"""

from cubic_ingestion.fake_vendor import misbehaviours
from cubic_ingestion.fake_vendor.data_sets import DataSet, ListRules, csv_gz
from cubic_ingestion.fake_vendor.journal import SeenRequest
from cubic_ingestion.fake_vendor.sample import SAMPLE_FEED, restate_sample, sample_feed
from cubic_ingestion.fake_vendor.vendor import FakeVendor

__all__ = [
    "SAMPLE_FEED",
    "DataSet",
    "FakeVendor",
    "ListRules",
    "SeenRequest",
    "csv_gz",
    "misbehaviours",
    "restate_sample",
    "sample_feed",
]
