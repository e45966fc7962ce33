"""Names and days of DMAP data sets."""

import pytest

from cubic_ingestion.streams.dmap import DmapStream
from cubic_ingestion_tests.builders import a_table, a_version

DMAP = DmapStream()


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("20220304.csv", "2022-03-04"),
        ("agg_sample_20220303.csv.gz", "2022-03-03"),
        ("use_transaction_202202.csv.gz", "2022-02-01"),
        ("20991231.csv", "2022-03-04"),  # after its delivery
        ("20190101.csv", "2022-03-04"),  # before the first partition
        ("20221399.csv", "2022-03-04"),  # no date
        ("0123456789.csv", "2022-03-04"),  # no date either
        ("latest.csv", "2022-03-04"),
    ],
)
def test_the_day_is_the_names_or_else_that_of_the_delivery(name: str, day: str) -> None:
    source_at = DMAP.source_at(a_table(), a_version(name), None)
    assert DMAP.partition_key(a_table(), name, source_at, None) == day


def test_csv_is_taken_plain_and_compressed() -> None:
    assert DMAP.accepts(a_table(), "a.csv")
    assert DMAP.accepts(a_table(), "a.csv.gz")
    assert not DMAP.accepts(a_table(), "a.parquet")
