"""Holdings in words."""

from cubic_ingestion.domain.holding import Holding, Right
from cubic_ingestion_tests.builders import NOON


def test_a_table_that_is_held_for_a_consumer_of_a_newer_release_has_its_words() -> None:
    holding = Holding(Right.DELIVERIES, "cubic__dmap__agg_sample", "run-1/a", NOON, consumer="search")
    assert holding.subject == "the changes of cubic__dmap__agg_sample for 'search'"
