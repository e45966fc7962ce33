"""How the vendor can misbehave: each makes of the honest answer another one.

Arm one for lists or for files: ``vendor.files.arm(truncated(100), times=2)``.
"""

from cubic_ingestion.fake_vendor.armed import Misbehaviour
from cubic_ingestion.fake_vendor.misbehaviours.anywhere import (
    dropped,
    failure,
    html,
    link_expired,
    meanwhile,
    redirected,
    stalled,
    time_out,
    too_many_requests,
    truncated,
    without_length,
    xml,
)
from cubic_ingestion.fake_vendor.misbehaviours.files import content_encoded, corrupt_gzip, cut_gzip, plain_csv
from cubic_ingestion.fake_vendor.misbehaviours.lists import (
    INVALID_ITEMS,
    empty_list,
    marked,
    not_an_item,
    spoiled,
    unsuccessful,
    without_results,
)

__all__ = [
    "INVALID_ITEMS",
    "Misbehaviour",
    "content_encoded",
    "corrupt_gzip",
    "cut_gzip",
    "dropped",
    "empty_list",
    "failure",
    "html",
    "link_expired",
    "marked",
    "meanwhile",
    "not_an_item",
    "plain_csv",
    "redirected",
    "spoiled",
    "stalled",
    "time_out",
    "too_many_requests",
    "truncated",
    "unsuccessful",
    "without_length",
    "without_results",
    "xml",
]
