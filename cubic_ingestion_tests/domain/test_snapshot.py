"""Which snapshot a file belongs to."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.snapshot import owning_snapshot, snapshot_id

MARCH = datetime(2022, 3, 1, tzinfo=UTC)
MAY = datetime(2022, 5, 1, tzinfo=UTC)


def test_a_snapshot_is_written_to_the_second_in_utc() -> None:
    assert snapshot_id(datetime.fromisoformat("2022-03-01T02:00:00.999+02:00")) == "20220301T000000Z"


@pytest.mark.parametrize("is_change", [True, False])
def test_a_file_belongs_to_the_newest_snapshot_that_started_at_or_before_it(*, is_change: bool) -> None:
    for snapshots in permutations((MARCH, MAY)):
        assert owning_snapshot(MAY, snapshots, is_change=is_change) == MAY
        assert owning_snapshot(MAY - timedelta(seconds=1), snapshots, is_change=is_change) == MARCH


def test_nothing_belongs_anywhere_before_a_snapshot_is_known() -> None:
    assert owning_snapshot(MAY, [], is_change=True) is None
    assert owning_snapshot(MAY, [], is_change=False) is None


def test_changes_older_than_every_snapshot_go_to_the_current_one_and_stay_there() -> None:
    early = MARCH - timedelta(days=1)
    assert owning_snapshot(early, [MARCH, MAY], is_change=True) == MAY
    assert owning_snapshot(early, [MARCH, MAY], is_change=True, current=MARCH) == MARCH


def test_a_full_load_file_older_than_every_snapshot_goes_to_the_oldest() -> None:
    assert owning_snapshot(MARCH - timedelta(seconds=9), [MAY, MARCH], is_change=False) == MARCH


@settings(derandomize=True, max_examples=100)
@given(starts=st.lists(st.datetimes(), min_size=1, unique=True), moment=st.datetimes(), is_change=st.booleans())
def test_the_order_in_which_snapshots_become_known_changes_nothing(
    *, starts: list[datetime], moment: datetime, is_change: bool
) -> None:
    found = owning_snapshot(moment, starts, is_change=is_change)
    assert found == owning_snapshot(moment, sorted(starts, reverse=True), is_change=is_change)
    assert found in starts
